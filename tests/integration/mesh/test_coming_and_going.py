"""Calls wait for instances that come, and those that run outlive instances that go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.mesh.calls import all_connected, failure, unary
from tests.integration.mesh.conftest import Fleet
from tests.support.behaviours import path, until
from weft.mesh.call_options import CallOptions
from weft.mesh.mesh import Mesh, OneResolver

pytestmark = pytest.mark.integration


async def test_waiting_for_ready(fleet: Fleet, mesh: Mesh) -> None:
    """The call is made when an instance comes, or comes back; else it ends at its deadline and says why."""
    await fleet.grow()
    fleet.publish_none()
    calls = [asyncio.ensure_future(unary(mesh)(b"x", wait_for_ready=True, timeout=5)) for _ in range(3)]
    await asyncio.sleep(0.05)
    fleet.publish()
    assert await asyncio.gather(*calls) == [b"x"] * 3
    await fleet.stop(0)
    # What is sent over a connection that is just breaking may have run: it fails, and is not made again.
    await until(lambda: mesh.pool.state(fleet.endpoint(0)) is not grpc.ChannelConnectivity.READY)
    again = asyncio.ensure_future(unary(mesh)(b"y", wait_for_ready=True, timeout=5))
    await asyncio.sleep(0.05)
    await fleet.restart(0)
    assert await again == b"y"
    fleet.publish_none()
    await asyncio.sleep(0.02)
    error = await failure(unary(mesh)(b"x", wait_for_ready=True, timeout=0.1))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "no instance of fleet can be called: 0 known" in (error.details() or "")


async def test_cancel_while_waiting_for_an_instance(fleet: Fleet, mesh: Mesh) -> None:
    """By the call or by the task that awaits it."""
    fleet.publish_none()
    call = unary(mesh)(b"x", wait_for_ready=True)
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0.03)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.cancelled()
    other = unary(mesh)(b"x", wait_for_ready=True)
    await asyncio.sleep(0.03)
    assert other.cancel()
    assert await other.code() is grpc.StatusCode.CANCELLED


async def test_a_source_that_says_nothing(mesh: Mesh) -> None:
    """A call waits for its first answer, but not for ever, and then says that."""

    class Silent:
        async def watch(self, service: str) -> AsyncIterator[Any]:  # noqa: ARG002 - it knows none
            await asyncio.sleep(3600)
            yield None

    quiet = Mesh(OneResolver(Silent()))
    options = CallOptions(first_answer=timedelta(milliseconds=50))
    error = await failure(unary(quiet, options)(b"x"))
    assert error.details() == "no instance of fleet can be called: no source has answered yet"
    await quiet.close()


async def test_a_removed_instance_is_never_called_again(fleet: Fleet, mesh: Mesh) -> None:
    """From the moment the source says so; calls that run there end well, then the connection is closed."""
    await fleet.grow(2)
    fleet.publish()
    call = unary(mesh)
    await asyncio.gather(*(call(b"x") for _ in range(10)))
    running = [asyncio.ensure_future(call(b"sleep:0.2")) for _ in range(4)]
    await asyncio.sleep(0.05)
    fleet.publish(1)
    await asyncio.sleep(0.01)
    before = fleet.calls[0]
    for _ in range(50):
        await call(b"x")
    assert fleet.calls[0] == before
    assert await asyncio.gather(*running) == [b"sleep:0.2"] * 4
    await asyncio.sleep(0.05)
    assert mesh.pool.state(fleet.endpoint(0)) is grpc.ChannelConnectivity.IDLE
    fleet.publish()
    await asyncio.sleep(0.01)
    await all_connected(fleet, mesh, call)
    before = fleet.calls[0]
    for _ in range(4):
        await call(b"x")
    assert fleet.calls[0] == before + 2


async def test_a_stream_of_a_removed_instance_goes_on(fleet: Fleet, mesh: Mesh) -> None:
    """To its end, also when the server has ended and the reader has not read everything yet."""
    await fleet.grow()
    fleet.publish()
    channel: Any = mesh.channel("weft://fleet")
    chat = channel.stream_stream(path("Chat"))()
    await chat.write(b"a")
    assert await chat.read() == b"a"
    many = channel.unary_stream(path("Many"))(b"50")
    responses = many.__aiter__()
    assert await responses.__anext__() == b"0"
    fleet.publish_none()
    await asyncio.sleep(0.05)
    await chat.write(b"b")
    assert await chat.read() == b"b"
    await chat.done_writing()
    assert await chat.read() is grpc.aio.EOF
    await asyncio.sleep(0.05)
    assert [response async for response in responses] == [b"%d" % number for number in range(1, 50)]
