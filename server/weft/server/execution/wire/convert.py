"""Messages of executions to their model, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from weft.api.execution.v1 import execution_pb2 as pb
from weft.core.payload import PayloadKind, to_payload, to_struct
from weft.server.execution.history.model import Execution, ExecutionState, Waits
from weft.server.execution.history.paths import UNDO, id_of, scope_of
from weft.server.execution.history.plan import RUN_SUFFIX
from weft.server.execution.history.run import ExecutionDetails
from weft.server.execution.history.step_states import StepExecution
from weft.server.execution.starting.slots import concurrency_key
from weft.server.execution.wire.event_convert import (
    context_to_proto,
    event_to_proto,
    failure_to_proto,
    origin_to_proto,
)
from weft.server.execution.wire.language_convert import asked_to_proto, waits_to_proto
from weft.server.protos import enum_from_proto, enum_to_proto, timestamp
from weft.server.workflow.kinds import Child
from weft.server.workflow.model import Step

__all__ = [
    "details_to_proto",
    "event_to_proto",
    "execution_to_proto",
    "state_from_proto",
    "state_to_proto",
]

_MAX_STEPS: Final = 5_000
"""Steps that one message shows."""


def execution_to_proto(execution: Execution) -> pb.Execution:
    """Show the summary of an execution."""
    parent = execution.parent
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
        waits_for=waits_to_proto(execution.waits),
        wait_until=timestamp(execution.due_time if execution.waits else None),
        concurrency_key=concurrency_key(execution.slot),
        workflow_alias=execution.alias,
        search_attributes=to_struct(execution.attributes) if execution.attributes else None,
        parent=pb.Parent(execution_id=parent.execution_id, step_id=parent.step_id)
        if parent.execution_id
        else None,
    )


def details_to_proto(details: ExecutionDetails, kind: PayloadKind) -> pb.Execution:
    """Show an execution with its steps and, where they were read, its payloads."""
    message = execution_to_proto(details.execution)
    message.steps.extend(_step(step, _defined(details, step), kind) for step in _shown(details.steps))
    if details.variables:
        message.variables.CopyFrom(to_struct(details.variables))
    if details.input is not None:
        message.input.CopyFrom(to_payload(details.input, kind))
    if details.result is not None:
        message.result.CopyFrom(to_payload(details.result, kind))
    return message


def _shown(steps: Sequence[StepExecution]) -> Iterable[StepExecution]:
    """Leave out steps of bodies that are done, where there are too many; the history has them."""
    if len(steps) <= _MAX_STEPS:
        return steps
    open_or_top = [step for step in steps if step.end_time is None or "/" not in step.step_id]
    return open_or_top[:_MAX_STEPS]


def _defined(details: ExecutionDetails, step: StepExecution) -> Step | None:
    step_id = id_of(step.step_id)
    if step_id.endswith(RUN_SUFFIX):
        return Step(id=step_id, does=Child())
    found = details.defined.get(step_id)
    if found is None or scope_of(step.step_id) != UNDO:
        return found
    how = found.compensate
    if how is None:
        return replace(found, action=step.undo) if step.undo else found
    return replace(found, does=None, service=how.service or found.service, action=how.action)


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
        kind=defined.kind if defined else "",
        waits_for=waits_to_proto(step.waits if step.end_time is None else Waits.NOTHING),
        wait_until=timestamp(step.until),
        child_execution_id=step.child,
        approval=asked_to_proto(step.asked),
        map=None
        if step.items is None
        else pb.MapProgress(count=step.items.count, completed=step.items.completed, failed=step.items.failed),
    )


def state_to_proto(state: ExecutionState) -> pb.ExecutionState.ValueType:
    """Show a state."""
    number: pb.ExecutionState.ValueType = enum_to_proto(pb.ExecutionState, "EXECUTION_STATE", state)
    return number


def state_from_proto(number: int) -> ExecutionState | None:
    """Read a state; None when it is not said."""
    return enum_from_proto(pb.ExecutionState, "EXECUTION_STATE", ExecutionState, number)
