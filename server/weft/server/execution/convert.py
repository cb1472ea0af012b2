"""Messages of executions to their model, and back."""

from __future__ import annotations

from weft.api.execution.v1 import execution_pb2 as pb
from weft.core.payload import PayloadKind, to_payload, to_struct
from weft.server.execution.event_convert import (
    context_to_proto,
    event_to_proto,
    failure_to_proto,
    origin_to_proto,
)
from weft.server.execution.model import Execution, ExecutionState, StepExecution, Waits
from weft.server.execution.run import ExecutionDetails
from weft.server.execution.slots import concurrency_key
from weft.server.protos import enum_from_proto, enum_to_proto, timestamp
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
        failure=failure_to_proto(execution.failure),
        context=context_to_proto(execution.context),
        last_event_number=execution.last_event,
        create_time=timestamp(execution.create_time),
        end_time=timestamp(execution.end_time),
        expire_time=timestamp(execution.expire_time),
        trace_id=execution.trace_id,
        key=execution.key,
        origin=origin_to_proto(execution.origin),
        waits_for=_waits(execution.waits),
        wait_until=timestamp(execution.due_time if execution.waits else None),
        concurrency_key=concurrency_key(execution.slot),
        workflow_alias=execution.alias,
        search_attributes=to_struct(execution.attributes) if execution.attributes else None,
    )


def details_to_proto(details: ExecutionDetails, kind: PayloadKind) -> pb.Execution:
    """Show an execution with its steps and, where they were read, its payloads."""
    message = execution_to_proto(details.execution)
    message.steps.extend(_step(step, details.defined.get(step.step_id), kind) for step in details.steps)
    if details.input is not None:
        message.input.CopyFrom(to_payload(details.input, kind))
    if details.result is not None:
        message.result.CopyFrom(to_payload(details.result, kind))
    return message


def _waits(waits: Waits) -> pb.WaitReason.ValueType:
    if waits is Waits.NOTHING:
        return pb.WAIT_REASON_UNSPECIFIED
    number: pb.WaitReason.ValueType = enum_to_proto(pb.WaitReason, "WAIT_REASON", waits)
    return number


def _step(step: StepExecution, defined: Step | None, kind: PayloadKind) -> pb.StepExecution:
    return pb.StepExecution(
        step_id=step.step_id,
        service=defined.service if defined else "",
        action=defined.action if defined else "",
        state=enum_to_proto(pb.StepState, "STEP_STATE", step.state),
        attempt=step.attempt,
        schedule_time=timestamp(step.schedule_time),
        end_time=timestamp(step.end_time),
        failure=failure_to_proto(step.failure),
        retry_time=timestamp(step.retry_time),
        progress=None if step.progress is None else to_payload(step.progress, kind),
    )


def state_to_proto(state: ExecutionState) -> pb.ExecutionState.ValueType:
    """Show a state."""
    number: pb.ExecutionState.ValueType = enum_to_proto(pb.ExecutionState, "EXECUTION_STATE", state)
    return number


def state_from_proto(number: int) -> ExecutionState | None:
    """Read a state; None when it is not said."""
    return enum_from_proto(pb.ExecutionState, "EXECUTION_STATE", ExecutionState, number)
