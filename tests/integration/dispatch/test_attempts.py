"""Heartbeats of actions that are called by themselves: by an RPC of the server that knows the instance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.support.actions import Way
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.core.errors import CallCancelledError, PreconditionError, ServiceUnavailableError, WeftError
from weft.core.reasons import Reason
from weft.discovery.endpoint import parse_address
from weft.discovery.model import Endpoint
from weft.mesh.rpc import abort_with
from weft.service import ActionContext, Service

pytestmark = pytest.mark.integration


class Engine:
    """Takes heartbeats, and answers them as told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bytes]] = []
        self.cancel = False
        self.error: WeftError | None = None

    async def heartbeat(self, request: pb.HeartbeatAttemptRequest, context: Any) -> Any:
        self.told.append((request.attempt_token, request.details.json))
        if self.error is not None:
            await abort_with(context, self.error)
        return pb.HeartbeatAttemptResponse(cancel_requested=self.cancel)


@asynccontextmanager
async def listening(engine: Engine) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        engine.heartbeat,
        request_deserializer=pb.HeartbeatAttemptRequest.FromString,
        response_serializer=pb.HeartbeatAttemptResponse.SerializeToString,
    )
    name = "weft.api.execution.v1.ExecutionService"
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(name, {"HeartbeatAttempt": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


async def call(engine: Engine | None, beats: int, token: str = "t-1") -> Any:
    """Run an action that beats so many times, by a unary call."""
    service = Service("demo")

    @service.action
    async def work(context: ActionContext) -> dict[str, int]:
        for number in range(beats):
            context.heartbeat({"done": number})
            await asyncio.sleep(0.01)
        return {"beats": beats}

    async with service.hosted() as host, Way("unary") as way:
        address, port = parse_address(host.address)
        endpoint = Endpoint(host=address, port=port)
        fields: dict[str, Any] = {"attempt_token": token, "heartbeat_timeout": timedelta(seconds=0.3)}
        if engine is None:
            return await way.invoke(endpoint, "work", **fields)
        async with listening(engine) as channel:
            host._servicer.attempts.use(channel)
            return await way.invoke(endpoint, "work", **fields)


async def test_heartbeats_reach_the_engine_by_an_rpc() -> None:
    """With token and details, thinned out; the call goes on."""
    engine = Engine()
    assert await call(engine, 60) == {"beats": 60}
    assert engine.told[0] == ("t-1", b'{"done":0}')
    assert 3 <= len(engine.told) <= 30


async def test_a_direct_call_tells_nobody() -> None:
    """It has no token; nor does anything fail where there is no server."""
    engine = Engine()
    assert await call(engine, 3, token="") == {"beats": 3}
    assert engine.told == []
    assert await call(None, 3) == {"beats": 3}


@pytest.mark.parametrize("error", [None, PreconditionError("over", reason=Reason.ATTEMPT_STALE)])
async def test_an_attempt_that_nobody_waits_for_is_cancelled(error: WeftError | None) -> None:
    """Whether the engine asks for it, or does not know the attempt any more; the call has an end."""
    engine = Engine()
    engine.cancel, engine.error = error is None, error
    async with asyncio.timeout(10):
        with pytest.raises((CallCancelledError, ServiceUnavailableError)):
            await call(engine, 10_000)


async def test_an_engine_that_cannot_be_reached_stops_nothing() -> None:
    """The next heartbeat is tried all the same."""
    engine = Engine()
    engine.error = ServiceUnavailableError("execution")
    assert await call(engine, 40) == {"beats": 40}
    assert len(engine.told) > 1
