"""The tasks of one list as steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from weft.cli.importing.cncf.calls import call_task, run_task
from weft.cli.importing.cncf.document import Document
from weft.cli.importing.cncf.errors import reasons_of, retry_of
from weft.cli.importing.cncf.events import emit_task, listen_task
from weft.cli.importing.cncf.form import kind_of
from weft.cli.importing.cncf.holders import for_task, fork_task
from weft.cli.importing.cncf.plan import Plan, Vertex, kept_error
from weft.cli.importing.cncf.simple import raise_task, set_task, switch_task, wait_task
from weft.cli.importing.cncf.view import TaskView
from weft.cli.importing.nodes import Expr, Node
from weft.cli.importing.objects import as_object
from weft.cli.importing.pieces import END, Exit, Piece, Scope, StepDict, leave_by

__all__ = ["Tasks"]


class Tasks:
    """Translates the tasks of one plan."""

    def __init__(self, document: Document, plan: Plan, scope: Scope) -> None:
        self.document = document
        self.scope = scope
        self._plan = plan
        self._saved: dict[str, Node] = {}

    def _view(self, vertex: Vertex, state: Node, *, entered: bool = True) -> TaskView:
        return TaskView(self.document, vertex, self.scope, state, self._inner, entered=entered)

    def _inner(self, plan: Plan, scope: Scope) -> Tasks:
        """Return what translates tasks that one of these holds."""
        return Tasks(self.document, plan, scope)

    def path(self, name: str) -> str:
        """Return where something stands."""
        return self._plan[name].path

    def label(self, name: str) -> str:
        """Return the name of a task."""
        return self._plan[name].name

    def targets(self, name: str) -> Sequence[str]:
        """Return what may follow."""
        vertex = self._plan[name]
        match vertex.role:
            case "if":
                return [vertex.follow, vertex.skip]
            case "end":
                return [END]
            case "catch" if _conditional(vertex):
                return [vertex.follow, *_handled(vertex)]
            case "task":
                return [*self._ways(vertex), *_handled(vertex)]
            case _:
                return [vertex.follow]

    @staticmethod
    def _ways(vertex: Vertex) -> list[str]:
        kind = kind_of(dict(vertex.task))
        if kind == "raise":
            return []
        if kind != "switch":
            return [vertex.follow]
        cases = [case for entry in vertex.task["switch"] for case in entry.values()]
        ways = [vertex.ways[case.get("then", "continue")] for case in cases]
        return ways if any("when" not in case for case in cases) else [*ways, vertex.follow]

    def translate(self, name: str, state: Node) -> Piece:
        """Return what becomes of a vertex."""
        vertex = self._plan[name]
        match vertex.role:
            case "if":
                return self._condition(vertex, state)
            case "open":
                return self._open(vertex, state)
            case "close":
                return self._close(vertex, state)
            case "catch":
                return self._catch(vertex, state)
            case "end":
                return self._end(state)
            case _:
                return self._task(vertex, state)

    def _task(self, vertex: Vertex, state: Node) -> Piece:
        view = self._view(vertex, state)
        piece = _KINDS[view.kind](view)
        self._handle(vertex, piece)
        return piece

    def _condition(self, vertex: Vertex, state: Node) -> Piece:
        view = self._view(vertex, state, entered=False)
        case: dict[str, Any] = {"when": view.condition(vertex.task["if"], "if", state)}
        switch: dict[str, Any] = {"cases": [case]}
        step = {"id": self.scope.ids(f"if {vertex.name}"), "switch": switch}
        exits = [
            Exit(target=vertex.follow, state=state, connect=lambda to: case.update(next=to)),
            Exit(
                target=vertex.skip,
                state=state,
                connect=lambda to: switch.update(default=to),
                needed=True,
            ),
        ]
        piece = Piece(steps=[step], exits=exits)
        self._handle(vertex, piece)
        return piece

    def _open(self, vertex: Vertex, state: Node) -> Piece:
        view = self._view(vertex, state)
        view.tell_lost()
        entered = view.input
        self._saved[vertex.key] = entered
        needed = "try" in vertex.task or "$input" in json.dumps(vertex.task.get("output", ""))
        text = json.dumps(entered.template())
        if not (needed and ("vars." in text or "error." in text)):
            return _passing(vertex.follow, entered)
        variable = self.scope.names(f"{vertex.name} input", "input")
        self._saved[vertex.key] = Expr(f"vars.{variable}")
        step: StepDict = {
            "id": self.scope.ids(f"{vertex.name} begins"),
            "set": {variable: entered.template()},
        }
        return Piece(steps=[step], exits=[leave_by(step, vertex.follow, entered, output=False)])

    def _close(self, vertex: Vertex, state: Node) -> Piece:
        view = self._view(vertex, state, entered=False)
        owner = vertex.key.removesuffix("#close") + "#open"
        view.names["$input"] = self._saved.get(owner, state)
        left = view.output(state)
        exported = view.export(left)
        if exported is None:
            return _passing(vertex.follow, left)
        return Piece(steps=[exported], exits=[leave_by(exported, vertex.follow, left, output=False)])

    def _catch(self, vertex: Vertex, state: Node) -> Piece:
        if not _conditional(vertex):
            return _passing(vertex.follow, state)
        view = self._view(vertex, state, entered=False)
        catch = vertex.task["catch"]
        tests = [
            view.condition(catch[member], f"catch.{member}", state)
            for member in ("when", "exceptWhen")
            if member in catch
        ]
        inverted = [
            f"!({text[2:-1]})" if at == len(tests) - 1 and "exceptWhen" in catch else text[2:-1]
            for at, text in enumerate(tests)
        ]
        case: dict[str, Any] = {"when": "${" + " && ".join(inverted) + "}"}
        kept = kept_error(vertex.key.removesuffix("#catch"), vertex.task)
        told = f"vars.{kept}" if kept else "error"
        again: StepDict = {
            "id": self.scope.ids(f"{vertex.name} not caught"),
            "fail": {
                "reason": "NOT_CAUGHT",
                "message": f"${{{told}.reason}}: ${{{told}.message}}",
            },
        }
        step = {
            "id": self.scope.ids(f"{vertex.name} caught"),
            "switch": {"cases": [case], "default": again["id"]},
        }
        way = Exit(target=vertex.follow, state=state, connect=lambda to: case.update(next=to))
        piece = Piece(steps=[step, again], exits=[way])
        self._handlers(vertex, again, piece)
        return piece

    def _end(self, state: Node) -> Piece:
        """End everything, from inside of a list in a list."""
        result = as_object(self.document.result(state))[0]
        return Piece(steps=[{"id": self.scope.ids("end"), "succeed": {"result": result}}])

    def _handle(self, vertex: Vertex, piece: Piece) -> None:
        main = (
            piece.steps[-1]
            if vertex.role == "if"
            else next((step for step in piece.steps if not _is_quiet(step)), piece.steps[0])
        )
        if _can_fail(main):
            self._handlers(vertex, main, piece)

    def _handlers(self, vertex: Vertex, step: StepDict, piece: Piece) -> None:
        for handler in vertex.handlers:
            filters = handler.catch.get("errors")
            reasons = reasons_of(filters, f"{handler.path}.errors", self.scope.notes)
            taker: dict[str, Any] = {"reasons": reasons} if reasons else {}
            step.setdefault("on_error", []).append(taker)
            state = self._saved.get(handler.owner, Expr("input"))
            if handler.kept:
                keep: StepDict = {
                    "id": self.scope.ids(f"{vertex.name} error"),
                    "set": {handler.kept: "${error}"},
                }
                taker["next"] = keep["id"]
                piece.steps.append(keep)
                piece.exits.append(leave_by(keep, handler.key, state, output=False))
            else:
                piece.exits.append(Exit(target=handler.key, state=state, connect=_next_of(taker)))
            if handler is vertex.handlers[0]:
                self._retry(vertex, handler.catch, handler.path, step)
            if not reasons:
                break

    def _retry(self, vertex: Vertex, catch: Mapping[str, Any], path: str, step: StepDict) -> None:
        if "retry" not in catch:
            return
        policy = retry_of(catch["retry"], self.document.use("retries"), f"{path}.retry", self.scope.notes)
        if policy and "service" in step:
            step["retry"] = policy
            self.scope.notes.check(
                f"{path}.retry", "each call is tried again by itself, not the list of tasks"
            )
        elif policy and vertex.role == "task" and kind_of(dict(vertex.task)) == "run":
            self.scope.notes.lost(f"{path}.retry", "only calls of actions are tried again")


def _passing(target: str, state: Node) -> Piece:
    return Piece(steps=[], exits=[Exit(target=target, state=state, connect=_nothing)])


def _nothing(_: str) -> None:
    """Be replaced by who connects what arrives."""


def _next_of(taker: dict[str, Any]) -> Callable[[str], None]:
    return lambda to: taker.update(next=to)


def _conditional(vertex: Vertex) -> bool:
    catch = vertex.task.get("catch", {})
    return "when" in catch or "exceptWhen" in catch


def _handled(vertex: Vertex) -> list[str]:
    return [handler.key for handler in vertex.handlers]


def _is_quiet(step: StepDict) -> bool:
    return "set" in step and len(step) <= 3


def _can_fail(step: StepDict) -> bool:
    """Tell whether a step can: all that do something, and those with expressions."""
    quiet = {"set", "switch", "wait", "emit", "succeed"} & step.keys()
    return not quiet or "${" in json.dumps(step)


_KINDS: Final[Mapping[str, Callable[[TaskView], Piece]]] = {
    "call": call_task,
    "emit": emit_task,
    "for": for_task,
    "fork": fork_task,
    "listen": listen_task,
    "raise": raise_task,
    "run": run_task,
    "set": set_task,
    "switch": switch_task,
    "wait": wait_task,
}
