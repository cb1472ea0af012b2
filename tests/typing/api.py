"""The public API as type checkers see it: checked by mypy and pyright with everything else, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, assert_type

from weft.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from weft.client import (
    NO_RETRY,
    CallContext,
    Client,
    Code,
    Event,
    Execution,
    Failure,
    Instance,
    IntegrationHealth,
    Page,
    PlannedCompensation,
    Problem,
    RetryPolicies,
    RetryPolicy,
    ServiceHealth,
    ServiceIntegrationClient,
    ServiceUnavailableError,
    StepExecution,
    ValidationError,
    Violation,
    WeftError,
    Workflow,
    connect,
)
from weft.client import (
    Service as RegisteredService,
)
from weft.client.mesh import HttpCaller, HttpResponse, MeshClient, ServiceDescriptors, connect_mesh
from weft.discovery import Endpoint, Resolver, Snapshot, StaticResolver
from weft.service import ActionContext, Host, Service, current_context


async def mesh() -> None:
    async with connect_mesh() as found:
        assert_type(found, MeshClient)
        RegistryServiceStub(found.channel("consul://registry"))
        assert_type(await found.call_service("orders", "Get", {"id": 7}, timeout=2), dict[str, Any])
        assert_type(found.stream_service("orders", "List"), AsyncGenerator[dict[str, Any], None])
        assert_type(await found.describe("orders"), ServiceDescriptors)
        assert_type(found.http, HttpCaller)
        assert_type(await found.http.request("orders", "GET", "/7"), HttpResponse)
        assert_type(await found.resolve("orders"), Snapshot)
        assert_type(found.watch("orders"), AsyncGenerator[Snapshot, None])
        assert_type(connect("consul://weft-execution", mesh=found), Client)


async def typed_clients() -> None:
    async with connect("127.0.0.1:7420", timeout=timedelta(seconds=1)) as weft:
        assert_type(weft, Client)
        started = await weft.executions.start("flow", {"a": 1}, context={"project_id": "p"})
        assert_type(started, Execution)
        assert_type(await weft.executions.execute("flow", wait=timedelta(seconds=1)), Execution)
        assert_type(await weft.executions.list(state="RUNNING"), Page[Execution])
        assert_type(weft.executions.watch("exe_1"), AsyncGenerator[Event, None])
        assert_type(weft.executions.history("exe_1"), AsyncIterator[Event])
        assert_type(await weft.executions.call("service", "action", {}), dict[str, Any])
        assert_type(await weft.executions.cancel("exe_1", reason="why"), Execution)
        assert_type(await weft.executions.pause("exe_1"), Execution)
        assert_type(await weft.executions.resume("exe_1", reason="why"), Execution)
        assert_type(await weft.executions.resolve_incident("exe_1", "RETRY", input={}), Execution)
        assert_type(await weft.executions.rerun("exe_1", from_step="a"), Execution)
        assert_type(await weft.executions.signal("exe_1", "paid", {"a": 1}, correlation="7"), Execution)
        assert_type(await weft.executions.signal_with_start("flow", "key", "paid"), tuple[Execution, bool])
        assert_type(await weft.executions.decide("exe_1", "approved", by="ann"), Execution)
        plan = await weft.executions.compensation_plan("exe_1")
        assert_type(plan, tuple[PlannedCompensation, ...])
        assert_type(await weft.executions.heartbeat_attempt("token", {"done": 1}), bool)
        await weft.executions.complete_attempt("token", {"a": 1})
        await weft.executions.fail_attempt("token", "REASON", "why", code=Code.NOT_FOUND)
        assert_type(await weft.workflows.create("flow", [{"id": "a"}]), Workflow)
        assert_type(await weft.workflows.list(), Page[Workflow])
        assert_type(await weft.registry.get("service"), RegisteredService)
        assert_type(await weft.registry.instances("service"), Page[Instance])
        assert_type(await weft.registry.service_health("service"), ServiceHealth)
        assert_type(await weft.registry.integration_health(), IntegrationHealth)
        assert_type(await weft.health.check(), str)


def records(execution: Execution, workflow: Workflow) -> None:
    assert_type(execution.failure, Failure | None)
    assert_type(execution.steps, tuple[StepExecution, ...])
    assert_type(execution.create_time, datetime | None)
    assert_type(execution.context, CallContext)
    assert_type(execution.to_dict(), dict[str, Any])
    assert_type(workflow.warnings, tuple[Problem, ...])


async def integration_client(client: ServiceIntegrationClient) -> None:
    assert_type(await client.execute_workflow("flow", {"a": 1}, context=CallContext()), dict[str, Any])
    assert_type(await client.get_workflows(status="ACTIVE", page=2), dict[str, Any])
    assert_type(client.typed, Client)


def errors(error: WeftError) -> None:
    assert_type(error.code, Code)
    assert_type(error.reason, str)
    assert_type(error.retry_after, timedelta | None)
    if isinstance(error, ValidationError):
        assert_type(error.violations, tuple[Violation, ...])
        assert_type(error.validation_errors, list[dict[str, str]])
    if isinstance(error, ServiceUnavailableError):
        assert_type(error.service_name, str)


def policies() -> None:
    assert_type(NO_RETRY, RetryPolicy)
    assert_type(RetryPolicies(read=RetryPolicy(max_retries=1)).read, RetryPolicy)


service = Service("typed")


@service.action
async def plain(text: str, context: ActionContext) -> dict[str, int]:
    """Stay what it is."""
    return {"length": len(text), "attempt": context.attempt}


@service.action(name="renamed", idempotent=True, timeout=timedelta(seconds=1))
def threaded(n: int = 1) -> dict[str, int]:
    """Stay what it is, too."""
    return {"n": n}


async def decorated(context: ActionContext) -> None:
    assert_type(await plain("text", context), dict[str, int])
    assert_type(threaded(2), dict[str, int])
    checked: Callable[[str, ActionContext], Coroutine[Any, Any, dict[str, int]]] = plain
    assert_type(await checked("text", context), dict[str, int])
    assert_type(current_context(), ActionContext)
    assert_type(context.remaining, timedelta | None)


async def hosting() -> None:
    hosted: AbstractAsyncContextManager[Host] = service.hosted(
        server="127.0.0.1:7420", ttl=timedelta(seconds=5)
    )
    async with hosted as host:
        assert_type(host, Host)
        assert_type(host.address, str)


async def discovery() -> None:
    resolver: Resolver = StaticResolver({"a": [Endpoint(host="127.0.0.1", port=1)]})
    async for snapshot in resolver.watch("a"):
        assert_type(snapshot, Snapshot)
        assert_type(snapshot.callable(), tuple[Endpoint, ...])
