"""Messages of workflows to their model, and back."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

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
from weft.server.requests import MAX_REF, Faults, read_duration, read_metadata
from weft.server.retention import METADATA_KEY, policy_faults
from weft.server.workflow.aliases import aliases_to_proto
from weft.server.workflow.model import Definition, Problem, Workflow, WorkflowState
from weft.server.workflow.wire.labels import read_labels
from weft.server.workflow.wire.policy_convert import (
    MAX_KEY,
    MAX_TIMEOUT,
    concurrency_from_proto,
    concurrency_to_proto,
    defaults_from_proto,
    defaults_to_proto,
)
from weft.server.workflow.wire.step_convert import StepReader, payloads_of, steps_to_proto

__all__ = [
    "CHANGEABLE",
    "VERSIONED",
    "definition_from_proto",
    "draft_from_proto",
    "metadata_from_proto",
    "problem_to_proto",
    "state_from_proto",
    "workflow_kind",
    "workflow_to_proto",
]

VERSIONED: Final = MappingProxyType(
    {
        "steps": "steps",
        "input_schema": "input_schema",
        "output_schema": "output_schema",
        "timeout": "timeout",
        "concurrency": "concurrency",
        "finally": "finally_steps",
        "defaults": "defaults",
        "retention": "retention",
        "search_attributes": "search_attributes",
        "labels": "labels",
    }
)
"""Fields of a workflow that are versioned, and what they are in its definition."""
CHANGEABLE: Final = ("name", "description", "metadata", *VERSIONED)
"""What an update mask may name."""

_LEAST_RETENTION: Final = timedelta(minutes=1)
_MOST_RETENTION: Final = timedelta(days=3_653)
_MAX_ATTRIBUTES: Final = 32


def metadata_from_proto(message: workflow_pb2.Workflow, faults: Faults) -> JsonObject:
    """Read the metadata; its retention is free only as far as it means something."""
    metadata = read_metadata(message.metadata, faults, "workflow.metadata")
    if METADATA_KEY in metadata:
        where = f"workflow.metadata.{METADATA_KEY}"
        faults.extend(list(policy_faults(metadata[METADATA_KEY], where)))
    return metadata


def workflow_kind(message: workflow_pb2.Workflow, asked: PayloadKind = UNSAID) -> PayloadKind:
    """Tell which kind of payload to answer a caller in."""
    return kind_of(message.input_schema, message.output_schema, *payloads_of(message), asked=asked)


def workflow_to_proto(workflow: Workflow, kind: PayloadKind) -> workflow_pb2.Workflow:
    """Show a workflow, its payloads in the kind asked for."""
    definition = workflow.definition
    finally_steps: dict[str, Any] = {"finally": steps_to_proto(definition.finally_steps, kind)}
    return workflow_pb2.Workflow(
        id=workflow.id,
        name=workflow.name,
        description=workflow.description,
        steps=steps_to_proto(definition.steps, kind),
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
        defaults=defaults_to_proto(definition.defaults),
        retention=duration(definition.retention),
        search_attributes=definition.search_attributes,
        labels=definition.labels,
        aliases=aliases_to_proto(workflow.aliases),
        **finally_steps,
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
    reader = StepReader(faults)
    return Definition(
        steps=reader.steps(message.steps, "workflow.steps"),
        finally_steps=reader.steps(getattr(message, "finally"), "workflow.finally"),
        input_schema=_object(message, "input_schema", faults),
        output_schema=_object(message, "output_schema", faults),
        timeout=_time(message, "timeout", faults, timedelta(), MAX_TIMEOUT) or None,
        concurrency=concurrency_from_proto(message, faults),
        defaults=defaults_from_proto(message, faults),
        retention=_time(message, "retention", faults, _LEAST_RETENTION, _MOST_RETENTION),
        search_attributes=_attributes(message, faults),
        labels=read_labels(message.labels, faults, "workflow.labels"),
    )


def _time(
    message: workflow_pb2.Workflow, field: str, faults: Faults, least: timedelta, most: timedelta
) -> timedelta | None:
    return read_duration(message, field, faults, path=f"workflow.{field}", at_least=least, at_most=most)


def _attributes(message: workflow_pb2.Workflow, faults: Faults) -> dict[str, str]:
    found = message.search_attributes
    faults.count("workflow.search_attributes", found, _MAX_ATTRIBUTES)
    for name in islice(found, _MAX_ATTRIBUTES):
        faults.text(f"workflow.search_attributes.{name[:MAX_REF]}", found[name], MAX_KEY)
    return {name: found[name] for name in islice(found, _MAX_ATTRIBUTES)}


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
