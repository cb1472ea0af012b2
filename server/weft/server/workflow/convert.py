"""Messages of workflows to their model, and back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from weft.api.workflow.v1 import workflow_pb2
from weft.core.payload import UNSAID, JsonObject, PayloadKind, kind_of, to_struct
from weft.server.protos import (
    duration,
    enum_from_proto,
    enum_to_proto,
    optional_object,
    set_object,
    timestamp,
)
from weft.server.requests import Faults, read_duration, read_metadata
from weft.server.retention import METADATA_KEY, policy_faults
from weft.server.workflow.aliases import aliases_to_proto
from weft.server.workflow.model import Definition, Problem, Step, Workflow, WorkflowState
from weft.server.workflow.policy_convert import (
    concurrency_from_proto,
    concurrency_to_proto,
    retry_from_proto,
    retry_to_proto,
)

__all__ = [
    "CHANGEABLE",
    "definition_from_proto",
    "draft_from_proto",
    "metadata_from_proto",
    "problem_to_proto",
    "state_from_proto",
    "workflow_kind",
    "workflow_to_proto",
]

CHANGEABLE: Final = (
    "name",
    "description",
    "steps",
    "metadata",
    "input_schema",
    "output_schema",
    "timeout",
    "concurrency",
)
"""What an update mask may name."""

_MAX_STEP_TIMEOUT: Final = timedelta(hours=24)
_MAX_TIMEOUT: Final = timedelta(days=365)
_MAX_STEPS: Final = 1_000


def metadata_from_proto(message: workflow_pb2.Workflow, faults: Faults) -> JsonObject:
    """Read the metadata; its retention is free only as far as it means something."""
    metadata = read_metadata(message.metadata, faults, "workflow.metadata")
    if METADATA_KEY in metadata:
        where = f"workflow.metadata.{METADATA_KEY}"
        faults.extend(list(policy_faults(metadata[METADATA_KEY], where)))
    return metadata


def workflow_kind(message: workflow_pb2.Workflow, asked: PayloadKind = UNSAID) -> PayloadKind:
    """Tell which kind of payload to answer a caller in."""
    steps = (step.input for step in message.steps)
    return kind_of(message.input_schema, message.output_schema, *steps, asked=asked)


def workflow_to_proto(workflow: Workflow, kind: PayloadKind) -> workflow_pb2.Workflow:
    """Show a workflow, its payloads in the kind asked for."""
    definition = workflow.definition
    return workflow_pb2.Workflow(
        id=workflow.id,
        name=workflow.name,
        description=workflow.description,
        steps=[_step_to_proto(step, kind) for step in definition.steps],
        metadata=to_struct(workflow.metadata),
        input_schema=set_object(definition.input_schema, kind),
        output_schema=set_object(definition.output_schema, kind),
        timeout=duration(definition.timeout),
        state=enum_to_proto(workflow_pb2.WorkflowState, "WORKFLOW_STATE", workflow.state),
        version=workflow.version,
        etag=workflow.etag,
        create_time=timestamp(workflow.create_time),
        update_time=timestamp(workflow.update_time),
        version_create_time=timestamp(workflow.version_create_time),
        concurrency=concurrency_to_proto(definition.concurrency),
        aliases=aliases_to_proto(workflow.aliases),
    )


def _step_to_proto(step: Step, kind: PayloadKind) -> workflow_pb2.Step:
    return workflow_pb2.Step(
        id=step.id,
        service=step.service,
        action=step.action,
        next=step.next,
        input=set_object(step.input, kind),
        timeout=duration(step.timeout),
        description=step.description,
        service_version=step.service_version,
        retry=retry_to_proto(step.retry),
        schedule_to_close_timeout=duration(step.schedule_to_close_timeout),
        heartbeat_timeout=duration(step.heartbeat_timeout),
    )


def draft_from_proto(message: workflow_pb2.Workflow, now: datetime, faults: Faults) -> Workflow:
    """Read a workflow to create; what the server sets is a placeholder."""
    return Workflow(
        id="",
        name=message.name,
        description=message.description,
        metadata=metadata_from_proto(message, faults),
        definition=definition_from_proto(message, faults),
        create_time=now,
        update_time=now,
        version_create_time=now,
    )


def definition_from_proto(message: workflow_pb2.Workflow, faults: Faults) -> Definition:
    """Read the versioned part, as far as messages can be checked without the registry."""
    faults.count("workflow.steps", message.steps, _MAX_STEPS)
    return Definition(
        steps=tuple(
            _step_from_proto(step, f"workflow.steps[{number}]", faults)
            for number, step in enumerate(message.steps[:_MAX_STEPS])
        ),
        input_schema=_object(message, "input_schema", faults),
        output_schema=_object(message, "output_schema", faults),
        timeout=read_duration(
            message,
            "timeout",
            faults,
            path="workflow.timeout",
            at_least=timedelta(),
            at_most=_MAX_TIMEOUT,
        )
        or None,
        concurrency=concurrency_from_proto(message, faults),
    )


def _step_from_proto(message: workflow_pb2.Step, path: str, faults: Faults) -> Step:
    return Step(
        id=message.id,
        service=message.service,
        action=message.action,
        next=message.next,
        input=faults.attempt(lambda: optional_object(message, "input", f"{path}.input"), None),
        timeout=read_duration(
            message,
            "timeout",
            faults,
            path=f"{path}.timeout",
            at_least=timedelta(milliseconds=1),
            at_most=_MAX_STEP_TIMEOUT,
        ),
        description=message.description,
        service_version=message.service_version,
        retry=retry_from_proto(message, f"{path}.retry", faults),
        schedule_to_close_timeout=read_duration(
            message,
            "schedule_to_close_timeout",
            faults,
            path=f"{path}.schedule_to_close_timeout",
            at_least=timedelta(milliseconds=1),
            at_most=_MAX_TIMEOUT,
        ),
        heartbeat_timeout=read_duration(
            message,
            "heartbeat_timeout",
            faults,
            path=f"{path}.heartbeat_timeout",
            at_least=timedelta(milliseconds=100),
            at_most=_MAX_STEP_TIMEOUT,
        ),
    )


def _object(message: workflow_pb2.Workflow, field: str, faults: Faults) -> JsonObject | None:
    return faults.attempt(lambda: optional_object(message, field, f"workflow.{field}"), None)


def state_from_proto(number: int) -> WorkflowState | None:
    """Read a state; None when it is not said."""
    return enum_from_proto(workflow_pb2.WorkflowState, "WORKFLOW_STATE", WorkflowState, number)


def problem_to_proto(problem: Problem) -> workflow_pb2.Problem:
    """Show a problem."""
    return workflow_pb2.Problem(
        path=problem.path,
        code=problem.code,
        message=problem.message,
        hint=problem.hint,
        severity=enum_to_proto(workflow_pb2.Severity, "SEVERITY", problem.severity),
    )
