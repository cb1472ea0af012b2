"""Connections are made once, shared, noticed when they break, and closed when idle."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.support.watching import eventually
from weft.core.errors import Code
from weft.core.reasons import Reason
from weft.core.testing import ManualClock
from weft.discovery.model import Endpoint
from weft.mesh.actions import UnreachableError
from weft.mesh.pool import ChannelPool, Connection
from weft.mesh.rpc import SERVER_OPTIONS

ECHO = "/echo.Echo/Echo"


async def start_echo(port: int = 0) -> tuple[grpc.aio.Server, int]:
    async def echo(request: bytes, context: Any) -> bytes:
        return request

    handler: Any = grpc.unary_unary_rpc_method_handler(echo)
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", {"Echo": handler}),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, bound


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def pool(clock: ManualClock) -> AsyncIterator[ChannelPool]:
    pool = ChannelPool(clock, connect_timeout=timedelta(seconds=2), idle_timeout=timedelta(minutes=5))
    yield pool
    await pool.close()


@pytest.fixture
async def address() -> AsyncIterator[str]:
    server, port = await start_echo()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def say(pool: ChannelPool, address: str, text: bytes = b"hey") -> grpc.aio.Channel:
    """Make a call, and return the channel that it went over."""
    async with pool.channel(address, "echo", 2.0) as channel:
        raw: Any = channel
        assert await raw.unary_unary(ECHO)(text, timeout=2) == text
        return channel


async def test_calls_to_one_address_share_a_channel(pool: ChannelPool, address: str) -> None:
    """Also calls at the same moment, of which the first one dials."""
    channels = await asyncio.gather(*(say(pool, address) for _ in range(20)))
    assert len(set(channels)) == 1
    assert await say(pool, address) is channels[0]


async def test_an_address_that_refuses_is_unreachable_at_once(pool: ChannelPool) -> None:
    """It is said that nothing was sent: another instance may be tried."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        async with asyncio.timeout(1.5):
            with pytest.raises(UnreachableError) as caught:
                await say(pool, address)
    assert (caught.value.code, caught.value.reason) == (Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE)
    assert (caught.value.service_name, caught.value.retryable) == ("echo", True)
    assert address in caught.value.message


async def test_an_address_that_accepts_and_says_nothing_is_given_up_in_time(pool: ChannelPool) -> None:
    """The time of the call bounds the connecting."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        async with asyncio.timeout(1.5):
            with pytest.raises(UnreachableError):
                async with pool.channel(address, "echo", 0.1):
                    raise AssertionError


async def test_a_server_that_comes_back_is_used_again_at_once(pool: ChannelPool) -> None:
    """While it was away calls were refused; nothing is remembered against it."""
    server, port = await start_echo()
    address = f"127.0.0.1:{port}"
    await say(pool, address)
    await server.stop(None)
    for _ in range(5):
        # The first call may still meet the connection that is just being closed.
        with pytest.raises((UnreachableError, grpc.aio.AioRpcError)):
            await say(pool, address)
    server, _ = await start_echo(port)
    await say(pool, address)  # a channel that was kept would still refuse, for up to its back-off
    await server.stop(None)


async def test_an_idle_channel_is_closed_and_made_anew(
    pool: ChannelPool, address: str, clock: ManualClock
) -> None:
    """After the idle time without a call; one that is in use is kept, however long the call takes."""
    other, port = await start_echo()
    idle = await say(pool, address)
    async with pool.channel(f"127.0.0.1:{port}", "echo", 2.0) as busy:
        await clock.advance(301)
        assert await say(pool, address) is not idle
        raw: Any = busy
        assert await raw.unary_unary(ECHO)(b"still here", timeout=2) == b"still here"
    await other.stop(None)


async def test_a_channel_that_is_used_stays(pool: ChannelPool, address: str, clock: ManualClock) -> None:
    """A call within the idle time keeps it."""
    first = await say(pool, address)
    for _ in range(3):
        await clock.advance(200)
        assert await say(pool, address) is first


async def lend(pool: ChannelPool, address: str, count: int, **how: bool) -> list[Connection]:
    """Borrow the connection for so many calls that do not end."""
    host, _, port = address.rpartition(":")
    to = Endpoint(host=host, port=int(port))
    return [pool.ready(to, **how) or await pool.connect(to, "echo", 2.0, **how) for _ in range(count)]


async def test_a_full_connection_gets_a_companion(pool: ChannelPool, address: str) -> None:
    """No call waits without a word for the end of others, of which some may wait for days."""
    lent = await lend(pool, address, 2_000)
    assert sorted(Counter(lent).values()) == [200, 900, 900]
    first = lent[0]
    pool.give_back(first)
    assert await lend(pool, address, 2) == [first, lent[-1]]
    async with pool.channel(address, "echo", 2.0) as channel:
        assert channel is lent[-1].channel


async def test_calls_that_share_a_stream_need_no_companion(pool: ChannelPool, address: str) -> None:
    """However many there are."""
    assert len(set(await lend(pool, address, 2_000, multiplexed=True))) == 1


async def test_companions_go_when_they_are_idle(pool: ChannelPool, address: str, clock: ManualClock) -> None:
    """One that is used stays, and so does the first."""
    lent = await lend(pool, address, 1_801)
    first, second, third = dict.fromkeys(lent)
    pool.give_back(third)
    await clock.advance(301)
    assert await say(pool, address) is not third.channel
    assert [each.leaving for each in (first, second, third)] == [False, False, True]


async def test_an_address_that_goes_takes_companions_along(pool: ChannelPool, address: str) -> None:
    """Each is closed after its last call, and none gets a new one."""
    host, _, port = address.rpartition(":")
    pool.keep("somebody", [Endpoint(host=host, port=int(port))])
    lent = await lend(pool, address, 1_000)
    pool.keep("somebody", ())
    assert all(each.leaving for each in lent)
    assert (await lend(pool, address, 1))[0] not in lent
    for each in lent:
        pool.give_back(each)
    await eventually(
        lambda: {each.channel.get_state() for each in lent} == {grpc.ChannelConnectivity.SHUTDOWN}
    )
