"""One state machine as a list of steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from weft.cli.importing.asl.containers import map_state, parallel_state
from weft.cli.importing.asl.simple import choice_state, fail_state, pass_state, succeed_state, wait_state
from weft.cli.importing.asl.tasks import task_state
from weft.cli.importing.asl.view import StateView
from weft.cli.importing.flow import Flow
from weft.cli.importing.naming import Namer
from weft.cli.importing.nodes import Expr, Node
from weft.cli.importing.pieces import END, Piece, Scope, StepDict

__all__ = ["Document", "Machine"]


@dataclass(slots=True, kw_only=True)
class Document:
    """What all machines of a document share."""

    name: str
    """The name of the workflow."""
    mapping: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What resources become."""
    definitions: list[dict[str, Any]] = field(default_factory=list)
    """Workflows that became children of it."""
    called: set[tuple[str, str]] = field(default_factory=set)
    """Services and actions that are called."""

    def mark(self) -> tuple[int, set[tuple[str, str]]]:
        """Return how far it is."""
        return len(self.definitions), set(self.called)

    def forget(self, mark: tuple[int, set[tuple[str, str]]]) -> None:
        """Go back to a mark."""
        del self.definitions[mark[0] :]
        self.called.intersection_update(mark[1])


class Machine:
    """Translates the states of one machine."""

    def __init__(
        self,
        document: Document,
        machine: Mapping[str, Any],
        path: str,
        scope: Scope,
        *,
        variables: Mapping[str, str] | None = None,
        item: bool = False,
        language: str = "JSONPath",
    ) -> None:
        self.document = document
        self.states: Mapping[str, dict[str, Any]] = machine["States"]
        self.scope = scope
        self.item = item
        self.language = machine.get("QueryLanguage") or language
        self.start = machine["StartAt"]
        self._path = f"{path}." if path else ""
        self.variables = {**(variables or {}), **self._own_variables()}

    def build(self, state: Node) -> tuple[list[StepDict], bool]:
        """Return the steps, and whether their output is the data in the member ``result``."""
        flow = Flow(self.scope, self, self.states)
        built = flow.build(self.start, state)
        for name in self.states:
            if name not in flow.reached:
                self.scope.notes.check(self.path(name), "nothing leads to this state; it is left out")
        return built

    def inner(self, machine: Mapping[str, Any], path: str, scope: Scope, *, item: bool = False) -> Machine:
        """Return a machine inside of this one."""
        return Machine(
            self.document,
            machine,
            path,
            scope,
            variables=self.variables,
            item=self.item or item,
            language=self.language,
        )

    def child(self, machine: Mapping[str, Any], path: str, name: str, state: Node) -> bool:
        """Make a workflow of a machine; return whether its result stands in the member ``result``."""
        scope = Scope(notes=self.scope.notes, ids=Namer(), names=Namer(), wraps=True)
        inner = Machine(self.document, machine, path, scope, language=self.language)
        steps, wrapped = inner.build(state)
        self.document.definitions.append({"name": name, "steps": steps})
        return wrapped

    @property
    def ends_all(self) -> bool:
        """Whether a state that ends the machine ends the execution."""
        return self.scope.top and not self.scope.wraps

    def path(self, name: str) -> str:
        """Return where a state stands."""
        return f"{self._path}States.{name}"

    def label(self, name: str) -> str:
        """Return the name of a state."""
        return name

    def targets(self, name: str) -> Sequence[str]:
        """Return the states that may follow."""
        state = self.states[name]
        handled = [catcher["Next"] for catcher in state.get("Catch", ())]
        if state["Type"] == "Choice":
            ways = [rule["Next"] for rule in state["Choices"]]
            return [*ways, *([state["Default"]] if "Default" in state else ())]
        if state["Type"] in {"Succeed", "Fail"}:
            return [END]
        return [END if state.get("End") is True else state["Next"], *handled]

    def translate(self, name: str, state: Node) -> Piece:
        """Return what becomes of a state."""
        kept = self._kept_error(name, state)
        view = StateView(self, name, Expr(f"vars.{self.scope.variable}", object=True) if kept else state)
        view.tell_unknown()
        piece = _TYPES[view.state["Type"]](view)
        if kept:
            kept["next"] = piece.steps[0]["id"]
            piece.steps.insert(0, kept)
        return piece

    def _kept_error(self, name: str, state: Node) -> StepDict | None:
        """Return a step that keeps an error that is a part of the data, before another one may come."""
        template = state.template()
        if not self.states[name].get("Catch") or "${error." not in json.dumps(template):
            return None
        variable = self.scope.data()
        return {"id": self.scope.ids(f"{name} data"), "set": {variable: template}}

    def _own_variables(self) -> dict[str, str]:
        found: dict[str, None] = {}
        for state in self.states.values():
            for place in (state, *state.get("Choices", ()), *state.get("Catch", ())):
                if isinstance(place.get("Assign"), dict):
                    found.update(dict.fromkeys(str(key).removesuffix(".$") for key in place["Assign"]))
        return {name: self.scope.names(name, "variable") for name in found}


_TYPES: Final[Mapping[str, Callable[[StateView], Piece]]] = {
    "Task": task_state,
    "Pass": pass_state,
    "Choice": choice_state,
    "Wait": wait_state,
    "Succeed": succeed_state,
    "Fail": fail_state,
    "Parallel": parallel_state,
    "Map": map_state,
}
