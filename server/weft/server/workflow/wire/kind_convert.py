"""What a step is, when it is no call: messages to their model, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from weft.api.workflow.v1 import workflow_pb2 as pb
from weft.core.payload import JsonObject, PayloadKind, from_value, to_value
from weft.server.protos import optional_object
from weft.server.requests import MAX_REF, MAX_TEXT, Faults
from weft.server.workflow import kinds
from weft.server.workflow.model import Step
from weft.server.workflow.wire.nested import nested_object
from weft.server.workflow.wire.policy_convert import MAX_KEY

__all__ = ["ReadSteps", "ShowSteps", "kind_from_proto", "kind_to_proto"]

ReadSteps: TypeAlias = Callable[[Sequence[pb.Step], str], tuple[Step, ...]]
"""Reads the steps inside of a step; the text is their path."""
ShowSteps: TypeAlias = Callable[[Sequence[Step]], list[pb.Step]]
"""Shows the steps inside of a step."""

_MOST: Final = 100
"""Cases, branches, assignees and outcomes."""
_MAX_AT_ONCE: Final = 1_000
_MAX_ITEMS: Final = 1_000_000
_MAX_ITERATIONS: Final = 100_000


class _Reader:
    """Reads one kind; the methods are named after the members of the message."""

    def __init__(self, path: str, faults: Faults, steps: ReadSteps) -> None:
        self._path = path
        self._faults = faults
        self._steps = steps

    def switch(self, message: pb.SwitchStep) -> kinds.Switch:
        self._faults.required(f"{self._path}.cases", message.cases)
        self._faults.count(f"{self._path}.cases", message.cases, _MOST)
        cases = tuple(kinds.Case(when=case.when, next=case.next) for case in message.cases[:_MOST])
        return kinds.Switch(cases=cases, default=message.default)

    def parallel(self, message: pb.ParallelStep) -> kinds.Parallel:
        self._faults.required(f"{self._path}.branches", message.branches)
        self._faults.count(f"{self._path}.branches", message.branches, _MOST)
        self._number(message, "join", 0, _MOST)
        branches = tuple(
            kinds.Branch(
                name=branch.name,
                steps=self._steps(branch.steps, f"{self._path}.branches[{number}].steps"),
            )
            for number, branch in enumerate(message.branches[:_MOST])
        )
        return kinds.Parallel(branches=branches, join=message.join, collect_errors=message.collect_errors)

    def map(self, message: pb.MapStep) -> kinds.Map:
        self._number(message, "max_concurrency", 0, _MAX_AT_ONCE)
        self._number(message, "tolerated_failures", -1, _MAX_ITEMS)
        return kinds.Map(
            items=self._faults.attempt(lambda: from_value(message.items, f"{self._path}.items"), None),
            steps=self._steps(message.steps, f"{self._path}.steps"),
            workflow=self._child(message.workflow, f"{self._path}.workflow")
            if message.HasField("workflow")
            else None,
            max_concurrency=message.max_concurrency,
            tolerated_failures=message.tolerated_failures,
            discard_outputs=message.discard_outputs,
        )

    def loop(self, message: pb.LoopStep) -> kinds.Loop:
        self._number(message, "max_iterations", 0, _MAX_ITERATIONS)
        return kinds.Loop(
            while_=getattr(message, "while"),
            until=message.until,
            steps=self._steps(message.steps, f"{self._path}.steps"),
            max_iterations=message.max_iterations,
        )

    def wait(self, message: pb.WaitStep) -> kinds.Wait:
        return kinds.Wait(duration=message.duration, until=message.until)

    def signal(self, message: pb.SignalStep) -> kinds.Signal:
        self._faults.text(f"{self._path}.correlation", message.correlation, MAX_KEY)
        schema = self._object(message, "schema")
        return kinds.Signal(name=message.name, correlation=message.correlation, schema=schema)

    def approval(self, message: pb.ApprovalStep) -> kinds.Approval:
        self._faults.text(f"{self._path}.title", message.title, MAX_TEXT)
        return kinds.Approval(
            title=message.title,
            assignees=self._texts(message, "assignees", MAX_KEY),
            due=message.due,
            outcomes=self._texts(message, "outcomes", MAX_REF) or kinds.Approval().outcomes,
            schema=self._object(message, "schema"),
        )

    def workflow(self, message: pb.ChildStep) -> kinds.Child:
        return self._child(message, self._path)

    def _child(self, message: pb.ChildStep, path: str) -> kinds.Child:
        self._faults.ref(f"{path}.name", message.name)
        self._faults.text(f"{path}.alias", message.alias, MAX_REF)
        self._faults.number(f"{path}.version", message.version, 0)
        return kinds.Child(
            name=message.name, version=message.version, alias=message.alias, abandon=message.abandon
        )

    def emit(self, message: pb.EmitStep) -> kinds.Emit:
        self._faults.ref(f"{self._path}.type", message.type)
        return kinds.Emit(type=message.type, data=self._object(message, "data"))

    def fail(self, message: pb.FailStep) -> kinds.Fail:
        self._faults.ref(f"{self._path}.reason", message.reason)
        self._faults.text(f"{self._path}.message", message.message, MAX_TEXT)
        return kinds.Fail(reason=message.reason, message=message.message)

    def succeed(self, message: pb.SucceedStep) -> kinds.Succeed:
        return kinds.Succeed(result=self._object(message, "result"))

    def _number(self, message: Any, field: str, least: int, most: int) -> None:
        self._faults.number(f"{self._path}.{field}", getattr(message, field), least, most)

    def _texts(self, message: Any, field: str, limit: int) -> tuple[str, ...]:
        texts: Sequence[str] = getattr(message, field)
        self._faults.count(f"{self._path}.{field}", texts, _MOST)
        for number, text in enumerate(texts[:_MOST]):
            self._faults.text(f"{self._path}.{field}[{number}]", text, limit)
        return tuple(texts[:_MOST])

    def _object(self, message: Any, field: str) -> JsonObject | None:
        return self._faults.attempt(lambda: optional_object(message, field, f"{self._path}.{field}"), None)


def kind_from_proto(message: pb.Step, path: str, faults: Faults, steps: ReadSteps) -> kinds.Kind | None:
    """Read what a step is; None for a call of an action."""
    said = message.WhichOneof("kind")
    if said is None:
        return None
    path = f"{path}.{said}"
    if said == "set":
        values = faults.attempt(lambda: optional_object(message, "set", path), None)
        return kinds.SetVariables(values=values or {})
    read: Callable[[Any], kinds.Kind] = getattr(_Reader(path, faults, steps), said)
    return read(getattr(message, said))


def kind_to_proto(kind: kinds.Kind | None, payloads: PayloadKind, steps: ShowSteps) -> dict[str, Any]:
    """Show what a step is, as the member of its message; nothing for a call of an action."""
    if kind is None:
        return {}
    return {kind.kind: _show(kind, payloads, steps)}


def _show(kind: kinds.Kind, payloads: PayloadKind, steps: ShowSteps) -> Any:
    match kind:
        case kinds.Parallel() | kinds.Map() | kinds.Loop():
            return _show_container(kind, steps)
        case kinds.Switch(cases=cases, default=default):
            shown = [pb.SwitchCase(when=case.when, next=case.next) for case in cases]
            return pb.SwitchStep(cases=shown, default=default)
        case kinds.Wait(duration=duration, until=until):
            return pb.WaitStep(duration=duration, until=until)
        case kinds.Child():
            return _show_child(kind)
        case kinds.Fail(reason=reason, message=message):
            return pb.FailStep(reason=reason, message=message)
        case _:
            return _show_with_payload(kind, payloads)


def _show_container(kind: kinds.Parallel | kinds.Map | kinds.Loop, steps: ShowSteps) -> Any:
    match kind:
        case kinds.Parallel(branches=branches, join=join, collect_errors=collect):
            shown = [pb.Branch(name=branch.name, steps=steps(branch.steps)) for branch in branches]
            return pb.ParallelStep(branches=shown, join=join, collect_errors=collect)
        case kinds.Map():
            return pb.MapStep(
                items=None if kind.items is None else to_value(kind.items),
                steps=steps(kind.steps),
                workflow=None if kind.workflow is None else _show_child(kind.workflow),
                max_concurrency=kind.max_concurrency,
                tolerated_failures=kind.tolerated_failures,
                discard_outputs=kind.discard_outputs,
            )
        case kinds.Loop():
            said: dict[str, Any] = {"while": kind.while_}
            return pb.LoopStep(
                until=kind.until, steps=steps(kind.steps), max_iterations=kind.max_iterations, **said
            )


def _show_child(child: kinds.Child) -> pb.ChildStep:
    return pb.ChildStep(name=child.name, version=child.version, alias=child.alias, abandon=child.abandon)


def _show_with_payload(
    kind: kinds.Signal | kinds.Approval | kinds.SetVariables | kinds.Emit | kinds.Succeed,
    payloads: PayloadKind,
) -> Any:
    match kind:
        case kinds.Signal(name=name, correlation=correlation, schema=schema):
            return pb.SignalStep(name=name, correlation=correlation, schema=nested_object(schema, payloads))
        case kinds.Approval():
            return pb.ApprovalStep(
                title=kind.title,
                assignees=kind.assignees,
                due=kind.due,
                outcomes=kind.outcomes,
                schema=nested_object(kind.schema, payloads),
            )
        case kinds.SetVariables(values=values):
            return nested_object(values, payloads)
        case kinds.Emit(type=kind_of_event, data=data):
            return pb.EmitStep(type=kind_of_event, data=nested_object(data, payloads))
        case kinds.Succeed(result=result):
            return pb.SucceedStep(result=nested_object(result, payloads))
