"""A call on a mesh channel behaves as on a plain one: every test runs on both.

``mesh`` has a connected instance, so that calls start at once; ``mesh-cold`` has
none yet, so that each call first has to find one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.mesh.conftest import Fleet
from tests.support.behaviours import collect, path, until
from weft.mesh.call_options import CallOptions
from weft.mesh.mesh import Mesh

KINDS = ("plain", "mesh", "mesh-cold")


@pytest.fixture(params=KINDS)
async def channel(
    request: pytest.FixtureRequest, fleet: Fleet, mesh: Mesh
) -> AsyncIterator[grpc.aio.Channel]:
    await fleet.grow()
    fleet.publish()
    if request.param == "plain":
        made: grpc.aio.Channel = grpc.aio.insecure_channel(f"127.0.0.1:{fleet.ports[0]}")
    else:
        made = mesh.channel("weft://fleet", options=CallOptions(timeout=None))
    if request.param == "mesh":
        await made.channel_ready()
    yield made
    await made.close()


@pytest.fixture
def unary(channel: Any) -> Any:
    return channel.unary_unary(path("Unary"))


@pytest.fixture
def many(channel: Any) -> Any:
    return channel.unary_stream(path("Many"))


@pytest.fixture
def join(channel: Any) -> Any:
    return channel.stream_unary(path("Join"))


@pytest.fixture
def chat(channel: Any) -> Any:
    return channel.stream_stream(path("Chat"))


async def letters() -> AsyncIterator[bytes]:
    for letter in (b"a", b"b", b"c"):
        yield letter


async def test_a_unary_call_ends_with_its_response(unary: Any) -> None:
    """Everything there is to know of it is known then, and can be asked again."""
    call = unary(b"hello")
    assert isinstance(call, grpc.aio.UnaryUnaryCall)
    assert not call.done()
    assert await call == b"hello"
    assert await call == b"hello"
    assert (call.done(), call.cancelled(), call.cancel()) == (True, False, False)
    assert await call.code() is grpc.StatusCode.OK
    assert await call.details() == ""
    assert tuple(await call.trailing_metadata()) == ()
    assert call.time_remaining() is None


async def test_metadata_travels_both_ways(unary: Any, many: Any, fleet: Fleet) -> None:
    """As a tuple of pairs or as Metadata; initial and trailing metadata come back."""
    call = unary(b"head:there", metadata=(("mine", "1"), ("raw-bin", b"\xff")))
    assert (await call.initial_metadata())["head"] == "there"
    await call
    await unary(b"x", metadata=grpc.aio.Metadata(("mine", "2")))
    assert [seen["mine"] for seen in fleet.instances[0].metadata] == ["1", "2"]
    assert fleet.instances[0].metadata[0]["raw-bin"] == b"\xff"
    stream = many(b"0,head:late", metadata=[("mine", "3")])
    assert (await stream.initial_metadata())["head"] == "late"
    assert [response async for response in stream] == []


async def test_a_server_error_is_an_rpc_error(unary: Any) -> None:
    """With the server's own code, text and metadata; asking for the code does not raise."""
    call = unary(b"fail:FAILED_PRECONDITION:not now")
    assert await call.code() is grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "not now")
    assert caught.value.trailing_metadata()["why"] == "asked"
    assert (await call.trailing_metadata())["why"] == "asked"
    assert await call.details() == "not now"


async def test_an_exception_of_the_handler_is_unknown(unary: Any) -> None:
    """As grpc.aio has it."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(b"raise:oops")
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert "oops" in str(caught.value.details())


async def test_a_missing_method_is_unimplemented(channel: Any) -> None:
    """It is not retried anywhere."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary("/test.Behaviour/Nothing")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_deadline_ends_the_call(unary: Any, fleet: Fleet) -> None:
    """DEADLINE_EXCEEDED in time; the server sees the deadline."""
    call = unary(b"hang", timeout=0.2)
    left = call.time_remaining()
    assert left is not None
    assert 0 < left <= 0.2
    async with asyncio.timeout(2):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert call.time_remaining() < 0.1
    seen = fleet.instances[0].remaining[0]
    assert seen is not None
    assert seen < 0.3


async def test_no_time_at_all_is_a_deadline_too(unary: Any) -> None:
    """Nothing hangs, nothing else is raised."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(b"hang", timeout=0)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_cancel_reaches_the_server(unary: Any, fleet: Fleet) -> None:
    """The awaiting task sees CancelledError, the server's handler is cancelled."""
    server = fleet.instances[0]
    call = unary(b"hang")
    waiter = asyncio.ensure_future(call)
    await until(lambda: server.running)
    assert call.cancel()
    assert not call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert (call.done(), call.cancelled()) == (True, True)
    assert await call.code() is grpc.StatusCode.CANCELLED
    assert await call.details() == "Locally cancelled by application!"
    await until(lambda: server.cancelled == 1)


async def test_a_cancelled_task_cancels_its_call(unary: Any, fleet: Fleet) -> None:
    """The call is not awaited any more by anybody."""
    server = fleet.instances[0]
    call = unary(b"hang")

    async def wait() -> None:
        await call

    task = asyncio.create_task(wait())
    await until(lambda: server.running)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.cancelled()
    await until(lambda: server.cancelled == 1)


async def test_cancel_before_anything_happened(unary: Any, fleet: Fleet) -> None:
    """A call can be cancelled in the moment it is made."""
    call = unary(b"hang")
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await call.code() is grpc.StatusCode.CANCELLED


async def test_giving_up_asking_for_the_code_does_not_end_the_call(unary: Any) -> None:
    """Only who awaits the response owns the call."""
    call = unary(b"sleep:0.1")
    asking = asyncio.create_task(call.code())
    await asyncio.sleep(0.01)
    asking.cancel()
    assert await call == b"sleep:0.1"


async def test_done_callbacks(unary: Any, many: Any) -> None:
    """They are called once, with the call, also when added after the end."""
    seen: list[Any] = []
    call = unary(b"x")
    call.add_done_callback(seen.append)
    assert seen == []
    await call
    assert seen == [call]
    call.add_done_callback(seen.append)
    assert seen == [call, call]
    stream = many(b"2")
    stream.add_done_callback(seen.append)
    assert [response async for response in stream] == [b"0", b"1"]
    assert seen == [call, call, stream]


async def test_a_call_that_nobody_awaits_is_made_all_the_same(unary: Any, fleet: Fleet) -> None:
    """A call starts when it is made."""
    call = unary(b"x")
    assert await call.code() is grpc.StatusCode.OK
    assert fleet.calls == [1]


async def test_wait_for_connection(unary: Any, many: Any, join: Any, chat: Any) -> None:
    """It returns once the call is with a server."""
    one = unary(b"x")
    await one.wait_for_connection()
    assert await one == b"x"
    stream = many(b"1")
    await stream.wait_for_connection()
    assert [response async for response in stream] == [b"0"]
    for call in (join(), chat()):
        await call.wait_for_connection()
        call.cancel()


async def test_iterating_a_stream(many: Any) -> None:
    """All messages in order, then the end."""
    call = many(b"100")
    assert isinstance(call, grpc.aio.UnaryStreamCall)
    assert [response async for response in call] == [b"%d" % number for number in range(100)]
    assert await call.code() is grpc.StatusCode.OK
    assert [response async for response in call] == []


async def test_reading_a_stream(many: Any) -> None:
    """Message by message, then EOF, as often as asked."""
    call = many(b"2")
    assert [await call.read() for _ in range(2)] == [b"0", b"1"]
    assert await call.read() is grpc.aio.EOF
    assert await call.read() is grpc.aio.EOF


async def test_the_two_ways_of_reading_do_not_mix(many: Any, chat: Any) -> None:
    """A UsageError says so."""
    call = many(b"2,hang")
    assert await call.read() == b"0"
    with pytest.raises(grpc.aio.UsageError):
        await collect(call, [])
    call.cancel()
    other = chat(letters())
    async for response in other:
        assert response == b"a"
        break
    with pytest.raises(grpc.aio.UsageError):
        await other.read()
    with pytest.raises(grpc.aio.UsageError):
        await other.write(b"x")
    other.cancel()


async def test_a_stream_that_fails_gives_its_messages_first(many: Any) -> None:
    """Then the error is raised, from the iterator or from read."""
    got: list[bytes] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await collect(many(b"3,fail:ABORTED:lost"), got)
    assert got == [b"0", b"1", b"2"]
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.ABORTED, "lost")
    call = many(b"0,fail:ABORTED:at once")
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()


async def test_cancelling_a_stream(many: Any, fleet: Fleet) -> None:
    """Whoever iterates sees CancelledError; the server's handler is cancelled."""
    call = many(b"1,hang")
    got: list[bytes] = []
    with pytest.raises(asyncio.CancelledError):
        await collect(call, got, call.cancel)
    assert got == [b"0"]
    assert call.cancelled()
    await until(lambda: fleet.instances[0].cancelled == 1)


async def test_a_cancelled_reader_cancels_its_stream(many: Any, fleet: Fleet) -> None:
    """As with unary calls."""
    call = many(b"1,hang")

    async def read_all() -> list[bytes]:
        return [response async for response in call]

    task = asyncio.create_task(read_all())
    await until(lambda: fleet.instances[0].calls)
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.cancelled()
    await until(lambda: fleet.instances[0].cancelled == 1)


@pytest.mark.parametrize("kind", ["async", "generator", "list"])
async def test_requests_from_iterators(join: Any, chat: Any, kind: str) -> None:
    """Asynchronous and plain ones."""

    def requests() -> Any:
        plain: Iterator[bytes] = (letter for letter in (b"a", b"b", b"c"))
        return {"async": letters(), "generator": plain, "list": [b"a", b"b", b"c"]}[kind]

    call = join(requests())
    assert isinstance(call, grpc.aio.StreamUnaryCall)
    assert await call == b"a+b+c"
    both = chat(requests())
    assert isinstance(both, grpc.aio.StreamStreamCall)
    assert [response async for response in both] == [b"a", b"b", b"c"]
    assert await both.code() is grpc.StatusCode.OK


async def test_writing_requests(join: Any, chat: Any) -> None:
    """One by one, until done_writing, which may be said twice."""
    call = join()
    await call.write(b"a")
    await call.write(b"b")
    await call.done_writing()
    await call.done_writing()
    assert await call == b"a+b"
    with pytest.raises(asyncio.InvalidStateError):
        await call.write(b"late")
    both = chat()
    for letter in (b"a", b"b"):
        await both.write(letter)
        assert await both.read() == letter
    await both.done_writing()
    assert await both.read() is grpc.aio.EOF
    assert await both.code() is grpc.StatusCode.OK


async def test_requests_that_raise_cancel_the_call(join: Any) -> None:
    """The caller's iterator failed, so there is no answer."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        raise ValueError("mine")

    call = join(broken())
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await call.code() is grpc.StatusCode.CANCELLED


async def test_a_stream_of_requests_that_is_refused(join: Any, chat: Any) -> None:
    """The server's error is raised where the call is awaited or read."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await join([b"fail:ABORTED:no"])
    assert caught.value.details() == "no"
    call = chat([b"ok", b"fail:ABORTED:no"])
    got: list[bytes] = []
    with pytest.raises(grpc.aio.AioRpcError):
        await collect(call, got)
    assert got == [b"ok"]


async def test_a_stream_deadline(many: Any, chat: Any) -> None:
    """It covers the whole stream."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [response async for response in many(b"1,hang", timeout=0.2)]
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    call = chat(timeout=0.2)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_serializers_are_used(channel: Any) -> None:
    """As generated stubs give them."""
    method = channel.unary_unary(
        path("Unary"),
        request_serializer=lambda number: b"%d" % number,
        response_deserializer=lambda data: int(data) + 1,
        _registered_method=True,
    )
    assert await method(41) == 42


async def test_compression_passes_through(unary: Any, fleet: Fleet) -> None:
    """The server is told."""
    request = b"x" * 10_000
    assert await unary(request, compression=grpc.Compression.Gzip) == request


async def test_a_closed_channel_takes_no_calls(channel: Any, unary: Any, many: Any, chat: Any) -> None:
    """Running calls are cancelled, new ones are refused."""
    running = [unary(b"hang"), many(b"1,hang"), chat()]
    await running[2].wait_for_connection()
    await channel.close()
    for call in running:
        assert await call.code() is grpc.StatusCode.CANCELLED
    for method, argument in ((unary, b"x"), (many, b"1"), (chat, [])):
        with pytest.raises(grpc.aio.UsageError):
            await method(argument).code()
    await channel.close()


async def test_closing_with_grace(channel: Any, unary: Any) -> None:
    """Calls that end within it end well."""
    quick, slow = unary(b"sleep:0.1"), unary(b"hang")
    await asyncio.sleep(0.03)
    await channel.close(0.5)
    assert await quick == b"sleep:0.1"
    assert slow.cancelled()


async def test_states(channel: Any) -> None:
    """A channel becomes ready, and is shut down by close."""
    async with asyncio.timeout(5):
        await channel.channel_ready()
    assert channel.get_state() is grpc.ChannelConnectivity.READY
    waiting = asyncio.create_task(channel.wait_for_state_change(grpc.ChannelConnectivity.READY))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await channel.close()
    async with asyncio.timeout(5):
        await waiting
    assert channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN


async def test_a_channel_connects_when_asked(channel: Any) -> None:
    """``get_state`` with try_to_connect is enough."""
    async with asyncio.timeout(5):
        while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            await channel.wait_for_state_change(state)


async def test_wait_for_ready(unary: Any, many: Any, join: Any, chat: Any) -> None:
    """Where there is a server it changes nothing."""
    assert await unary(b"x", wait_for_ready=True) == b"x"
    assert [response async for response in many(b"1", wait_for_ready=True)] == [b"0"]
    assert await join([b"a"], wait_for_ready=True) == b"a"
    assert [response async for response in chat([b"a"], wait_for_ready=True)] == [b"a"]
