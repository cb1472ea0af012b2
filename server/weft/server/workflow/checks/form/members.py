"""Which members of a step belong to its kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from weft.core.reasons import Rule
from weft.server.workflow.checks.basis.places import Place, Spot
from weft.server.workflow.checks.form.kind_rules import check_kind
from weft.server.workflow.kinds import Map
from weft.server.workflow.model import Step

__all__ = ["check_members"]

_CALLS: Final = (
    "service",
    "action",
    "service_version",
    "retry",
    "schedule_to_close_timeout",
    "heartbeat_timeout",
    "cache",
    "limit",
    "at_most_once",
)
"""What only calls of actions take."""
_ENDINGS: Final = frozenset({"fail", "succeed"})
_REFUSED: Final = {
    "next": {"switch", *_ENDINGS},
    "output": {"switch", "set", *_ENDINGS},
    "on_error": {"succeed"},
}
"""What nearly all kinds take, and those that do not."""
_WAITING: Final = frozenset({"action", "signal", "approval", "workflow"})
_UNDONE: Final = frozenset({"action", "workflow"})

_HINTS: Final = {
    ("switch", "next"): "its cases and `default` say where to go on",
    ("fail", "next"): "its `on_error` says where to go on",
    ("set", "output"): "what it sets is its output",
    ("wait", "timeout"): "`duration` says how long it waits",
}


def check_members(place: Place, spot: Spot) -> None:
    """Report members that the kind of a step does not take, and then what its own members say."""
    step = place.step
    for member in _given(step):
        if not _takes(step, member):
            hint = _HINTS.get((step.kind, member), "")
            spot.add(member, Rule.MEMBER_NOT_ALLOWED, f"a step with `{step.kind}` takes no `{member}`", hint)
    if step.kind == "succeed" and place.path.startswith("finally["):
        message = "the execution is ending already: nothing in `finally` ends it otherwise"
        spot.add("succeed", Rule.MEMBER_NOT_ALLOWED, message, "a step without `next` ends the list")
    check_kind(step, spot)


def _given(step: Step) -> Iterator[str]:
    values: dict[str, Any] = {
        **{name: getattr(step, name) for name in _CALLS},
        "next": step.next,
        "input": step.input,
        "output": step.output,
        "timeout": step.timeout,
        "on_error": step.on_error,
        "compensate": step.compensate,
    }
    for name, value in values.items():
        if value is not None and value not in ("", (), False):
            yield name


def _takes(step: Step, member: str) -> bool:
    kind = step.kind
    if member in _REFUSED:
        return kind not in _REFUSED[member]
    match member:
        case "input":
            return kind in _UNDONE or (isinstance(step.does, Map) and step.does.workflow is not None)
        case "timeout":
            return kind in _WAITING
        case "compensate":
            return kind in _UNDONE
        case _:
            return kind == "action"
