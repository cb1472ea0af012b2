"""Checks definitions against a saved registry: the same checks as a server's, without one.

``weft workflows validate --registry FILE`` finds this by an entry point, as the
command line does not know the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from weft.api.registry.v1 import registry_pb2
from weft.api.workflow.v1 import workflow_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.server.protos import enum_from_proto
from weft.server.registry import convert as registry_convert
from weft.server.registry.model import Service, ServiceState, ServiceVersion
from weft.server.requests import Faults
from weft.server.workflow.aliases import alias_from_proto
from weft.server.workflow.model import Definition, Problem, Workflow, WorkflowState
from weft.server.workflow.surroundings import Surroundings
from weft.server.workflow.wire import convert
from weft.server.workflow.wire.validating import validated

__all__ = ["validate"]

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def validate(
    definitions: Sequence[workflow_pb2.Workflow],
    services: Iterable[registry_pb2.Service],
    workflows: Iterable[workflow_pb2.Workflow],
) -> list[pb.ValidateWorkflowResponse]:
    """Return every problem of each definition.

    Definitions that are checked together know each other, as if all of them
    were stored.

    Args:
        definitions: What to check.
        services: What is registered.
        workflows: What is stored: newest versions, and those that aliases name.

    Raises:
        ValidationError: The registry cannot be read.
    """
    return asyncio.run(_validate(definitions, _Registry(services, workflows, definitions)))


async def _validate(
    definitions: Sequence[workflow_pb2.Workflow], registry: _Registry
) -> list[pb.ValidateWorkflowResponse]:
    async def find(definition: Definition, name: str) -> tuple[Problem, ...]:
        return await registry.surroundings().problems(definition, name=name)

    return [await validated(pb.ValidateWorkflowRequest(workflow=it), it, find) for it in definitions]


class _Registry:
    """What was saved, looked up as a store is."""

    def __init__(
        self,
        services: Iterable[registry_pb2.Service],
        workflows: Iterable[workflow_pb2.Workflow],
        definitions: Iterable[workflow_pb2.Workflow],
    ) -> None:
        faults = Faults()
        self._services = {
            it.name: _service(it, f"services[{number}]", faults) for number, it in enumerate(services)
        }
        self._workflows: dict[tuple[str, int], Workflow] = {}
        for it in workflows:
            self._add(_workflow(it, faults))
        faults.raise_any()
        for it in definitions:
            self._add_new(it)

    def _add(self, workflow: Workflow) -> None:
        self._workflows[workflow.name, workflow.version] = workflow
        newest = self._workflows.get((workflow.name, 0))
        if newest is None or newest.version <= workflow.version:
            self._workflows[workflow.name, 0] = workflow

    def _add_new(self, message: workflow_pb2.Workflow) -> None:
        """Add a definition that is checked, as the next version of what there is of that name."""
        before = self._workflows.get((message.name, 0))
        new = _workflow(message, Faults())  # its faults are told when it is checked itself
        if before is not None:
            new = replace(new, version=before.version + 1, state=before.state, aliases=before.aliases)
        self._add(new)

    def surroundings(self) -> Surroundings:
        """Return what definitions are checked against."""
        return Surroundings(
            find_service=self._find_service,
            service_names=self._service_names,
            find_workflow=self._find_workflow,
            workflow_names=self._workflow_names,
        )

    async def _find_service(self, name: str) -> Service | None:
        return self._services.get(name)

    async def _find_workflow(self, name: str, version: int) -> Workflow | None:
        return self._workflows.get((name, version))

    async def _service_names(self) -> AsyncIterator[str]:
        for name in sorted(self._services):
            yield name

    async def _workflow_names(self) -> AsyncIterator[str]:
        for name in sorted({name for name, _ in self._workflows}):
            yield name


def _service(message: registry_pb2.Service, path: str, faults: Faults) -> Service:
    others = tuple(
        ServiceVersion(
            version=it.version,
            actions=registry_convert.read_actions(
                it.actions, faults, f"{path}.other_versions[{number}].actions"
            ),
            update_time=_LONG_AGO,
        )
        for number, it in enumerate(message.other_versions)
    )
    state = enum_from_proto(registry_pb2.ServiceState, "SERVICE_STATE", ServiceState, message.state)
    return Service(
        id="",
        name=message.name,
        actions=registry_convert.read_actions(message.actions, faults, f"{path}.actions"),
        state=state or ServiceState.ACTIVE,
        version=message.version,
        other_versions=others,
        create_time=_LONG_AGO,
        update_time=_LONG_AGO,
    )


def _workflow(message: workflow_pb2.Workflow, faults: Faults) -> Workflow:
    """Read a workflow; what is wrong with its steps is not looked at."""
    return Workflow(
        id="",
        name=message.name,
        definition=convert.definition_from_proto(message, faults),
        state=convert.state_from_proto(message.state) or WorkflowState.ACTIVE,
        version=message.version or 1,
        aliases=dict(alias_from_proto(it, faults) for it in message.aliases),
        create_time=_LONG_AGO,
        update_time=_LONG_AGO,
        version_create_time=_LONG_AGO,
    )
