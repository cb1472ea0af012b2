"""A server with something in it, and providers of every kind beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from tests.support.wire import JSON, Wire, connected, payload, value_in
from weft.api.execution.v1 import execution_pb2, execution_service_pb2
from weft.api.registry.v1 import registry_pb2, registry_service_pb2
from weft.api.workflow.v1 import workflow_pb2, workflow_service_pb2
from weft.core.payload import JsonObject
from weft.server.app import WeftServer
from weft.server.config import ServerConfig
from weft.service import Host, Service

NOBODY = "http://127.0.0.1:9"
"""An endpoint where nobody answers."""


@asynccontextmanager
async def serving(
    *, instance_wait: timedelta = timedelta(seconds=0.3), drain_grace: timedelta = timedelta(seconds=1)
) -> AsyncIterator[Wire]:
    """Run a server in memory, and connect to it."""
    config = ServerConfig(listen="127.0.0.1:0", instance_wait=instance_wait, drain_grace=drain_grace)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(WeftServer(config))
        yield await stack.enter_async_context(connected(server.address))


@asynccontextmanager
async def hosted(wire: Wire, service: Service) -> AsyncIterator[Host]:
    """Run a service of the provider's SDK, registered at the server."""
    async with service.hosted(
        server=wire.address, instance_id=f"{service.name}-1", ttl=timedelta(minutes=5), drain=timedelta(0)
    ) as host:
        await host.registered.wait()
        yield host


def text_service() -> Service:
    """A service of the provider's SDK: what innocent calls go to."""
    service = Service("texts", version="1.0.0")

    @service.action(idempotent=True)
    async def shout(text: str, times: int = 1) -> dict[str, str]:
        """Say it loud."""
        return {"text": text.upper() * times}

    @service.action
    async def count(text: str) -> dict[str, int]:
        """Count the characters."""
        return {"characters": len(text)}

    return service


def registration(
    name: str,
    *actions: str,
    endpoint: str = NOBODY,
    input_schema: JsonObject | None = None,
    output_schema: JsonObject | None = None,
) -> registry_service_pb2.RegisterServiceRequest:
    """Ask for a service with actions of one pair of schemas."""
    listed = [registry_pb2.Action(name=action) for action in actions]
    for action in listed:
        if input_schema is not None:
            action.input_schema.CopyFrom(payload(input_schema))
        if output_schema is not None:
            action.output_schema.CopyFrom(payload(output_schema))
    return registry_service_pb2.RegisterServiceRequest(
        service=registry_pb2.Service(name=name, endpoint=endpoint, actions=listed)
    )


def definition(
    name: str, *steps: workflow_pb2.Step, input_schema: JsonObject | None = None
) -> workflow_service_pb2.CreateWorkflowRequest:
    """Ask for a workflow."""
    workflow = workflow_pb2.Workflow(name=name, steps=steps)
    if input_schema is not None:
        workflow.input_schema.CopyFrom(payload(input_schema))
    return workflow_service_pb2.CreateWorkflowRequest(workflow=workflow)


def step(
    step_id: str, service: str, action: str, next_step: str = "", mapping: JsonObject | None = None
) -> workflow_pb2.Step:
    made = workflow_pb2.Step(id=step_id, service=service, action=action, next=next_step)
    if mapping is not None:
        made.input.CopyFrom(payload(mapping))
    return made


@dataclass(frozen=True)
class World:
    """A server, what it knows, and the ids that it assigned."""

    wire: Wire
    ended: str
    """Execution of ``shouting`` that is COMPLETED."""
    deleted: str
    """Id of a workflow that was deleted."""

    async def is_well(self) -> bool:
        """Tell whether an innocent call works: through registry, schemas, a provider and back."""
        request = execution_service_pb2.ExecuteServiceActionRequest(
            service="texts", action="shout", input=payload({"text": "hey"})
        )
        response = await self.wire.executions.ExecuteServiceAction(request, timeout=20)
        return value_in(response.output, JSON) == {"text": "HEY"}


@asynccontextmanager
async def populated() -> AsyncIterator[World]:
    """Run a server with services and workflows in every state.

    Services: ``texts`` (served), ``idle`` (inactive), ``retired`` (deprecated).
    Workflows: ``shouting`` (two steps), ``asleep`` (inactive).
    """
    async with serving() as wire, hosted(wire, text_service()):
        for name, state in (("idle", "INACTIVE"), ("retired", "DEPRECATED")):
            await wire.registry.RegisterService(registration(name, "work"))
            await wire.registry.SetServiceState(
                registry_service_pb2.SetServiceStateRequest(
                    service=name, state=registry_pb2.ServiceState.Value(f"SERVICE_STATE_{state}")
                )
            )
        text = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
        steps = (step("shout", "texts", "shout", "count"), step("count", "texts", "count"))
        for name in ("shouting", "asleep"):
            await wire.workflows.CreateWorkflow(definition(name, *steps, input_schema=text))
        gone = await wire.workflows.CreateWorkflow(definition("gone", *steps))
        await wire.workflows.SetWorkflowState(
            workflow_service_pb2.SetWorkflowStateRequest(
                workflow="asleep", state=workflow_pb2.WORKFLOW_STATE_INACTIVE
            )
        )
        await wire.workflows.DeleteWorkflow(workflow_service_pb2.DeleteWorkflowRequest(workflow="gone"))
        ran = await wire.executions.ExecuteWorkflow(
            execution_service_pb2.ExecuteWorkflowRequest(workflow="shouting", input=payload({"text": "ab"}))
        )
        assert ran.execution.state == execution_pb2.EXECUTION_STATE_COMPLETED
        yield World(wire, ended=ran.execution.id, deleted=gone.workflow.id)
