"""What becomes of calls to peers that misbehave: each outcome is told in docs/mesh.md."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.mesh.calls import QUICK
from tests.integration.mesh.conftest import Fleet
from tests.support.behaviours import Behaviours, collect, path, serve, until
from tests.support.http2 import Http2Error, Proxy, misbehaving
from weft.core.context import current_deadline
from weft.discovery.model import Endpoint
from weft.mesh.call_options import CallOptions, RetryMethods
from weft.mesh.mesh import Mesh, MeshConfig, OneResolver
from weft.mesh.rpc import CHANNEL_OPTIONS, MAX_MESSAGE_BYTES
from weft.mesh.tracing.interceptors import TracingServerInterceptor

pytestmark = pytest.mark.integration

ALL = CallOptions(retry=QUICK, retry_methods=RetryMethods.ALL)


def local(port: int, name: str = "") -> Endpoint:
    return Endpoint(host="127.0.0.1", port=port, instance_id=name)


async def code_of(call: Any) -> grpc.StatusCode:
    async with asyncio.timeout(5):
        code: grpc.StatusCode = await call.code()
        return code


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        ("reset", Http2Error.INTERNAL_ERROR, grpc.StatusCode.INTERNAL),
        ("reset", Http2Error.CANCEL, grpc.StatusCode.CANCELLED),
        ("reset", Http2Error.REFUSED_STREAM, grpc.StatusCode.UNAVAILABLE),
        ("reset", Http2Error.ENHANCE_YOUR_CALM, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("abort", Http2Error.NO_ERROR, grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_a_server_that_resets_streams(
    fleet: Fleet, mesh: Mesh, answer: str, error: Http2Error, code: grpc.StatusCode
) -> None:
    """A call that may have been processed fails with gRPC's code for the reset, and is not repeated."""
    async with misbehaving(answer, error) as peer:
        fleet.resolver.set("fleet", [local(peer.port)])
        channel: Any = mesh.channel("weft://fleet")
        assert await code_of(channel.unary_unary(path("Unary"))(b"x")) is code
        assert await code_of(channel.unary_stream(path("Many"))(b"x")) is code
        # grpc.aio says INTERNAL when it was just about to send a message.
        codes = {code, grpc.StatusCode.INTERNAL}
        assert await code_of(channel.stream_unary(path("Join"))([b"x"])) in codes
        assert await code_of(channel.stream_stream(path("Chat"))([b"x"])) in codes
        assert 0 < peer.requests <= 4


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("reset", Http2Error.CANCEL),
        ("reset", Http2Error.REFUSED_STREAM),
        ("abort", Http2Error.NO_ERROR),
        ("goaway", Http2Error.NO_ERROR),
    ],
)
async def test_resets_are_retried_where_that_is_safe(
    fleet: Fleet, mesh: Mesh, answer: str, error: Http2Error
) -> None:
    """A good instance answers instead, every time."""
    await fleet.grow()
    async with misbehaving(answer, error) as peer:
        fleet.resolver.set("fleet", [local(peer.port, "bad"), fleet.endpoint(0)])
        channel: Any = mesh.channel("weft://fleet", options=ALL)
        for _ in range(4):
            assert await channel.unary_unary(path("Unary"))(b"x") == b"x"
            assert [each async for each in channel.unary_stream(path("Many"))(b"1")] == [b"0"]
        assert peer.requests > 0


async def test_goaway_of_a_call_that_was_not_processed(fleet: Fleet, mesh: Mesh) -> None:
    """It ends with UNAVAILABLE when every connection is closed that way; nothing hangs."""
    async with misbehaving("goaway") as peer:
        fleet.resolver.set("fleet", [local(peer.port)])
        channel: Any = mesh.channel("weft://fleet")
        assert await code_of(channel.unary_unary(path("Unary"))(b"x")) is grpc.StatusCode.UNAVAILABLE


async def test_goaway_while_calls_run(fleet: Fleet, mesh: Mesh) -> None:
    """A server that stops gently lets running calls end; new ones go elsewhere at once."""
    await fleet.grow(2)
    fleet.publish()
    call: Any = mesh.channel("weft://fleet").unary_unary(path("Unary"))
    await asyncio.gather(*(call(b"x") for _ in range(4)))
    running = [asyncio.ensure_future(call(b"sleep:0.3")) for _ in range(4)]
    await until(lambda: all(instance.running == 2 for instance in fleet.instances))
    stopping = asyncio.create_task(fleet.stop(0, grace=2))
    await asyncio.sleep(0.05)
    calls = fleet.calls[0]
    assert await asyncio.gather(*(call(b"y") for _ in range(20))) == [b"y"] * 20
    assert fleet.calls[0] == calls
    assert await asyncio.gather(*running) == [b"sleep:0.3"] * 4
    await stopping


async def test_outliers_are_left_out(fleet: Fleet, mesh: Mesh) -> None:
    """An instance that resets every stream gets five calls, and then none for a while."""
    await fleet.grow(2)
    async with misbehaving("reset", Http2Error.INTERNAL_ERROR) as peer:
        fleet.resolver.set("fleet", [local(peer.port, "bad"), fleet.endpoint(0), fleet.endpoint(1)])
        call: Any = mesh.channel("weft://fleet").unary_unary(path("Unary"))
        codes = [await code_of(call(b"x")) for _ in range(60)]
        assert peer.requests == 5
        assert codes.count(grpc.StatusCode.OK) == 55


@pytest.fixture
async def quick_mesh(fleet: Fleet) -> AsyncIterator[Mesh]:
    """As by default, but with 0.2 s for what takes 30 s and 10 s."""
    options = (("grpc.keepalive_time_ms", 200), ("grpc.http2.ping_timeout_ms", 200))
    mesh = Mesh(OneResolver(fleet.resolver), MeshConfig(channel_options=options))
    yield mesh
    await mesh.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """In front of a server that lets its clients ping that often."""
    options = (("grpc.http2.min_ping_interval_without_data_ms", 50),)
    server, port = await serve(Behaviours(), options=options)
    async with Proxy(port) as proxy:
        yield proxy
    await server.stop(None)


async def test_a_half_open_connection_is_noticed(fleet: Fleet, quick_mesh: Mesh, proxy: Proxy) -> None:
    """By keepalive, under a call that waits and under a stream that was silent for long."""
    await fleet.grow()
    fleet.resolver.set("fleet", [local(proxy.port)])
    channel: Any = quick_mesh.channel("weft://fleet", options=ALL)
    stream = channel.stream_stream(path("Chat"))()
    await stream.write(b"a")
    assert await stream.read() == b"a"
    await asyncio.sleep(1.5)
    started = time.monotonic()
    proxy.fall_silent()
    lost = channel.unary_unary(path("Unary"))(b"x", timeout=10)
    fleet.resolver.set("fleet", [local(proxy.port), fleet.endpoint(0)])
    assert await lost == b"x"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert time.monotonic() - started < 3
    assert fleet.calls == [1]


async def test_a_silent_stream_on_a_half_open_connection(
    fleet: Fleet, quick_mesh: Mesh, proxy: Proxy
) -> None:
    """Pings go on though there is no data."""
    fleet.resolver.set("fleet", [local(proxy.port)])
    channel: Any = quick_mesh.channel("weft://fleet")
    stream = channel.stream_stream(path("Chat"))()
    await stream.wait_for_connection()
    await asyncio.sleep(1.5)
    proxy.fall_silent()
    async with asyncio.timeout(3):
        assert await stream.code() is grpc.StatusCode.UNAVAILABLE


def test_by_default_that_takes_40_seconds() -> None:
    """Both the time to the ping and the time to its answer count."""
    options = dict(CHANNEL_OPTIONS)
    assert options["grpc.keepalive_time_ms"] + options["grpc.http2.ping_timeout_ms"] <= 40_000


async def test_messages_that_are_too_large(fleet: Fleet, mesh: Mesh) -> None:
    """RESOURCE_EXHAUSTED on either side; the connection, and other calls on it, live on."""
    await fleet.grow()
    fleet.publish()
    channel: Any = mesh.channel("weft://fleet", options=ALL)
    unary = channel.unary_unary(path("Unary"))
    neighbour = asyncio.ensure_future(unary(b"sleep:0.2"))
    answer = unary(b"big:%d" % (MAX_MESSAGE_BYTES + 1))
    assert await answer.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in await answer.details()
    assert await unary(b"x" * (MAX_MESSAGE_BYTES + 1)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    stream = channel.unary_stream(path("Many"))(b"x" * (MAX_MESSAGE_BYTES + 1))
    assert await stream.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    chat = channel.stream_stream(path("Chat"))([b"a", b"big:%d" % (MAX_MESSAGE_BYTES + 1)])
    got: list[bytes] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await collect(chat, got)
    assert (got, caught.value.code()) == ([b"a"], grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert await neighbour == b"sleep:0.2"


class Forwarding(Behaviours):
    """Calls the next service for each request, without saying how long that may take."""

    def __init__(self, method: Any) -> None:
        super().__init__()
        self._method = method
        self.deadlines: list[float | None] = []

    async def unary(self, request: bytes, context: Any) -> bytes:  # noqa: ARG002 - a handler's
        deadline = current_deadline()
        self.deadlines.append(None if deadline is None else deadline - time.monotonic())
        answer: bytes = await self._method(request)
        return answer


@pytest.fixture
async def front(fleet: Fleet, mesh: Mesh) -> AsyncIterator[tuple[Forwarding, Any]]:
    """Caller → front → fleet."""
    await fleet.grow()
    fleet.publish()
    behaviours = Forwarding(mesh.channel("weft://fleet").unary_unary(path("Unary")))
    server, port = await serve(behaviours, interceptors=(TracingServerInterceptor(),))
    fleet.resolver.set("front", [local(port)])
    channel: Any = mesh.channel("weft://front")
    yield behaviours, channel.unary_unary(path("Unary"))
    await server.stop(None)


async def test_deadlines_shrink_from_hop_to_hop(front: tuple[Forwarding, Any], fleet: Fleet) -> None:
    """The last hop knows what the first caller has left; it is less than the default of a call."""
    behaviours, call = front
    assert await call(b"x", timeout=3) == b"x"
    first, second = behaviours.deadlines[0], fleet.instances[0].remaining[0]
    assert first is not None
    assert second is not None
    assert second < 3.2
    assert first < 3.1
    assert second > 2


async def test_a_deadline_ends_all_hops(front: tuple[Forwarding, Any], fleet: Fleet) -> None:
    """The last one is cancelled when the first caller's time is over."""
    _, call = front
    assert await code_of(call(b"hang", timeout=0.3)) is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: fleet.instances[0].cancelled == 1)


async def test_cancellation_travels_over_all_hops(front: tuple[Forwarding, Any], fleet: Fleet) -> None:
    """At once."""
    _, call = front
    running = call(b"hang")
    await until(lambda: fleet.instances[0].running)
    running.cancel()
    await until(lambda: fleet.instances[0].cancelled == 1)
