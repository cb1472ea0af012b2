"""Messages of workflows to records."""

from __future__ import annotations

from weft.api.workflow.v1 import workflow_pb2
from weft.client import _enums as enums
from weft.client._reading.fields import object_of, span_of, time_of
from weft.client.records import (
    Concurrency,
    Problem,
    Step,
    StepRetry,
    VersionShare,
    Workflow,
    WorkflowAlias,
)
from weft.core.payload import from_struct

__all__ = ["alias", "concurrency", "problem", "retry", "step", "workflow"]


def step(message: workflow_pb2.Step) -> Step:
    """Read a step."""
    return Step(
        id=message.id,
        service=message.service,
        action=message.action,
        next=message.next,
        input=object_of(message, "input"),
        timeout=span_of(message, "timeout"),
        description=message.description,
        service_version=message.service_version,
        retry=retry(message.retry) if message.HasField("retry") else None,
        schedule_to_close_timeout=span_of(message, "schedule_to_close_timeout"),
        heartbeat_timeout=span_of(message, "heartbeat_timeout"),
    )


def retry(message: workflow_pb2.RetryPolicy) -> StepRetry:
    """Read how a step is tried again."""
    return StepRetry(
        max_attempts=message.max_attempts,
        initial_backoff=span_of(message, "initial_backoff"),
        multiplier=message.multiplier,
        max_backoff=span_of(message, "max_backoff"),
        jitter=message.jitter,
        non_retryable_reasons=tuple(message.non_retryable_reasons),
        on_exhausted=enums.ON_EXHAUSTED.name(message.on_exhausted),
    )


def concurrency(message: workflow_pb2.Workflow) -> Concurrency | None:
    """Read how many executions run at the same time."""
    if not message.HasField("concurrency"):
        return None
    return Concurrency(limit=message.concurrency.limit, key=message.concurrency.key)


def alias(message: workflow_pb2.WorkflowAlias) -> WorkflowAlias:
    """Read a name of versions."""
    return WorkflowAlias(
        name=message.name,
        shares=tuple(VersionShare(version=share.version, percent=share.percent) for share in message.shares),
    )


def problem(message: workflow_pb2.Problem) -> Problem:
    """Read a finding."""
    return Problem(
        path=message.path,
        code=message.code,
        message=message.message,
        hint=message.hint,
        severity=enums.SEVERITY.name(message.severity) or "ERROR",
    )


def workflow(message: workflow_pb2.Workflow, warnings: tuple[Problem, ...] = ()) -> Workflow:
    """Read a workflow."""
    return Workflow(
        id=message.id,
        name=message.name,
        description=message.description,
        steps=tuple(map(step, message.steps)),
        metadata=from_struct(message.metadata, "metadata"),
        input_schema=object_of(message, "input_schema"),
        output_schema=object_of(message, "output_schema"),
        timeout=span_of(message, "timeout"),
        state=enums.WORKFLOW_STATE.name(message.state),
        version=message.version,
        etag=message.etag,
        create_time=time_of(message, "create_time"),
        update_time=time_of(message, "update_time"),
        version_create_time=time_of(message, "version_create_time"),
        concurrency=concurrency(message),
        aliases=tuple(map(alias, message.aliases)),
        warnings=warnings,
    )
