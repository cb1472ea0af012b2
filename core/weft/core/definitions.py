"""How large a definition of a workflow may be: the same for whoever writes, checks or keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from weft.core.errors import Violation
from weft.core.reasons import Rule

__all__ = [
    "MAX_NESTING",
    "MAX_STEPS",
    "STEP_KINDS",
    "TOO_DEEP",
    "is_list",
    "member",
    "too_large",
    "too_many_steps",
]

MAX_STEPS: Final = 1_000
"""How many steps a workflow has at most, at all depths together."""
MAX_NESTING: Final = 8
"""How many lists of steps are in each other at most; the workflow's own is the first."""
STEP_KINDS: Final = (
    "switch",
    "parallel",
    "map",
    "loop",
    "wait",
    "signal",
    "approval",
    "workflow",
    "set",
    "emit",
    "fail",
    "succeed",
)
"""The members of a step that say what it is; one without any is a call of an action."""

TOO_DEEP: Final = f"lists of steps may be {MAX_NESTING} deep in each other, the workflow's own included"
"""What is said of a list that is deeper."""


def too_large(workflow: object) -> Violation | None:
    """Return what is wrong with the size of a definition; it costs little, however large that is.

    Args:
        workflow: A mapping or a record, with whatever members; those that are no lists of steps are not
            looked at.
    """
    pending = [(path, member(workflow, path), 1) for path in ("finally", "steps")]
    count = 0
    while pending:
        path, steps, nesting = pending.pop()
        if not is_list(steps):
            continue
        count += len(steps)
        if count > MAX_STEPS:
            return too_many_steps(path, len(steps))
        if nesting > MAX_NESTING and steps:
            return Violation(path, TOO_DEEP, Rule.TOO_DEEP)
        for number, step in enumerate(steps):
            pending.extend((where, inner, nesting + 1) for where, inner in _inside(step, f"{path}[{number}]"))
    return None


def too_many_steps(path: str, count: int) -> Violation:
    """Say of the list that is one too many how many there may be."""
    text = f"has {count:,} entries, and a workflow at most {MAX_STEPS:,} steps in all"
    return Violation(path, text, Rule.TOO_MANY)


def member(value: object, name: str) -> Any:
    """Return a member of a mapping or a record; None when there is none."""
    if isinstance(value, Mapping):
        return value.get(name)
    found = getattr(value, name, None)
    return getattr(value, f"{name}_", None) if found is None else found


def _inside(step: object, path: str) -> Iterator[tuple[str, Any]]:
    branches = member(member(step, "parallel"), "branches")
    for number, branch in enumerate(branches if is_list(branches) else ()):
        yield f"{path}.parallel.branches[{number}].steps", member(branch, "steps")
    for kind in ("map", "loop"):
        yield f"{path}.{kind}.steps", member(member(step, kind), "steps")


def is_list(value: object) -> bool:
    """Tell whether a value is a list, whatever its type; text is none."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
