"""Providers that know nothing of our SDK: a plain HTTP endpoint, and a hand-written ActionService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import web

from tests.support.actions import greeting, streaming_provider
from weft.api.action.v1 import action_service_pb2 as pb
from weft.api.action.v1 import action_service_pb2_grpc as pb_grpc
from weft.client import Client, connect

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def http_provider() -> AsyncIterator[tuple[str, list[web.Request]]]:
    """Serve two actions as anybody would: ``POST /api/{action}``, JSON in and out."""
    seen: list[web.Request] = []

    async def double(request: web.Request) -> web.Response:
        seen.append(request)
        body = await request.json()
        return web.json_response({"n": body["n"] * 2})

    async def refuse(request: web.Request) -> web.Response:
        seen.append(request)
        error = {"reason": "CUSTOMER_BLOCKED", "message": "pays too late"}
        return web.json_response({"error": error}, status=409)

    async def crash(request: web.Request) -> web.Response:
        seen.append(request)
        raise web.HTTPInternalServerError(text="boom")

    async def hang(request: web.Request) -> web.Response:
        seen.append(request)
        await asyncio.sleep(60)
        return web.json_response({})

    app = web.Application()
    for handler in (double, refuse, crash, hang):
        app.router.add_post(f"/api/{handler.__name__}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/api", seen
    finally:
        await runner.cleanup()


class HandWritten(pb_grpc.ActionServiceServicer):
    """An ActionService on the generated stubs alone, answering with a Struct."""

    def __init__(self) -> None:
        self.requests: list[pb.InvokeActionRequest] = []

    async def InvokeAction(self, request: pb.InvokeActionRequest, context: Any) -> pb.InvokeActionResponse:  # noqa: N802 - the RPC's name
        self.requests.append(request)
        if request.action == "fail":
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the shop is closed")
        response = pb.InvokeActionResponse()
        response.output.struct.update({"n": 7, "texts": ["a", {"b": None}]})
        return response

    def RunActions(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802 - the RPC's name
        return super().RunActions(request_iterator, context)

    async def ListActions(self, request: pb.ListActionsRequest, context: Any) -> pb.ListActionsResponse:  # noqa: ARG002, N802 - the RPC's form
        return pb.ListActionsResponse()


@asynccontextmanager
async def hand_written() -> AsyncIterator[tuple[str, HandWritten]]:
    servicer = HandWritten()
    server = grpc.aio.server()
    pb_grpc.add_ActionServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"grpc://127.0.0.1:{port}", servicer
    finally:
        await server.stop(0)


def _single(service: str, action: str, **more: Any) -> list[dict[str, Any]]:
    return [{"id": "only", "service": service, "action": action, **more}]


async def _failure(weft: Client, workflow: str, **values: Any) -> tuple[str, str]:
    ended = await weft.executions.execute(workflow, values)
    assert ended.state == "FAILED"
    assert ended.failure is not None
    return ended.failure.reason, ended.failure.message


async def test_a_step_served_by_plain_http(address: str) -> None:
    """The input is posted, headers say which call it is, the answer is the output."""
    async with http_provider() as (url, seen), connect(address) as weft:
        actions = [{"name": name} for name in ("double", "refuse", "crash", "hang")]
        await weft.registry.register("plain", endpoint=url, actions=actions)
        await weft.workflows.create(
            "doubled",
            [
                {"id": "once", "service": "plain", "action": "double", "next": "twice"},
                {"id": "twice", "service": "plain", "action": "double"},
            ],
        )
        ended = await weft.executions.execute(
            "doubled", {"n": 3}, context={"project_id": "p-1", "request_id": "r-1"}
        )
        assert (ended.state, ended.result) == ("COMPLETED", {"n": 12})
        headers = seen[1].headers
        assert headers["weft-execution-id"] == ended.id
        assert headers["weft-step-id"] == "twice"
        assert headers["idempotency-key"] == f"{ended.id}/twice"
        assert headers["weft-attempt"] == "1"
        assert 0 < int(headers["weft-timeout-ms"]) <= 60_000
        assert (headers["x-project-id"], headers["x-request-id"]) == ("p-1", "r-1")


async def test_failures_of_plain_http(address: str) -> None:
    """A status with a reason, one without, a crash and silence all end the execution with what is known."""
    async with http_provider() as (url, _), connect(address) as weft:
        actions = [{"name": name} for name in ("double", "refuse", "crash", "hang")]
        await weft.registry.register("plain", endpoint=url, actions=actions)
        await weft.workflows.create("refused", _single("plain", "refuse"))
        await weft.workflows.create("crashed", _single("plain", "crash"))
        await weft.workflows.create("silent", _single("plain", "hang", timeout=0.2))
        reason, message = await _failure(weft, "refused")
        assert (reason, "pays too late" in message) == ("CUSTOMER_BLOCKED", True)
        reason, message = await _failure(weft, "crashed")
        assert (reason, "boom" in message) == ("HTTP_500", True)
        assert (await _failure(weft, "silent"))[0] == "ACTION_TIMEOUT"


async def test_a_step_served_by_raw_stubs(address: str) -> None:
    """The contract is enough: request, invocation and a Struct as the answer; a bare status is a failure."""
    async with hand_written() as (url, servicer), connect(address) as weft:
        await weft.registry.register("raw", endpoint=url, actions=[{"name": "work"}, {"name": "fail"}])
        await weft.workflows.create("raw", _single("raw", "work"))
        await weft.workflows.create("closed", _single("raw", "fail"))
        ended = await weft.executions.execute("raw", {"x": 1}, context={"tenant": "Zoë"})
        assert (ended.state, ended.result) == ("COMPLETED", {"n": 7, "texts": ["a", {"b": None}]})
        request = servicer.requests[0]
        assert (request.service, request.action, request.input.json) == ("raw", "work", b'{"x":1}')
        assert request.invocation == pb.Invocation(
            execution_id=ended.id,
            workflow_id=ended.workflow_id,
            step_id="only",
            attempt=1,
            idempotency_key=f"{ended.id}/only",
            attempt_token=request.invocation.attempt_token,
        )
        assert request.invocation.attempt_token
        assert dict(request.context.values) == {"tenant": "Zoë"}
        reason, message = await _failure(weft, "closed")
        assert (reason, "the shop is closed" in message) == ("ACTION_FAILED", True)


async def test_an_endpoint_that_moves_is_followed(address: str) -> None:
    """A service's own endpoint may be changed while the server runs; calls go there a moment later."""
    async with hand_written() as (first, one), hand_written() as (second, two), connect(address) as weft:
        await weft.registry.register("raw", endpoint=first, actions=[{"name": "work"}])
        await weft.executions.call("raw", "work")
        await weft.registry.update("raw", endpoint=second)
        async with asyncio.timeout(5):
            while not two.requests:
                await weft.executions.call("raw", "work")
        before = len(one.requests)
        for _ in range(5):
            await weft.executions.call("raw", "work")
        assert (len(one.requests), len(two.requests)) == (before, 6)


async def test_a_narrow_window_costs_no_attempts(address: str) -> None:
    """What waits at the engine for a provider's window is not with it yet, so it cannot be silent there."""

    async def one_by_one(requests: Any, context: Any) -> None:
        await context.write(greeting(invocations=1))
        async for request in requests:
            await asyncio.sleep(0.4)
            done = [pb.ActionResult(id=it.id) for it in request.invocations]
            await context.write(pb.RunActionsResponse(results=done))

    async with streaming_provider(one_by_one) as endpoint, connect(address) as weft:
        await weft.registry.register(
            "slow", endpoint=f"grpc://{endpoint.address}", actions=[{"name": "work"}]
        )
        work = _single("slow", "work", heartbeat_timeout=0.7, retry={"initial_backoff": 0.1})
        await weft.workflows.create("three", [{"id": "each", "map": {"items": [1, 2, 3], "steps": work}}])
        ended = await weft.executions.execute("three", {})
        attempts = [step.attempt for step in ended.steps if step.action]
        assert (ended.state, attempts) == ("COMPLETED", [1, 1, 1])
