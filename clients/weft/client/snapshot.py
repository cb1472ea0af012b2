"""What is registered, in one document: to check definitions against it without a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from weft.api.registry.v1 import registry_pb2
from weft.api.workflow.v1 import workflow_pb2, workflow_service_pb2
from weft.client._reading.workflow import problem
from weft.client._writing import enums
from weft.client._writing import fields as write
from weft.client._writing.workflow import DEFINITION
from weft.client._writing.workflow import workflow as workflow_message
from weft.client.records import Problem
from weft.core.errors import ValidationError, Violation
from weft.core.payload import JsonObject
from weft.core.reasons import Rule

if TYPE_CHECKING:
    from weft.client import Client

__all__ = ["Snapshot", "definition_message", "problems_of", "read_snapshot", "take_snapshot"]

_FORMAT: Final = "weft_registry"
_VERSION: Final = 1
_SERVICE: Final = ("name", "version", "state", "actions", "other_versions")
_VERSIONS: Final = {
    "version": write.text,
    "actions": write.many(registry_pb2.Action, write.ACTION),
}
_SHARE: Final = {"version": write.whole, "percent": write.whole}
_ALIAS: Final = {"name": write.text, "shares": write.many(workflow_pb2.VersionShare, _SHARE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was registered."""

    services: tuple[registry_pb2.Service, ...]
    """With the schemas of their actions."""
    workflows: tuple[workflow_pb2.Workflow, ...]
    """In their newest version, and in those that aliases name."""


async def take_snapshot(weft: Client) -> JsonObject:
    """Return what is registered as a JSON object that ``read_snapshot`` reads."""
    services = [_kept(it.to_dict(), _SERVICE) async for it in weft.registry.iterate()]
    workflows: list[JsonObject] = []
    async for newest in weft.workflows.iterate():
        shares = {share.version for alias in newest.aliases for share in alias.shares}
        for version in sorted(shares - {newest.version}):
            found = await weft.workflows.get(newest.id, version=version)
            workflows.append(_kept(found.to_dict(), (*DEFINITION, "version", "state")))
        workflows.append(_kept(newest.to_dict(), (*DEFINITION, "version", "state", "aliases")))
    return {_FORMAT: _VERSION, "services": services, "workflows": workflows}


def _kept(record: JsonObject, names: tuple[str, ...]) -> JsonObject:
    """Leave out what checks do not ask for."""
    return {
        name: value for name, value in record.items() if name in names and value not in (None, "", [], {})
    }


def read_snapshot(document: object) -> Snapshot:
    """Read what ``take_snapshot`` gave.

    Raises:
        ValidationError: It is something else; every fault has its path.
    """
    if not isinstance(document, Mapping) or document.get(_FORMAT) != _VERSION:
        message = "is no saved registry: `weft services export` writes one"
        raise ValidationError([Violation("", message, Rule.INVALID)])
    faults: list[Violation] = []
    services, workflows = [], []
    for path, entry in _entries(document, "services", faults):
        try:
            services.append(_service(entry, path))
        except ValidationError as error:
            faults.extend(error.violations)
    for path, entry in _entries(document, "workflows", faults):
        try:
            workflows.append(_workflow(entry, path))
        except ValidationError as error:
            faults.extend(_under(path, error.violations))
    if faults:
        raise ValidationError(faults)
    return Snapshot(services=tuple(services), workflows=tuple(workflows))


def _entries(
    document: Mapping[str, Any], name: str, faults: list[Violation]
) -> list[tuple[str, Mapping[str, Any]]]:
    given = document.get(name, [])
    if not isinstance(given, list):
        faults.append(Violation(name, "is not a list", Rule.INVALID))
        return []
    found: list[tuple[str, Mapping[str, Any]]] = []
    for number, entry in enumerate(given):
        if isinstance(entry, Mapping):
            found.append((f"{name}[{number}]", entry))
        else:
            faults.append(Violation(f"{name}[{number}]", "is not an object", Rule.INVALID))
    return found


def _under(path: str, violations: tuple[Violation, ...]) -> list[Violation]:
    return [Violation(f"{path}.{it.field}", it.description, it.reason) for it in violations]


def _service(entry: Mapping[str, Any], path: str) -> registry_pb2.Service:
    table: dict[str, write.Reader] = {
        **_VERSIONS,
        "name": write.text,
        "state": enums.SERVICE_STATE.number,
        "other_versions": write.many(registry_pb2.ServiceVersion, _VERSIONS),
    }
    others = [
        {key: value for key, value in other.items() if key in _VERSIONS}
        for other in entry.get("other_versions", ())
        if isinstance(other, Mapping)
    ]
    values = {name: value for name, value in entry.items() if name in table}
    return write.build(registry_pb2.Service, table, {**values, "other_versions": others}, path)


def _workflow(entry: Mapping[str, Any], path: str) -> workflow_pb2.Workflow:
    message = workflow_message({name: value for name, value in entry.items() if name in DEFINITION})
    table: dict[str, write.Reader] = {
        "version": write.whole,
        "state": enums.WORKFLOW_STATE.number,
        "aliases": write.many(workflow_pb2.WorkflowAlias, _ALIAS),
    }
    rest = {name: value for name, value in entry.items() if name in table}
    message.MergeFrom(write.build(workflow_pb2.Workflow, table, rest, path))
    return message


def definition_message(name: str, values: Mapping[str, object]) -> workflow_pb2.Workflow:
    """Return a definition as it would be sent.

    Raises:
        ValidationError: It is no definition at all.
    """
    return workflow_message({"name": name, **values})


def problems_of(answer: workflow_service_pb2.ValidateWorkflowResponse) -> tuple[Problem, ...]:
    """Return what was found, as records."""
    return tuple(map(problem, answer.problems))
