"""Tracing of plain grpc.aio servers and channels, in all four shapes, however a call ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from tests.support.shapes import Calls, Shapes, shapes_server
from tests.support.spans import Spans, attributes, is_below, trace_id
from weft.core.context import current_deadline
from weft.mesh.tracing.interceptors import TracingServerInterceptor, tracing_client_interceptors

SHAPES = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
NAMES = {shape: "shop.v1.Shapes/" + shape.title().replace("_", "") for shape in (*SHAPES, "written")}
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture
async def traced(spans: Spans) -> AsyncIterator[tuple[Shapes, Calls]]:
    client = tracing_client_interceptors(spans.provider, target="127.0.0.1:7")
    async with shapes_server((TracingServerInterceptor(spans.provider),), client) as found:
        yield found


async def both(spans: Spans, name: str) -> tuple[Any, Any]:
    await spans.wait_for(2)
    return spans.one(name, SpanKind.CLIENT), spans.one(name, SpanKind.SERVER)


@pytest.mark.parametrize("shape", [*SHAPES, "written"])
async def test_a_call_is_two_spans(traced: tuple[Shapes, Calls], spans: Spans, shape: str) -> None:
    """The server's hangs below the client's, and the handler runs within it."""
    shapes, calls = traced
    answers = await calls.end(shape, calls.begin(shape, b"x", timeout=10))
    assert answers
    client, server = await both(spans, NAMES[shape])
    assert is_below(server, client)
    assert shapes.current == [trace_id(client)]
    assert attributes(client) == {
        "rpc.system": "grpc",
        "rpc.service": "shop.v1.Shapes",
        "rpc.method": NAMES[shape].rpartition("/")[2],
        "rpc.grpc.status_code": 0,
        "server.address": "127.0.0.1",
        "server.port": 7,
        "network.peer.address": "127.0.0.1",
        "network.peer.port": 7,
    }
    assert attributes(server)["network.peer.address"] == "127.0.0.1"
    assert attributes(server)["rpc.grpc.status_code"] == 0
    assert server.status.status_code is StatusCode.UNSET
    left = shapes.deadlines[0]
    assert left is not None
    assert 0 < left - time.monotonic() < 11  # gRPC rounds up on its way
    assert current_deadline() is None


@pytest.mark.parametrize("shape", [*SHAPES, "written"])
async def test_an_exception_is_recorded_and_stays_as_it_is(
    traced: tuple[Shapes, Calls], spans: Spans, shape: str
) -> None:
    """The caller sees what it would see without tracing; both spans are failed, the server's says why."""
    _, calls = traced
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calls.end(shape, calls.begin(shape, b"fail"))
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert "broken" in (caught.value.details() or "")
    client, server = await both(spans, NAMES[shape])
    assert attributes(client)["rpc.grpc.status_code"] == attributes(server)["rpc.grpc.status_code"] == 2
    assert client.status.status_code is server.status.status_code is StatusCode.ERROR
    (event,) = server.events
    assert event.attributes["exception.type"] == "ValueError"


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_abort_is_an_answer(traced: tuple[Shapes, Calls], spans: Spans, shape: str) -> None:
    """NOT_FOUND is no fault of the server; for the caller the call has failed."""
    _, calls = traced
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calls.end(shape, calls.begin(shape, b"abort"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    client, server = await both(spans, NAMES[shape])
    assert attributes(client)["rpc.grpc.status_code"] == attributes(server)["rpc.grpc.status_code"] == 5
    assert client.status.status_code is StatusCode.ERROR
    assert client.status.description == "no such thing"
    assert server.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_cancelled_call_ends_both_spans(
    traced: tuple[Shapes, Calls], spans: Spans, shape: str
) -> None:
    """Cancellation travels as it does without tracing."""
    shapes, calls = traced
    call = calls.begin(shape, b"wait")
    reading = asyncio.create_task(calls.end(shape, call))
    await shapes.waiting.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    call.cancel()
    async with asyncio.timeout(10):
        await shapes.left.wait()
    client, server = await both(spans, NAMES[shape])
    assert attributes(client)["rpc.grpc.status_code"] == attributes(server)["rpc.grpc.status_code"] == 1


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_deadline_ends_both_spans(traced: tuple[Shapes, Calls], spans: Spans, shape: str) -> None:
    """The caller's says DEADLINE_EXCEEDED."""
    _, calls = traced
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calls.end(shape, calls.begin(shape, b"wait", timeout=0.2))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    client, _ = await both(spans, NAMES[shape])
    assert attributes(client)["rpc.grpc.status_code"] == 4


async def test_a_stream_that_is_left_early_ends_both_spans(
    traced: tuple[Shapes, Calls], spans: Spans
) -> None:
    """A reader that breaks off and cancels gets no exception, and leaves nothing open."""
    shapes, calls = traced
    call = calls.begin("unary_stream", b"wait")
    async for answer in call:
        assert answer == b"first"
        break
    await shapes.waiting.wait()  # a handler that is cancelled where it yields never comes to wait
    call.cancel()
    async with asyncio.timeout(10):
        await shapes.left.wait()
    client, server = await both(spans, NAMES["unary_stream"])
    assert attributes(client)["rpc.grpc.status_code"] == 1
    assert attributes(server)["rpc.grpc.status_code"] == 1


async def test_a_half_closed_stream_goes_on_to_its_end(traced: tuple[Shapes, Calls], spans: Spans) -> None:
    """Writing, closing one's own half and reading on: one span, ended with the call."""
    _, calls = traced
    call = calls.stream_stream()
    for text in (b"a", b"b"):
        await call.write(text)
    assert await call.read() == b"a"
    assert not spans.all
    await call.done_writing()
    assert [answer async for answer in call] == [b"b"]
    assert await call.code() is grpc.StatusCode.OK
    client, server = await both(spans, NAMES["stream_stream"])
    assert is_below(server, client)
    assert attributes(client)["rpc.grpc.status_code"] == 0


async def test_calls_side_by_side_keep_their_traces_apart(traced: tuple[Shapes, Calls], spans: Spans) -> None:
    """Nothing of one call is current in another, nor after it."""
    shapes, calls = traced
    begun = [(shape, calls.begin(shape, b"x")) for shape in SHAPES * 5]
    await asyncio.gather(*(calls.end(shape, call) for shape, call in begun))
    await spans.wait_for(40)
    assert len({trace_id(span) for span in spans.of(SpanKind.CLIENT)}) == 20
    assert len(set(shapes.current)) == 20
    assert not trace.get_current_span().get_span_context().is_valid


async def test_an_interceptor_further_in_may_answer_with_another_handler(spans: Spans) -> None:
    """Each call is asked anew: what refuses one caller must not be kept for the next, nor the other way."""

    class Gate(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            if ("key", "right") in tuple(handler_call_details.invocation_metadata):
                return await continuation(handler_call_details)

            async def refuse(_: bytes, context: Any) -> None:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

            return grpc.unary_unary_rpc_method_handler(refuse)

    server = (TracingServerInterceptor(spans.provider), Gate())
    async with shapes_server(server, ()) as (_, calls):
        assert await calls.unary_unary(b"x", metadata=(("key", "right"),)) == b"x"
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await calls.unary_unary(b"x")
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert await calls.unary_unary(b"x", metadata=(("key", "right"),)) == b"x"


async def test_handlers_that_are_plain_functions_still_run(
    traced: tuple[Shapes, Calls], spans: Spans
) -> None:
    """In their threads, as without tracing."""
    _, calls = traced
    assert await calls.in_thread(b"x") == b"x"
    await spans.wait_for(1)
    assert spans.of(SpanKind.SERVER) == []


@pytest.mark.parametrize("shape", SHAPES)
async def test_what_is_not_sampled_costs_no_span(shape: str) -> None:
    """Either way the handler runs in the caller's trace."""
    nothing = Spans(ALWAYS_OFF)
    client = tracing_client_interceptors(nothing.provider)
    async with shapes_server((TracingServerInterceptor(nothing.provider),), client) as (shapes, calls):
        sent = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"), ("baggage", "a=b"), ("other", "stays"))
        await calls.end(shape, calls.begin(shape, b"x", metadata=sent))
        assert shapes.current == [TRACE]
        received = {key: str(value) for key, value in shapes.metadata}
        assert received["traceparent"].startswith(f"00-{TRACE}-")
        assert (received["baggage"], received["other"]) == ("a=b", "stays")
        assert nothing.all == ()


async def test_a_trace_id_alone_is_continued(traced: tuple[Shapes, Calls], spans: Spans) -> None:
    """With ``x-trace-id`` and no ``traceparent``, the spans have that id."""
    async with shapes_server((TracingServerInterceptor(spans.provider),), ()) as (shapes, calls):
        await calls.unary_unary(b"x", metadata=(("x-trace-id", TRACE),))
        await spans.wait_for(1)
        assert shapes.current == [TRACE]
        assert trace_id(spans.all[0]) == TRACE


async def test_malformed_headers_begin_a_new_trace(spans: Spans, caplog: pytest.LogCaptureFixture) -> None:
    """The call works, and the log stays empty."""
    async with shapes_server((TracingServerInterceptor(spans.provider),), ()) as (shapes, calls):
        await calls.unary_unary(
            b"x", metadata=(("traceparent", "00-zz"), ("tracestate", "=,="), ("baggage", "==;,"))
        )
        await spans.wait_for(1)
        assert shapes.current[0] not in {"0" * 32, TRACE}
        assert spans.all[0].parent is None
    assert not caplog.records
