"""What the models look like at rest; every adapter keeps them in this form.

A document is JSON text with a member per field of the dataclass. Times are
integer microseconds since 1970, durations integer microseconds. Descriptor sets
of a service stand beside its document; in it ``null`` keeps their place.
Steps are in ``definition_codec``, executions and their events in ``execution_codec``.

A member that a document does not have, as it was written before there was one,
is read as the field's default. How one is read that a newer release has written,
``weft.server.forms`` says; of services and instances it is a hint, and passed over.

Whoever renames a field of a model changes this form, and needs a migration.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson

from weft.discovery.model import Health, Protocol
from weft.server.forms import build, member_of
from weft.server.registry.model import Action, Instance, Service, ServiceState, ServiceVersion
from weft.server.store.definition_codec import decode_definition
from weft.server.store.times import from_micros, micros_of, revive_durations, revive_times, to_micros
from weft.server.workflow.model import Definition, Share, Workflow, WorkflowState

__all__ = [
    "WorkflowRow",
    "decode_instance",
    "decode_service",
    "decode_workflow",
    "decode_workflow_row",
    "encode",
    "encode_definition",
    "encode_descriptors",
    "encode_labels",
    "encode_workflow_head",
    "from_micros",
    "revive_durations",
    "revive_times",
    "to_micros",
]

_NO_DEFINITION = Definition()
_OWN = ""
"""Under which key the descriptor set of the service's own version stands: no other version is empty."""


class WorkflowRow(NamedTuple):
    """One version of a workflow at rest."""

    head: str
    """JSON text of what all versions share, as it is now."""
    deleted: int
    """Whether the workflow is deleted."""
    version: int
    """Which version this is."""
    create_time: int
    """When this version was created, in microseconds."""
    definition: str
    """JSON text of what this version does."""


def encode(value: object) -> str:
    """Write a model as a document."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return to_micros(value)
    if isinstance(value, timedelta):
        return micros_of(value)
    if isinstance(value, bytes):
        return None
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form at rest")


def decode_service(document: str, descriptors: bytes | None = None) -> Service:
    """Read a service; without the descriptor sets that stand beside the document it has none."""
    record = orjson.loads(document)
    sets: dict[str, str] = orjson.loads(descriptors) if descriptors else {}
    record["actions"] = _actions(record["actions"])
    record["descriptor_set"] = _descriptors(sets, _OWN)
    record["other_versions"] = tuple(_version(it, sets) for it in record.get("other_versions", ()))
    record["state"] = member_of(ServiceState, record["state"])
    revive_times(record, "create_time", "update_time")
    return build(Service, record, only_hints=True)


def encode_descriptors(service: Service) -> bytes | None:
    """Write the descriptor sets of all versions of a service; None when there are none."""
    sets = {
        _OWN: service.descriptor_set,
        **{it.version: it.descriptor_set for it in service.other_versions},
    }
    texts = {key: base64.b64encode(value).decode() for key, value in sets.items() if value}
    return orjson.dumps(texts) if texts else None


def _version(record: dict[str, Any], sets: Mapping[str, str]) -> ServiceVersion:
    record["actions"] = _actions(record["actions"])
    record["descriptor_set"] = _descriptors(sets, record["version"])
    revive_times(record, "update_time")
    return build(ServiceVersion, record, only_hints=True)


def _descriptors(sets: Mapping[str, str], key: str) -> bytes:
    return base64.b64decode(sets.get(key, ""))


def decode_instance(document: str) -> Instance:
    """Read an instance."""
    record = orjson.loads(document)
    record["protocol"] = member_of(Protocol, record["protocol"])
    record["tags"] = tuple(record["tags"])
    record["health"] = member_of(Health, record["health"])
    record["ttl"] = timedelta(microseconds=record["ttl"])
    revive_times(record, "register_time", "heartbeat_time")
    return build(Instance, record, only_hints=True)


def encode_workflow_head(workflow: Workflow) -> str:
    """Write what all versions of a workflow share."""
    return encode(replace(workflow, definition=_NO_DEFINITION))


def encode_labels(labels: Mapping[str, str]) -> str | None:
    """Write labels; None when there are none."""
    return orjson.dumps(dict(labels), option=orjson.OPT_SORT_KEYS).decode() if labels else None


def encode_definition(definition: Definition) -> str:
    """Write what one version does."""
    return encode(definition)


def decode_workflow(document: str) -> Workflow:
    """Read a workflow that was written as a whole."""
    record = orjson.loads(document)
    record["definition"] = decode_definition(record["definition"])
    record["state"] = member_of(WorkflowState, record["state"])
    aliases = record.get("aliases", {})
    record["aliases"] = {name: tuple(build(Share, it) for it in shares) for name, shares in aliases.items()}
    revive_times(record, "create_time", "update_time", "version_create_time")
    return build(Workflow, record)


def decode_workflow_row(row: WorkflowRow) -> Workflow:
    """Put a workflow together in one of its versions."""
    return replace(
        decode_workflow(row.head),
        deleted=bool(row.deleted),
        version=row.version,
        version_create_time=from_micros(row.create_time),
        definition=decode_definition(orjson.loads(row.definition)),
    )


def _actions(records: list[dict[str, Any]]) -> tuple[Action, ...]:
    return tuple(_action(record) for record in records)


def _action(record: dict[str, Any]) -> Action:
    revive_durations(record, "timeout")
    return build(Action, record, only_hints=True)
