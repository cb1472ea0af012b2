"""Messages of executions to their model, and back."""

from __future__ import annotations

from weft.api.common.v1 import context_pb2, failure_pb2
from weft.api.execution.v1 import execution_pb2 as pb
from weft.core.context import CallContext
from weft.core.payload import PayloadKind, to_payload
from weft.server.execution import model
from weft.server.execution.model import Event, Execution, ExecutionState, Failure, StepExecution
from weft.server.execution.run import ExecutionDetails
from weft.server.protos import duration, enum_from_proto, enum_to_proto, timestamp
from weft.server.workflow.model import Step

__all__ = [
    "details_to_proto",
    "event_to_proto",
    "execution_to_proto",
    "state_from_proto",
    "state_to_proto",
]


def execution_to_proto(execution: Execution) -> pb.Execution:
    """Show the summary of an execution."""
    return pb.Execution(
        id=execution.id,
        workflow_id=execution.workflow_id,
        workflow_name=execution.workflow_name,
        workflow_version=execution.workflow_version,
        state=state_to_proto(execution.state),
        failure=_failure(execution.failure),
        context=_context(execution.context),
        last_event_number=execution.last_event,
        create_time=timestamp(execution.create_time),
        end_time=timestamp(execution.end_time),
        expire_time=timestamp(execution.expire_time),
        trace_id=execution.trace_id,
    )


def details_to_proto(details: ExecutionDetails, kind: PayloadKind) -> pb.Execution:
    """Show an execution with its steps and, where they were read, its payloads."""
    message = execution_to_proto(details.execution)
    message.steps.extend(_step(step, details.defined.get(step.step_id)) for step in details.steps)
    if details.input is not None:
        message.input.CopyFrom(to_payload(details.input, kind))
    if details.result is not None:
        message.result.CopyFrom(to_payload(details.result, kind))
    return message


def _step(step: StepExecution, defined: Step | None) -> pb.StepExecution:
    return pb.StepExecution(
        step_id=step.step_id,
        service=defined.service if defined else "",
        action=defined.action if defined else "",
        state=enum_to_proto(pb.StepState, "STEP_STATE", step.state),
        attempt=step.attempt,
        schedule_time=timestamp(step.schedule_time),
        end_time=timestamp(step.end_time),
        failure=_failure(step.failure),
    )


def event_to_proto(event: Event, kind: PayloadKind) -> pb.Event:
    """Show an event, its payload in the kind asked for."""
    message = pb.Event(number=event.number, time=timestamp(event.time))
    body = event.body
    match body:
        case model.ExecutionStarted():
            message.execution_started.CopyFrom(
                pb.ExecutionStarted(
                    input=to_payload(body.input, kind),
                    context=_context(body.context),
                    workflow_id=body.workflow_id,
                    workflow_version=body.workflow_version,
                    timeout=duration(body.timeout),
                    traceparent=body.trace.traceparent,
                )
            )
        case model.StepScheduled():
            message.step_scheduled.CopyFrom(
                pb.StepScheduled(step_id=body.step_id, attempt=body.attempt, cause=body.cause)
            )
        case model.StepCompleted():
            message.step_completed.CopyFrom(
                pb.StepCompleted(
                    step_id=body.step_id,
                    attempt=body.attempt,
                    output=to_payload(body.output, kind),
                    instance_id=body.instance_id,
                )
            )
        case model.StepFailed():
            message.step_failed.CopyFrom(
                pb.StepFailed(
                    step_id=body.step_id,
                    attempt=body.attempt,
                    failure=_failure(body.failure),
                    instance_id=body.instance_id,
                )
            )
        case _:
            _set_final(message, body, kind)
    return message


def _set_final(message: pb.Event, body: model.EventBody, kind: PayloadKind) -> None:
    match body:
        case model.ExecutionCompleted():
            result = to_payload(body.result, kind)
            message.execution_completed.CopyFrom(pb.ExecutionCompleted(result=result))
        case model.ExecutionFailed():
            failure = _failure(body.failure)
            message.execution_failed.CopyFrom(pb.ExecutionFailed(failure=failure))
        case model.ExecutionCancelled():
            message.execution_cancelled.CopyFrom(pb.ExecutionCancelled(reason=body.reason))
        case model.ExecutionTimedOut():
            timeout = duration(body.timeout)
            message.execution_timed_out.CopyFrom(pb.ExecutionTimedOut(timeout=timeout))
        case _:
            raise AssertionError(body)


def state_to_proto(state: ExecutionState) -> pb.ExecutionState.ValueType:
    """Show a state."""
    number: pb.ExecutionState.ValueType = enum_to_proto(pb.ExecutionState, "EXECUTION_STATE", state)
    return number


def state_from_proto(number: int) -> ExecutionState | None:
    """Read a state; None when it is not said."""
    return enum_from_proto(pb.ExecutionState, "EXECUTION_STATE", ExecutionState, number)


def _context(context: CallContext) -> context_pb2.CallContext:
    return context_pb2.CallContext(
        project_id=context.project_id, request_id=context.request_id, values=context.values
    )


def _failure(failure: Failure | None) -> failure_pb2.Failure | None:
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
