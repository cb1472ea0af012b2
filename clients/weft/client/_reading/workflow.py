"""Messages of workflows to records."""

from __future__ import annotations

from weft.api.workflow.v1 import workflow_pb2
from weft.client._reading.definition import optional, record
from weft.client._reading.fields import object_of, span_of, time_of
from weft.client._writing import enums
from weft.client.records import (
    Concurrency,
    Problem,
    Step,
    StepDefaults,
    VersionShare,
    Workflow,
    WorkflowAlias,
)
from weft.core.payload import from_struct

__all__ = ["alias", "problem", "workflow"]


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
        steps=tuple(record(Step, step) for step in message.steps),
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
        concurrency=optional(Concurrency, message, "concurrency"),
        finally_=tuple(record(Step, step) for step in getattr(message, "finally")),
        defaults=optional(StepDefaults, message, "defaults"),
        retention=span_of(message, "retention"),
        search_attributes=dict(message.search_attributes),
        labels=dict(message.labels),
        aliases=tuple(map(alias, message.aliases)),
        warnings=warnings,
    )
