"""Events of histories as messages."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from weft.api.common.v1 import context_pb2
from weft.api.execution.v1 import execution_pb2 as pb
from weft.core.context import CallContext
from weft.core.payload import PayloadKind, to_payload
from weft.server.execution.history import model
from weft.server.execution.history.model import Event, EventBody, Origin
from weft.server.execution.wire.language_convert import failure_to_proto, language_body
from weft.server.protos import duration, enum_to_proto, timestamp

__all__ = ["context_to_proto", "event_to_proto", "failure_to_proto", "origin_to_proto"]


def event_to_proto(event: Event, kind: PayloadKind) -> pb.Event:
    """Show an event, its payload in the kind asked for."""
    kind_of, body = _body(event.body, kind)
    fields: dict[str, Any] = {kind_of: body}
    return pb.Event(number=event.number, time=timestamp(event.time), **fields)


def _body(body: EventBody, kind: PayloadKind) -> tuple[str, Message]:
    match body:
        case model.StepScheduled() | model.StepCompleted():
            return _of_attempt(body, kind)
        case model.StepReused() | model.StepAccepted() | model.StepProgressed():
            return _of_step(body, kind)
        case model.StepFailed() | model.StepRetryScheduled() | model.IncidentRaised():
            return _of_failure(body)
        case (
            model.MapStarted()
            | model.StepWaiting()
            | model.SignalReceived()
            | model.ScopeCompleted()
            | model.ScopeFailed()
            | model.EventEmitted()
            | model.ExecutionClosing()
        ):
            return language_body(body, kind)
        case _:
            return _of_execution(body, kind)


def _of_attempt(body: model.StepScheduled | model.StepCompleted, kind: PayloadKind) -> tuple[str, Message]:
    step_id, attempt = body.step_id, body.attempt
    if isinstance(body, model.StepScheduled):
        return "step_scheduled", pb.StepScheduled(step_id=step_id, attempt=attempt, cause=body.cause)
    output = to_payload(body.output, kind)
    completed = pb.StepCompleted(
        step_id=step_id,
        attempt=attempt,
        output=output,
        instance_id=body.instance_id,
        next=body.next or "",
        signal_id=body.signal_id,
        undo=body.undo,
    )
    return "step_completed", completed


def _of_step(
    body: model.StepReused | model.StepAccepted | model.StepProgressed, kind: PayloadKind
) -> tuple[str, Message]:
    match body:
        case model.StepReused():
            return "step_reused", pb.StepReused(
                step_id=body.step_id,
                output=to_payload(body.output, kind),
                execution_id=body.execution_id,
            )
        case model.StepAccepted():
            return "step_accepted", pb.StepAccepted(
                step_id=body.step_id,
                attempt=body.attempt,
                close_time=timestamp(body.close_time),
                instance_id=body.instance_id,
            )
        case model.StepProgressed():
            details = to_payload(body.details, kind)
            progressed = pb.StepProgressed(step_id=body.step_id, attempt=body.attempt, details=details)
            return "step_progressed", progressed


def _of_failure(
    body: model.StepFailed | model.StepRetryScheduled | model.IncidentRaised,
) -> tuple[str, Message]:
    step_id, attempt, instance_id = body.step_id, body.attempt, body.instance_id
    failure = failure_to_proto(body.failure)
    match body:
        case model.StepFailed():
            return "step_failed", pb.StepFailed(
                step_id=step_id,
                attempt=attempt,
                failure=failure,
                instance_id=instance_id,
                handled=body.handled,
                next=body.next,
            )
        case model.StepRetryScheduled():
            return "step_retry_scheduled", pb.StepRetryScheduled(
                step_id=step_id,
                attempt=attempt,
                failure=failure,
                retry_time=timestamp(body.retry_time),
                instance_id=instance_id,
            )
        case model.IncidentRaised():
            return "incident_raised", pb.IncidentRaised(
                step_id=step_id, attempt=attempt, failure=failure, instance_id=instance_id
            )


def _of_pause(body: model.ExecutionPaused | model.ExecutionResumed) -> tuple[str, Message]:
    if isinstance(body, model.ExecutionPaused):
        return "execution_paused", pb.ExecutionPaused(reason=body.reason)
    return "execution_resumed", pb.ExecutionResumed(reason=body.reason)


def _of_execution(body: EventBody, kind: PayloadKind) -> tuple[str, Message]:
    match body:
        case model.ExecutionStarted():
            return "execution_started", _started(body, kind)
        case model.IncidentResolved():
            return "incident_resolved", pb.IncidentResolved(
                step_id=body.step_id,
                resolution=enum_to_proto(pb.IncidentResolution, "INCIDENT_RESOLUTION", body.resolution),
                input=None if body.input is None else to_payload(body.input, kind),
                note=body.note,
            )
        case model.ExecutionPaused() | model.ExecutionResumed():
            return _of_pause(body)
        case _:
            return _of_end(body, kind)


def _of_end(body: EventBody, kind: PayloadKind) -> tuple[str, Message]:
    match body:
        case model.ExecutionCompleted():
            return "execution_completed", pb.ExecutionCompleted(result=to_payload(body.result, kind))
        case model.ExecutionFailed():
            return "execution_failed", pb.ExecutionFailed(failure=failure_to_proto(body.failure))
        case model.ExecutionCancelled():
            return "execution_cancelled", pb.ExecutionCancelled(reason=body.reason)
        case model.ExecutionTimedOut():
            return "execution_timed_out", pb.ExecutionTimedOut(timeout=duration(body.timeout))
        case _:
            raise AssertionError(body)


def _started(body: model.ExecutionStarted, kind: PayloadKind) -> pb.ExecutionStarted:
    return pb.ExecutionStarted(
        input=to_payload(body.input, kind),
        context=context_to_proto(body.context),
        workflow_id=body.workflow_id,
        workflow_version=body.workflow_version,
        timeout=duration(body.timeout),
        traceparent=body.trace.traceparent,
        origin=origin_to_proto(body.origin),
    )


def origin_to_proto(origin: Origin) -> pb.Origin | None:
    """Show what an execution repeats; None when it repeats nothing."""
    if not origin.execution_id:
        return None
    return pb.Origin(execution_id=origin.execution_id, from_step=origin.from_step)


def context_to_proto(context: CallContext) -> context_pb2.CallContext:
    """Show what travels with an execution."""
    return context_pb2.CallContext(
        project_id=context.project_id, request_id=context.request_id, values=context.values
    )
