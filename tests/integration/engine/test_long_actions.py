"""Long actions, from the engine to the SDK: heartbeats, going on, answering later, ending."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest

from tests.support.behaviours import until
from tests.support.wire import Wire
from tests.support.world import hosted, serving
from weft.api.common.v1 import payload_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.api.execution.v1 import execution_service_pb2_grpc
from weft.client import Client, connect
from weft.core.reasons import Reason
from weft.mesh.rpc import error_from_rpc
from weft.service import ActionContext, Pending, Service

pytestmark = pytest.mark.integration

BRIEF = timedelta(seconds=0.6)


@dataclass
class Seen:
    """What the actions saw."""

    resumed: list[Any] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    cancelled: int = 0


def long_service(seen: Seen) -> Service:
    service = Service("long")

    @service.action
    async def patient(context: ActionContext) -> dict[str, int]:
        for number in range(20):
            context.heartbeat({"done": number})
            await asyncio.sleep(0.1)
        return {"done": 20}

    @service.action
    async def silent(context: ActionContext) -> dict[str, int]:
        seen.resumed.append(context.heartbeat_details)
        if context.attempt > 1:
            return {"attempt": context.attempt}
        context.heartbeat({"page": 7})
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.cancelled += 1
            raise
        return {}

    @service.action
    async def later(context: ActionContext) -> dict[str, str]:
        seen.tokens.append(context.attempt_token)
        raise Pending

    return service


@dataclass
class World:
    """A server, a provider, a client, and what was seen."""

    wire: Wire
    weft: Client
    seen: Seen

    async def start(self, action: str, **step: Any) -> str:
        await self.weft.workflows.create(
            action, [{"id": "only", "service": "long", "action": action, **step}]
        )
        return (await self.weft.executions.start(action, {})).id

    async def end(self, execution: str) -> Any:
        async with asyncio.timeout(20):
            async for _ in self.weft.executions.watch(execution):
                pass
        return await self.weft.executions.get(execution)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    seen = Seen()
    async with (
        serving() as wire,
        hosted(wire, long_service(seen)),
        connect(wire.address) as weft,
    ):
        yield World(wire, weft, seen)


async def complete(world: World, text: bytes) -> None:
    async with grpc.aio.insecure_channel(world.wire.address) as channel:
        stub: Any = execution_service_pb2_grpc.ExecutionServiceStub(channel)
        output = payload_pb2.Payload(json=text)
        await stub.CompleteAttempt(
            pb.CompleteAttemptRequest(attempt_token=world.seen.tokens[0], output=output)
        )


async def test_an_action_that_is_heard_of_may_take_its_time(world: World) -> None:
    """Three times as long as it may be silent."""
    ended = await world.end(await world.start("patient", heartbeat_timeout=BRIEF))
    assert (ended.state, ended.result) == ("COMPLETED", {"done": 20})


async def test_a_silent_attempt_is_cancelled_and_the_next_one_goes_on(world: World) -> None:
    """It stops where it runs, and what it told last is given to the next."""
    retry = {"max_attempts": 2, "initial_backoff": timedelta(milliseconds=50)}
    ended = await world.end(await world.start("silent", heartbeat_timeout=BRIEF, retry=retry))
    assert (ended.state, ended.result) == ("COMPLETED", {"attempt": 2})
    assert world.seen.resumed == [None, {"page": 7}]
    assert world.seen.cancelled == 1


async def test_an_outcome_may_come_later_and_once(world: World) -> None:
    """The step is open until somebody completes the attempt; the second time it is stale."""
    execution = await world.start("later")
    await until(lambda: bool(world.seen.tokens))
    await asyncio.sleep(0.2)
    assert (await world.weft.executions.get(execution)).state == "RUNNING"
    await complete(world, b'{"signed": "yes"}')
    ended = await world.end(execution)
    assert (ended.state, ended.result) == ("COMPLETED", {"signed": "yes"})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await complete(world, b'{"signed": "no"}')
    assert error_from_rpc(caught.value).reason == Reason.ATTEMPT_STALE


async def test_cancelling_an_execution_stops_its_action(world: World) -> None:
    """At the provider, at once."""
    execution = await world.start("silent")
    await until(lambda: world.seen.resumed == [None])
    await world.weft.executions.cancel(execution)
    await until(lambda: world.seen.cancelled == 1)
