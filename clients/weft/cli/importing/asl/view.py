"""One state, with the data it works on and the means to translate it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from weft.cli.importing.asl import data, jsonata
from weft.cli.importing.asl.errors import caught
from weft.cli.importing.asl.paths import Context
from weft.cli.importing.nodes import Expr, Node, Record
from weft.cli.importing.pieces import END, Exit, Piece, StepDict, leave_by

if TYPE_CHECKING:
    from weft.cli.importing.asl.machine import Machine

__all__ = ["StateView"]

_KNOWN: Final = frozenset(
    [
        "Type",
        "Comment",
        "Next",
        "End",
        "InputPath",
        "OutputPath",
        "ResultPath",
        "Parameters",
        "Arguments",
        "ResultSelector",
        "Output",
        "Assign",
        "QueryLanguage",
        "Retry",
        "Catch",
    ]
)
"""What most states may have; the rest is each type's own."""


class StateView:
    """One state, with the data it works on and the means to translate it."""

    def __init__(self, machine: Machine, name: str, raw: Node) -> None:
        self.machine = machine
        self.name = name
        self.raw = raw
        self.state = machine.states[name]
        self.path = machine.path(name)
        self.notes = machine.scope.notes
        self.jsonata = (self.state.get("QueryLanguage") or machine.language) == "JSONata"
        self.id = machine.scope.ids(name)

    @property
    def begins(self) -> bool:
        """Whether it is where an execution begins, so that there is only the workflow's input."""
        return (
            self.machine.scope.top and self.raw.template() == "${input}" and self.name == self.machine.start
        )

    @property
    def target(self) -> str:
        """The state that follows; ``END``: none."""
        return END if self.state.get("End") is True else str(self.state["Next"])

    def lost(self, member: str, message: str) -> None:
        """Say that a member of the state could not be carried over."""
        self.notes.lost(f"{self.path}.{member}" if member else self.path, message)

    def check(self, member: str, message: str) -> None:
        """Say what is to be checked about a member of the state."""
        self.notes.check(f"{self.path}.{member}" if member else self.path, message)

    def calls(self, member: str, service: str, action: str) -> None:
        """Say once that an action is called, which somebody has to provide."""
        called = self.machine.document.called
        if (service, action) not in called:
            called.add((service, action))
            self.check(member, f"calls the action {action!r} of the service {service!r}: register it")

    def context(self, node: Node, *, item: bool = False) -> Context:
        """Return what expressions about some data can name."""
        machine = self.machine
        return Context(data=node, name=self.name, variables=machine.variables, item=item or machine.item)

    def described(self, step: StepDict) -> StepDict:
        """Return a step with the state's id and comment."""
        comment = self.state.get("Comment")
        return {"id": self.id, **({"description": comment} if isinstance(comment, str) else {}), **step}

    def entered(self) -> Node:
        """Return the data that the state works on: ``InputPath`` and ``Parameters``."""
        return jsonata.entered(self) if self.jsonata else data.entered(self)

    def left(self, given: Node, result: Node) -> Node:
        """Return the data that the state hands on."""
        return jsonata.left(self, result) if self.jsonata else data.left(self, given, result)

    def leave(self, step: StepDict, given: Node, result: Node, *, output: bool = True) -> Piece:
        """Return the step with its way on, by way of what ``Assign`` sets, and its ways on after errors."""
        state = self.left(given, result)
        assigned = self.assign(self.state.get("Assign"), "Assign", self.selected(result))
        handled = self._handled(step)
        if assigned is None:
            return Piece(steps=[step], exits=[leave_by(step, self.target, state, output=output), *handled])
        step["next"] = assigned["id"]
        return Piece(
            steps=[step, assigned],
            exits=[leave_by(assigned, self.target, state, output=False), *handled],
        )

    def selected(self, result: Node) -> Node:
        """Return the result as ``ResultSelector`` selects it."""
        return result if self.jsonata else data.selected(self, result)

    def assign(self, values: Any, member: str, result: Node) -> StepDict | None:
        """Return the step that sets what an ``Assign`` sets."""
        if not isinstance(values, dict) or not values:
            return None
        self.machine.scope.data()  # variables are needed; refused where they would be shared
        evaluate: Callable[[Any, str], Node] = (
            (lambda value, path: jsonata.value(self, value, path, self.raw, result))
            if self.jsonata
            else (lambda value, path: data.payload_of(self, value, path, result))
        )
        node = evaluate(values, member)
        assert isinstance(node, Record)
        known = self.machine.variables
        return {
            "id": self.machine.scope.ids(f"{self.name} assign"),
            "set": {known.get(name, name): each.template() for name, each in node.members.items()},
        }

    def _handled(self, step: StepDict) -> list[Exit]:
        error = Record({"Error": Expr("error.reason"), "Cause": Expr("error.message")})
        exits = []
        for index, catcher in enumerate(self.state.get("Catch", ())):
            path = f"Catch[{index}]"
            reasons = caught(catcher.get("ErrorEquals"), f"{self.path}.{path}.ErrorEquals", self.notes.check)
            handler: dict[str, Any] = {"reasons": reasons} if reasons else {}
            step.setdefault("on_error", []).append(handler)
            state = (
                jsonata.caught_state(self, catcher, path, error)
                if self.jsonata
                else data.placed(self, catcher.get("ResultPath", "$"), f"{path}.ResultPath", error)
            )
            if "Assign" in catcher:
                self.lost(f"{path}.Assign", "a handler sets no variables; let the state that follows do it")
            exits.append(Exit(target=catcher["Next"], state=state, connect=_next_of(handler)))
        return exits

    def tell_unknown(self) -> None:
        """Say which members are not known here."""
        own = _OWN[self.state["Type"]]
        for member in self.state:
            if member not in _KNOWN and member not in own:
                self.lost(member, "is no member of such a state that is known here")


def _next_of(handler: dict[str, Any]) -> Callable[[str], None]:
    return lambda to: handler.update(next=to)


_OWN: Final[Mapping[str, frozenset[str]]] = {
    "Task": frozenset(
        [
            "Resource",
            "TimeoutSeconds",
            "TimeoutSecondsPath",
            "HeartbeatSeconds",
            "HeartbeatSecondsPath",
            "Credentials",
        ]
    ),
    "Pass": frozenset(["Result"]),
    "Choice": frozenset(["Choices", "Default"]),
    "Wait": frozenset(["Seconds", "SecondsPath", "Timestamp", "TimestampPath"]),
    "Succeed": frozenset(),
    "Fail": frozenset(["Error", "ErrorPath", "Cause", "CausePath"]),
    "Parallel": frozenset(["Branches"]),
    "Map": frozenset(
        [
            "ItemProcessor",
            "Iterator",
            "Items",
            "ItemsPath",
            "ItemSelector",
            "MaxConcurrency",
            "MaxConcurrencyPath",
            "Label",
            "ToleratedFailureCount",
            "ToleratedFailureCountPath",
            "ToleratedFailurePercentage",
            "ToleratedFailurePercentagePath",
            "ItemReader",
            "ItemBatcher",
            "ResultWriter",
        ]
    ),
}
