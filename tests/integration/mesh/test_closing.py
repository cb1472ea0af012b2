"""What waits ends with whoever closes; and nobody closes what somebody has just begun to use."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.mesh.conftest import Fleet
from tests.support.behaviours import path
from weft.mesh.mesh import Mesh

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("kind", ["plain", "mesh"])
async def test_channel_ready_ends_when_the_channel_is_closed(fleet: Fleet, mesh: Mesh, kind: str) -> None:
    """With UsageError, as on a plain channel, also when it is asked afterwards."""
    fleet.publish_none()
    channel: Any = mesh.channel("weft://fleet")
    if kind == "plain":
        channel = grpc.aio.insecure_channel("127.0.0.1:1")
    waiting = asyncio.create_task(channel.channel_ready())
    await asyncio.sleep(0.05)
    await channel.close()
    async with asyncio.timeout(2):
        for each in (waiting, channel.channel_ready()):
            with pytest.raises(grpc.aio.UsageError, match="closed"):
                await each


async def test_channel_ready_ends_when_the_mesh_is_closed(fleet: Fleet, mesh: Mesh) -> None:
    """And so does the dialling that ``get_state`` began."""
    fleet.publish_none()
    channel: Any = mesh.channel("weft://fleet")
    other: Any = mesh.channel("weft://fleet")
    assert other.get_state(try_to_connect=True) is grpc.ChannelConnectivity.CONNECTING
    waiting = asyncio.create_task(channel.channel_ready())
    await asyncio.sleep(0.05)
    await mesh.close()
    async with asyncio.timeout(1):
        with pytest.raises(grpc.aio.UsageError, match="closed"):
            await waiting


async def test_channel_ready_can_be_given_up(fleet: Fleet, mesh: Mesh) -> None:
    """Who is cancelled while waiting is cancelled, and the channel works on."""
    fleet.publish_none()
    channel: Any = mesh.channel("weft://fleet")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(channel.channel_ready(), 0.05)
    await fleet.grow()
    fleet.publish()
    await channel.channel_ready()
    assert await channel.unary_unary(path("Unary"))(b"x") == b"x"


async def test_a_call_on_a_route_that_was_idle_for_long(fleet: Fleet, mesh: Mesh) -> None:
    """Housekeeping between the call's begin and its first step leaves the route alone."""
    await fleet.grow()
    fleet.publish_none()
    channel: Any = mesh.channel("weft://fleet")
    await channel.unary_unary(path("Unary"))(b"x").code()
    (route,) = mesh.routes()
    route.last_used = float("-inf")
    call = channel.unary_unary(path("Unary"))(b"x", wait_for_ready=True)
    await mesh.forget_idle()
    assert not route.closed
    fleet.publish()
    async with asyncio.timeout(5):
        assert await call == b"x"


async def test_a_channel_that_nobody_uses_holds_nothing(fleet: Fleet, mesh: Mesh) -> None:
    """What its route knew is let go with the route; the next call finds it again."""
    await fleet.grow()
    fleet.publish()
    channel: Any = mesh.channel("weft://fleet")
    assert await channel.unary_unary(path("Unary"))(b"x") == b"x"
    (route,) = mesh.routes()
    route.last_used = float("-inf")
    gone = weakref.ref(route)
    del route
    await mesh.forget_idle()
    await asyncio.sleep(0.05)
    gc.collect()
    assert gone() is None
    assert await channel.unary_unary(path("Unary"))(b"y") == b"y"
