"""Messages of executions to records."""

from __future__ import annotations

from weft.api.common.v1 import context_pb2, failure_pb2
from weft.api.execution.v1 import execution_pb2, execution_service_pb2
from weft.client._reading.fields import object_of, time_of
from weft.client._writing import enums
from weft.client.records import (
    ApprovalRequest,
    Execution,
    Failure,
    MapProgress,
    Origin,
    Parent,
    PlannedCompensation,
    StepExecution,
)
from weft.core.context import CallContext
from weft.core.errors import Code, Violation
from weft.core.payload import from_struct

__all__ = ["approval", "context", "execution", "failure", "origin", "planned_compensation", "step_execution"]


def context(message: context_pb2.CallContext) -> CallContext:
    """Read what travels with an execution."""
    return CallContext(
        project_id=message.project_id, request_id=message.request_id, values=dict(message.values)
    )


def failure(message: failure_pb2.Failure) -> Failure:
    """Read an error at rest."""
    known = message.code in Code._value2member_map_
    return Failure(
        reason=message.reason,
        message=message.message,
        code=Code(message.code) if known else Code.UNKNOWN,
        metadata=dict(message.metadata),
        violations=tuple(Violation(v.field, v.description, v.reason) for v in message.violations),
        retryable=message.retryable,
        domain=message.domain,
    )


def step_execution(message: execution_pb2.StepExecution) -> StepExecution:
    """Read where a step stands."""
    return StepExecution(
        step_id=message.step_id,
        service=message.service,
        action=message.action,
        state=enums.STEP_STATE.name(message.state),
        attempt=message.attempt,
        schedule_time=time_of(message, "schedule_time"),
        end_time=time_of(message, "end_time"),
        failure=_failure_of(message),
        retry_time=time_of(message, "retry_time"),
        progress=object_of(message, "progress"),
        kind=message.kind,
        waits_for=enums.WAIT_REASON.name(message.waits_for),
        wait_until=time_of(message, "wait_until"),
        child_execution_id=message.child_execution_id,
        approval=approval(message.approval) if message.HasField("approval") else None,
        map=_map_progress(message.map) if message.HasField("map") else None,
    )


def approval(message: execution_pb2.Approval) -> ApprovalRequest:
    """Read what a person is asked."""
    return ApprovalRequest(
        title=message.title,
        assignees=tuple(message.assignees),
        due_time=time_of(message, "due_time"),
        outcomes=tuple(message.outcomes),
    )


def _map_progress(message: execution_pb2.MapProgress) -> MapProgress:
    return MapProgress(count=message.count, completed=message.completed, failed=message.failed)


def planned_compensation(message: execution_service_pb2.PlannedCompensation) -> PlannedCompensation:
    """Read how one completed step is undone."""
    return PlannedCompensation(
        step_id=message.step_id,
        service=message.service,
        action=message.action,
        state=enums.STEP_STATE.name(message.state),
        child_execution_id=message.child_execution_id,
    )


def origin(message: execution_pb2.Origin) -> Origin:
    """Read which execution another one repeats."""
    return Origin(execution_id=message.execution_id, from_step=message.from_step)


def _parent(message: execution_pb2.Parent) -> Parent:
    return Parent(execution_id=message.execution_id, step_id=message.step_id)


def execution(message: execution_pb2.Execution) -> Execution:
    """Read an execution."""
    return Execution(
        id=message.id,
        workflow_id=message.workflow_id,
        workflow_name=message.workflow_name,
        workflow_version=message.workflow_version,
        state=enums.EXECUTION_STATE.name(message.state),
        input=object_of(message, "input"),
        result=object_of(message, "result"),
        failure=_failure_of(message),
        context=context(message.context),
        steps=tuple(map(step_execution, message.steps)),
        last_event_number=message.last_event_number,
        create_time=time_of(message, "create_time"),
        end_time=time_of(message, "end_time"),
        expire_time=time_of(message, "expire_time"),
        trace_id=message.trace_id,
        key=message.key,
        origin=origin(message.origin) if message.HasField("origin") else None,
        waits_for=enums.WAIT_REASON.name(message.waits_for),
        wait_until=time_of(message, "wait_until"),
        workflow_alias=message.workflow_alias,
        concurrency_key=message.concurrency_key,
        search_attributes=from_struct(message.search_attributes, "search_attributes"),
        parent=_parent(message.parent) if message.HasField("parent") else None,
        variables=from_struct(message.variables, "variables"),
        closing=message.closing,
    )


def _failure_of(message: execution_pb2.Execution | execution_pb2.StepExecution) -> Failure | None:
    return failure(message.failure) if message.HasField("failure") else None
