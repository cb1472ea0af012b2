"""One execution is one trace, from the caller to the last call that it causes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import web
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

from tests.support.spans import Spans, attributes, global_spans, is_below, span_id, trace_id
from tests.support.wire import STRUCT, Wire, connected, payload, value_in
from tests.support.world import definition, hosted, registration, serving, step
from weft.api.execution.v1 import execution_pb2, execution_service_pb2
from weft.client import connect
from weft.mesh.tracing.context import inject
from weft.mesh.tracing.interceptors import TracingServerInterceptor, tracing_client_interceptors
from weft.server.app import WeftServer
from weft.server.config import ServerConfig
from weft.service import Service

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"
ECHO = "/shop.v1.Echo/Say"


@pytest.fixture
def spans() -> Iterator[Spans]:
    with global_spans() as found:
        yield found


class Onward:
    """A plain gRPC server and a plain HTTP server, and what they got."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self.grpc_address = ""
        self.http_address = ""

    async def say(self, request: bytes, context: Any) -> bytes:
        self.metadata = dict(context.invocation_metadata())
        return request

    async def take(self, request: web.Request) -> web.Response:
        self.headers = {key.lower(): value for key, value in request.headers.items()}
        return web.json_response({"text": "over HTTP"})

    async def call(self) -> None:
        """Call the gRPC server, as the body of an action does."""
        target = self.grpc_address
        async with grpc.aio.insecure_channel(
            target, interceptors=tracing_client_interceptors(target=target)
        ) as channel:
            say: Any = channel.unary_unary(ECHO)
            await say(b"x", timeout=10)


@asynccontextmanager
async def onward_servers() -> AsyncIterator[Onward]:
    onward = Onward()
    server = grpc.aio.server(interceptors=(TracingServerInterceptor(),))
    handler: Any = grpc.unary_unary_rpc_method_handler(onward.say)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.v1.Echo", {"Say": handler}),))
    onward.grpc_address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    app = web.Application()
    app.router.add_post("/take", onward.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    onward.http_address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield onward
    finally:
        await runner.cleanup()
        await server.stop(None)


def calling_service(onward: Onward) -> Service:
    service = Service("texts")

    @service.action
    async def shout(text: str) -> dict[str, str]:
        """Say it loud, by way of another server."""
        await onward.call()
        return {"text": text.upper(), "tenant": str(baggage.get_baggage("tenant"))}

    return service


@asynccontextmanager
async def ready(onward: Onward) -> AsyncIterator[Wire]:
    async with serving() as wire, hosted(wire, calling_service(onward)):
        await wire.registry.RegisterService(registration("over-http", "take", endpoint=onward.http_address))
        await wire.workflows.CreateWorkflow(
            definition("both", step("first", "texts", "shout", "second"), step("second", "over-http", "take"))
        )
        yield wire


async def run(wire: Wire, *metadata: tuple[str, str]) -> execution_pb2.Execution:
    response = await wire.executions.ExecuteWorkflow(
        execution_service_pb2.ExecuteWorkflowRequest(workflow="both", input=payload({"text": "ab"})),
        metadata=metadata,
        timeout=20,
    )
    assert response.execution.state == execution_pb2.EXECUTION_STATE_COMPLETED, response.execution.failure
    return response.execution


def chain_of(spans: Spans, leaf: ReadableSpan) -> list[str]:
    """Return the names from the root down to a span."""
    by_id = {span_id(span): span for span in spans.all}
    names: list[str] = []
    at: ReadableSpan | None = leaf
    while at is not None:
        names.insert(0, at.name)
        at = by_id.get(at.parent.span_id) if at.parent is not None else None
    return names


async def test_one_trace_from_the_caller_to_the_last_call(spans: Spans) -> None:
    """Start, execution, attempts, provider and its calls hang below one another, over gRPC and HTTP."""
    async with onward_servers() as onward, ready(onward) as wire:
        spans.clear()
        execution = await run(wire, ("traceparent", SAMPLED), ("baggage", "tenant=seven"))
        await spans.wait_for(9)
        assert execution.trace_id == TRACE
        assert {trace_id(span) for span in spans.all} == {TRACE}

        onward_server = spans.one("shop.v1.Echo/Say", SpanKind.SERVER)
        assert chain_of(spans, onward_server) == [
            "weft.api.execution.v1.ExecutionService/ExecuteWorkflow",
            "execution both",
            "step first",
            "weft.api.action.v1.ActionService/InvokeAction",
            "weft.api.action.v1.ActionService/InvokeAction",
            "shop.v1.Echo/Say",
            "shop.v1.Echo/Say",
        ]
        root = spans.one("weft.api.execution.v1.ExecutionService/ExecuteWorkflow")
        assert root.parent is not None
        assert f"{root.parent.span_id:016x}" == "b7ad6b7169203331"
        http = spans.one("POST")
        assert chain_of(spans, http)[-3:] == ["execution both", "step second", "POST"]
        assert onward.headers["traceparent"] == f"00-{TRACE}-{span_id(http):016x}-01"
        assert onward.headers["x-trace-id"] == TRACE
        assert onward.headers["x-request-id"]
        # Baggage reaches the last call of each way.
        assert onward.metadata["baggage"] == onward.headers["baggage"] == "tenant=seven"


async def test_spans_say_who_was_called_and_how(spans: Spans) -> None:
    """Service, instance, address, attempt, retry and balancer; execution, workflow and step."""
    async with onward_servers() as onward, ready(onward) as wire:
        spans.clear()
        execution = await run(wire, ("traceparent", SAMPLED), ("x-request-id", "req-7"))
        await spans.wait_for(9)
        client = attributes(spans.one("weft.api.action.v1.ActionService/InvokeAction", SpanKind.CLIENT))
        port = client.pop("server.port")
        assert client.pop("network.peer.port") == port
        assert client.pop("weft.balancer")
        assert client == {
            "rpc.system": "grpc",
            "rpc.service": "weft.api.action.v1.ActionService",
            "rpc.method": "InvokeAction",
            "rpc.grpc.status_code": 0,
            "server.address": "127.0.0.1",
            "network.peer.address": "127.0.0.1",
            "weft.service": "texts",
            "weft.instance.id": "texts-1",
            "weft.attempt": 1,
            "weft.retry": False,
        }
        attempt = attributes(spans.one("step first"))
        assert attempt["weft.execution.id"] == execution.id
        assert (attempt["weft.step.id"], attempt["weft.attempt"]) == ("first", 1)
        whole = spans.one("execution both")
        assert attributes(whole)["weft.execution.state"] == "COMPLETED"
        assert attributes(whole)["weft.request.id"] == "req-7"
        assert whole.start_time == execution.create_time.ToNanoseconds()
        assert whole.end_time == execution.end_time.ToNanoseconds()
        assert attributes(spans.one("POST"))["http.response.status_code"] == 200


async def test_without_a_caller_s_context_the_server_begins_a_trace(spans: Spans) -> None:
    """Every execution has a trace id, and it is that of its spans."""
    async with onward_servers() as onward, ready(onward) as wire:
        spans.clear()
        first, second = await run(wire), await run(wire)
        await spans.wait_for(18)
        assert first.trace_id != second.trace_id
        assert {trace_id(span) for span in spans.all} == {first.trace_id, second.trace_id}


async def test_what_is_not_sampled_is_passed_on_all_the_same(spans: Spans) -> None:
    """No span is recorded; trace and baggage reach the last server."""
    async with onward_servers() as onward, ready(onward) as wire:
        spans.clear()
        execution = await run(wire, ("traceparent", UNSAMPLED), ("baggage", "a=b"))
        assert execution.trace_id == TRACE
        for headers in (onward.metadata, onward.headers):
            assert headers["traceparent"].startswith(f"00-{TRACE}-")
            assert headers["traceparent"].endswith("-00")
            assert headers["baggage"] == "a=b"
        assert spans.all == ()


async def test_a_sampler_that_says_no(spans: Spans) -> None:
    """The trace has an id, which is passed on as not sampled."""
    with global_spans(ALWAYS_OFF) as nothing:
        async with onward_servers() as onward, ready(onward) as wire:
            execution = await run(wire)
            assert onward.metadata["traceparent"].startswith(f"00-{execution.trace_id}-")
            assert int(onward.metadata["traceparent"][-2:], 16) & 1 == 0
            assert nothing.all == ()


async def test_without_any_sdk_a_trace_goes_through() -> None:
    """Nobody records, yet the caller's trace reaches the last server, and executions have trace ids."""
    async with onward_servers() as onward, ready(onward) as wire:
        execution = await run(wire, ("traceparent", SAMPLED), ("tracestate", "vendor=1"))
        assert execution.trace_id == TRACE
        for headers in (onward.metadata, onward.headers):
            assert headers["traceparent"].startswith(f"00-{TRACE}-")
            assert headers["traceparent"].endswith("-01")
            assert headers["tracestate"] == "vendor=1"
        assert len((await run(wire)).trace_id) == 32


async def test_a_failed_step_is_seen_in_its_spans(spans: Spans) -> None:
    """The attempt and the execution are marked, with the reason and never with values of the payload."""
    async with onward_servers() as onward, ready(onward) as wire:
        service = Service("failing")

        @service.action
        async def fail() -> None:
            raise ValueError("secret 4711")

        async with hosted(wire, service):
            await wire.workflows.CreateWorkflow(definition("fails", step("only", "failing", "fail")))
            spans.clear()
            await wire.executions.ExecuteWorkflow(
                execution_service_pb2.ExecuteWorkflowRequest(workflow="fails"), timeout=20
            )
            await spans.wait_for(5)
            for name in ("step only", "execution fails"):
                span = spans.one(name)
                assert span.status.status_code is trace.StatusCode.ERROR
                assert attributes(span)["weft.reason"] == "ACTION_FAILED"
                assert "4711" not in span.to_json()


async def test_the_client_continues_the_trace_of_its_program(spans: Spans) -> None:
    """What a program does within a span of its own, it does in that trace: at both ends of each call."""
    async with serving() as wire, connect(wire.address) as client:
        await wire.registry.RegisterService(registration("texts", "shout"))
        await wire.workflows.CreateWorkflow(definition("flow", step("only", "texts", "shout")))
        with spans.provider.get_tracer("mine").start_as_current_span("my work") as mine:
            started = await client.executions.start("flow", {})
            watched = [event async for event in client.executions.watch(started.id)]
        assert started.trace_id == f"{mine.get_span_context().trace_id:032x}"
        assert watched
        served = [
            await spans.wait_for_one(f"weft.api.execution.v1.ExecutionService/{name}Execution", kind)
            for name in ("Start", "Watch")
            for kind in (SpanKind.CLIENT, SpanKind.SERVER)
        ]
        assert {trace_id(span) for span in served} == {started.trace_id}


async def test_a_restart_does_not_end_the_trace(spans: Spans, tmp_path: Path) -> None:
    """What runs after a restart hangs below the same execution."""
    started, release = asyncio.Event(), asyncio.Event()
    service = Service("slow")

    @service.action
    async def work() -> dict[str, str]:
        headers: dict[str, str] = {}
        inject(headers)
        started.set()
        await release.wait()
        return headers

    config = ServerConfig(listen="127.0.0.1:0", data_dir=tmp_path, drain_grace=timedelta(0))
    async with WeftServer(config) as server, connected(server.address) as wire, hosted(wire, service):
        await wire.workflows.CreateWorkflow(definition("slowly", step("only", "slow", "work")))
        begun = await wire.executions.StartExecution(
            execution_service_pb2.StartExecutionRequest(workflow="slowly"),
            metadata=(("traceparent", SAMPLED), ("baggage", "tenant=seven")),
        )
        await started.wait()
        await server.stop()
    release.set()
    spans.clear()
    async with WeftServer(config) as server, connected(server.address) as wire, hosted(wire, service):
        async with asyncio.timeout(20):
            while True:
                request = execution_service_pb2.GetExecutionRequest(execution_id=begun.execution.id)
                found = (await wire.executions.GetExecution(request)).execution
                if found.state != execution_pb2.EXECUTION_STATE_RUNNING:
                    break
                await asyncio.sleep(0.02)
        assert found.trace_id == TRACE
        history = await wire.executions.GetExecutionHistory(
            execution_service_pb2.GetExecutionHistoryRequest(execution_id=found.id)
        )
        kept = history.events[0].execution_started.traceparent
        whole = spans.one("execution slowly")
        assert kept == f"00-{TRACE}-{span_id(whole):016x}-01"
        again = spans.one("step only")
        assert is_below(again, whole)
        assert attributes(again)["weft.attempt"] == 2
        assert attributes(again)["weft.retry"] is True
        assert value_in(found.result, STRUCT)["baggage"] == "tenant=seven"
