"""Whether a document is a state machine at all: every fault at once, each with its path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from weft.core.errors import ValidationError, Violation
from weft.core.names import closest
from weft.core.reasons import Rule

__all__ = ["MAX_STATES", "TYPES", "check_machine", "processor_of"]

TYPES: Final = ("Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map")
MAX_STATES: Final = 1_000
"""A workflow has no more steps."""
MAX_DEPTH: Final = 12
"""Machines inside of machines."""
_MAX_FAULTS: Final = 100


def check_machine(machine: dict[str, Any]) -> None:
    """Look at the form of a state machine and of all that it holds.

    Raises:
        ValidationError: It is none.
    """
    form = _Form()
    form.machine(machine, "", 0)
    if form.states > MAX_STATES:
        message = f"has {form.states:,} states; a workflow has at most {MAX_STATES:,} steps"
        form.add("States", message, Rule.TOO_MANY)
    if form.faults:
        raise ValidationError(form.faults[:_MAX_FAULTS])


def processor_of(state: dict[str, Any]) -> tuple[str, Any]:
    """Return the machine of a Map state, and the member it stands in."""
    name = "ItemProcessor" if "ItemProcessor" in state else "Iterator"
    return name, state.get(name)


class _Form:
    def __init__(self) -> None:
        self.faults: list[Violation] = []
        self.states = 0

    def add(self, path: str, message: str, rule: Rule = Rule.INVALID) -> None:
        self.faults.append(Violation(path, message, rule))

    def machine(self, machine: Any, path: str, depth: int) -> None:
        if not isinstance(machine, dict):
            self.add(path, "is no state machine: an object with StartAt and States")
            return
        if depth > MAX_DEPTH:
            self.add(path, f"is a machine in more than {MAX_DEPTH} others", Rule.TOO_MANY)
            return
        dot = f"{path}." if path else ""
        states = machine.get("States")
        if not isinstance(states, dict) or not states:
            self.add(f"{dot}States", "is required: an object with at least one state", Rule.REQUIRED)
            return
        self.states += len(states)
        self._target(machine.get("StartAt"), f"{dot}StartAt", states)
        for name, state in states.items():
            self._state(state, f"{dot}States.{name}", states, depth)

    def _state(self, state: Any, path: str, states: dict[str, Any], depth: int) -> None:
        kind = state.get("Type") if isinstance(state, dict) else None
        if not isinstance(state, dict) or kind is None:
            self.add(f"{path}.Type", "is required", Rule.REQUIRED)
            return
        if kind not in TYPES:
            hint = closest(kind, list(TYPES)) if isinstance(kind, str) else f"one of {', '.join(TYPES)}"
            self.add(f"{path}.Type", f"{kind!r} is no type of a state; {hint}"[:300])
            return
        for where, target in self._targets(state, path):
            self._target(target, where, states)
        if kind == "Task" and not isinstance(state.get("Resource"), str):
            self.add(f"{path}.Resource", "is required", Rule.REQUIRED)
        if kind == "Map":
            member, inner = processor_of(state)
            self.machine(inner, f"{path}.{member}", depth + 1)
        if kind == "Parallel":
            self._branches(state, path, depth)

    def _branches(self, state: dict[str, Any], path: str, depth: int) -> None:
        branches = state.get("Branches")
        if not isinstance(branches, list) or not branches:
            self.add(f"{path}.Branches", "is required: a list of state machines", Rule.REQUIRED)
            return
        for index, branch in enumerate(branches):
            self.machine(branch, f"{path}.Branches[{index}]", depth + 1)

    def _targets(self, state: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
        kind = state["Type"]
        if kind == "Choice":
            yield from self._rules(state, path)
            if "Default" in state:
                yield f"{path}.Default", state["Default"]
        elif kind not in {"Succeed", "Fail"} and state.get("End") is not True:
            yield f"{path}.Next", state.get("Next")
        for index, catcher in enumerate(self._list(state, "Catch", path)):
            where = f"{path}.Catch[{index}].Next"
            yield where, catcher.get("Next") if isinstance(catcher, dict) else None
        self._list(state, "Retry", path)

    def _rules(self, state: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
        rules = self._list(state, "Choices", path)
        if not rules:
            self.add(f"{path}.Choices", "is required: a list of rules", Rule.REQUIRED)
        for index, rule in enumerate(rules):
            yield f"{path}.Choices[{index}].Next", rule.get("Next") if isinstance(rule, dict) else None

    def _list(self, state: dict[str, Any], name: str, path: str) -> list[Any]:
        found = state.get(name, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            self.add(f"{path}.{name}", "is no list of objects")
            return []
        return found

    def _target(self, name: Any, path: str, states: dict[str, Any]) -> None:
        if name is None:
            self.add(
                path, "is required" + (", or End: true" if path.endswith(".Next") else ""), Rule.REQUIRED
            )
        elif not isinstance(name, str) or name not in states:
            shown = name if isinstance(name, str) else str(name)
            self.add(path, f"there is no state {shown[:80]!r}; {closest(shown, list(states))}")
