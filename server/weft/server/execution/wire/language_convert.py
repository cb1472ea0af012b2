"""Events of the language beside calls of actions, as messages."""

from __future__ import annotations

from google.protobuf.message import Message

from weft.api.common.v1 import failure_pb2
from weft.api.execution.v1 import execution_pb2 as pb
from weft.core.payload import PayloadKind, to_payload
from weft.server.execution.history import model
from weft.server.execution.history.model import Asked, Failure
from weft.server.protos import enum_to_proto, timestamp

__all__ = ["LanguageEvent", "asked_to_proto", "failure_to_proto", "language_body", "waits_to_proto"]

LanguageEvent = (
    model.MapStarted
    | model.StepWaiting
    | model.SignalReceived
    | model.ScopeCompleted
    | model.ScopeFailed
    | model.EventEmitted
    | model.ExecutionClosing
)


def language_body(body: LanguageEvent, kind: PayloadKind) -> tuple[str, Message]:
    """Show what happened, under the name of its field."""
    match body:
        case model.MapStarted():
            return "map_started", pb.MapStarted(step_id=body.step_id, count=body.count)
        case model.StepWaiting():
            return "step_waiting", _waiting(body)
        case model.ScopeFailed():
            failure = failure_to_proto(body.failure)
            return "scope_failed", pb.ScopeFailed(scope=body.scope, failure=failure)
        case model.ExecutionClosing():
            return "execution_closing", _closing(body, kind)
        case _:
            return _with_payload(body, kind)


def _with_payload(
    body: model.SignalReceived | model.ScopeCompleted | model.EventEmitted, kind: PayloadKind
) -> tuple[str, Message]:
    match body:
        case model.SignalReceived():
            return "signal_received", pb.SignalReceived(
                signal_id=body.signal_id,
                name=body.name,
                correlation=body.correlation,
                payload=to_payload(body.payload, kind),
            )
        case model.ScopeCompleted():
            output = to_payload(body.output, kind)
            return "scope_completed", pb.ScopeCompleted(scope=body.scope, output=output)
        case model.EventEmitted():
            data = to_payload(body.data, kind)
            return "event_emitted", pb.EventEmitted(step_id=body.step_id, type=body.type, data=data)


def _waiting(body: model.StepWaiting) -> pb.StepWaiting:
    return pb.StepWaiting(
        step_id=body.step_id,
        reason=waits_to_proto(body.waits),
        until=timestamp(body.until),
        signal=body.signal,
        correlation=body.correlation,
        approval=asked_to_proto(body.asked),
        child_execution_id=body.child,
    )


def _closing(body: model.ExecutionClosing, kind: PayloadKind) -> pb.ExecutionClosing:
    return pb.ExecutionClosing(
        outcome=enum_to_proto(pb.ExecutionState, "EXECUTION_STATE", body.outcome),
        result=None if body.result is None else to_payload(body.result, kind),
        failure=failure_to_proto(body.failure),
        reason=body.reason,
        undo=body.undo,
    )


def asked_to_proto(asked: Asked | None) -> pb.Approval | None:
    """Show what a person is asked."""
    if asked is None:
        return None
    return pb.Approval(
        title=asked.title,
        assignees=asked.assignees,
        due_time=timestamp(asked.due_time),
        outcomes=asked.outcomes,
    )


def waits_to_proto(waits: model.Waits) -> pb.WaitReason.ValueType:
    """Show what is waited for."""
    if waits is model.Waits.NOTHING:
        return pb.WAIT_REASON_UNSPECIFIED
    number: pb.WaitReason.ValueType = enum_to_proto(pb.WaitReason, "WAIT_REASON", waits)
    return number


def failure_to_proto(failure: Failure | None) -> failure_pb2.Failure | None:
    """Show a failure."""
    if failure is None:
        return None
    return failure_pb2.Failure(
        reason=failure.reason,
        message=failure.message,
        code=int(failure.code),
        metadata=failure.metadata,
        violations=[
            failure_pb2.FieldViolation(field=v.field, description=v.description, reason=v.reason)
            for v in failure.violations
        ],
        retryable=failure.retryable,
        domain=failure.domain,
    )
