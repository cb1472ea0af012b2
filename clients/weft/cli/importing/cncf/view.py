"""One task, with the data it works on and the means to translate it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from weft.cli.importing.cncf import jq
from weft.cli.importing.cncf.document import Document
from weft.cli.importing.cncf.durations import as_text, seconds_of
from weft.cli.importing.cncf.form import KINDS, kind_of
from weft.cli.importing.cncf.plan import Plan, Vertex
from weft.cli.importing.nodes import CannotTranslateError, Missing, Node, Record, Value, node_of
from weft.cli.importing.pieces import END, Piece, Scope, Source, StepDict, leave_by

__all__ = ["TaskView"]

_COMMON: Final = frozenset(["if", "input", "output", "export", "timeout", "then", "metadata"])
_OWN: Final = {
    "call": {"with"},
    "for": {"do", "while"},
    "try": {"catch"},
    "listen": {"foreach"},
}
_LONGEST_CALL: Final = 86_400


class TaskView:
    """One task."""

    def __init__(
        self,
        document: Document,
        vertex: Vertex,
        scope: Scope,
        raw: Node,
        inner: Callable[[Plan, Scope], Source],
        *,
        entered: bool = True,
    ) -> None:
        self.document = document
        self.inner = inner
        """Makes what translates the tasks that this one holds."""
        self.vertex = vertex
        self.scope = scope
        self.task = vertex.task
        self.kind = kind_of(dict(vertex.task))
        self.notes = document.notes
        self.names: dict[str, Node] = {
            **document.names(),
            "$task": Record({"name": Value(vertex.name), "definition": node_of(dict(vertex.task))}),
            **vertex.names,
            ".": raw,
        }
        self.input = self._entered(raw) if entered else raw
        self.names |= {".": self.input, "$input": self.input}
        self.id = scope.ids(vertex.name) if entered and vertex.role == "task" else ""
        if vertex.role == "task":
            self.tell_lost()

    def _entered(self, raw: Node) -> Node:
        given = self.task.get("input", {})
        if "schema" in given:
            self.lost(
                "input.schema", "only the workflow's input is checked, and each action's by its own schema"
            )
        return self.value(given["from"], "input.from", raw) if "from" in given else raw

    def lost(self, member: str, message: str) -> None:
        """Say that a member of the task could not be carried over."""
        self.notes.lost(f"{self.vertex.path}.{member}" if member else self.vertex.path, message)

    def check(self, member: str, message: str) -> None:
        """Say what is to be checked about a member of the task."""
        self.notes.check(f"{self.vertex.path}.{member}" if member else self.vertex.path, message)

    def calls(self, member: str, service: str, action: str) -> None:
        """Say once that an action is called, which somebody has to provide."""
        if (service, action) not in self.document.called:
            self.document.called.add((service, action))
            self.check(member, f"calls the action {action!r} of the service {service!r}: register it")

    def value(self, value: Any, member: str, dot: Node | None = None) -> Node:
        """Return a value whose texts may be expressions."""
        names = {**self.names, ".": dot} if dot is not None else self.names
        return jq.value_of(value, names, f"{self.vertex.path}.{member}", self.notes.lost)

    def expression(self, text: Any, member: str, dot: Node | None = None) -> Node:
        """Return what an expression gives, with or without ``${ … }``."""
        names = {**self.names, ".": dot} if dot is not None else self.names
        try:
            return jq.translate(text, names)
        except CannotTranslateError as error:
            self.lost(member, f"{str(text).strip()[:80]}: {error}")
            return Missing(f"not carried over: {text}"[:200])

    def condition(self, text: Any, member: str, dot: Node | None = None) -> str:
        """Return a condition as a switch or loop has it."""
        if isinstance(text, bool):
            return "${true}" if text else "${false}"
        found = self.expression(text, member, dot)
        try:
            return str(found.expr().template())
        except CannotTranslateError as error:
            self.lost(member, str(error))
            return str(Missing("not carried over: a condition").template())

    def output(self, result: Node) -> Node:
        """Apply ``output.as``."""
        given = self.task.get("output", {})
        if "schema" in given:
            self.lost(
                "output.schema", "only the workflow's result is checked, and each action's by its own schema"
            )
        return self.value(given["as"], "output.as", result) if "as" in given else result

    def export(self, left: Node) -> StepDict | None:
        """Return the step that sets what the task exports to ``$context``."""
        given = self.task.get("export", {})
        if "schema" in given:
            self.lost("export.schema", "what is exported is not checked")
        if "as" not in given:
            return None
        values = {"context": self.value(given["as"], "export.as", left).template()}
        return {"id": self.scope.ids(f"{self.vertex.name} export"), "set": values}

    def leave(self, step: StepDict, result: Node, *, output: bool = True) -> Piece:
        """Return the step with its way on, by way of what it exports."""
        left = self.output(result)
        exported = self.export(left)
        follow = self.vertex.follow
        if exported is None:
            return Piece(steps=[step], exits=[leave_by(step, follow, left, output=output)])
        step["next"] = exported["id"]
        return Piece(steps=[step, exported], exits=[leave_by(exported, follow, left, output=False)])

    @property
    def ends(self) -> bool:
        """Whether the execution ends behind it."""
        return self.vertex.follow == END and self.scope.top

    def timeout(self, step: StepDict) -> None:
        """Give the step the timeout of the task, where steps have one."""
        given = self.task.get("timeout")
        if given is None:
            return
        seconds = self.document_timeout(given)
        if seconds is None or seconds <= 0:
            self.lost("timeout", "is no fixed duration")
        elif not {"service", "signal"} & step.keys():
            self.lost("timeout", "only calls of actions and waiting for events have a limit of their own")
        elif "service" in step:
            step["timeout"] = as_text(min(seconds, _LONGEST_CALL))
        else:
            step["timeout"] = as_text(seconds)

    def document_timeout(self, given: Any) -> float | None:
        """Return the seconds of a timeout, which may be one that is defined once."""
        found = self.document.use("timeouts").get(given) if isinstance(given, str) else given
        return seconds_of(found.get("after")) if isinstance(found, dict) else None

    def tell_lost(self) -> None:
        """Say which members are not known here."""
        known = _COMMON | set(KINDS) & {self.kind} | _OWN.get(self.kind, set())
        for member in self.task:
            if member not in known:
                self.lost(member, "is no member of such a task that is known here")
        if self.vertex.role == "open" and "timeout" in self.task:
            self.lost("timeout", "only calls of actions and waiting for events have a limit of their own")
