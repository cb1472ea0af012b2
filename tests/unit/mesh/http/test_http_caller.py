"""HTTP by name: who is called, for how long, and what travels along."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from tests.support.http_services import World, calling, endpoint, http_service, nobody, raw_service
from weft.core.context import bind_log_context, set_deadline
from weft.core.errors import (
    DeadlineExceededError,
    ServiceUnavailableError,
)
from weft.core.reasons import Reason
from weft.discovery.model import Endpoint, Protocol
from weft.mesh.http import HttpCaller, HttpConfig, HttpPool, HttpTimeouts

SOON = HttpConfig(instance_wait=timedelta(milliseconds=150))


async def test_nobody_there_says_who_was_looked_for_and_what_was_seen() -> None:
    """ServiceUnavailableError NO_INSTANCE: none known, or none that can be connected."""
    async with calling(config=SOON) as caller:
        with pytest.raises(ServiceUnavailableError, match="texts") as caught:
            await caller.request("texts", "GET", "/")
        assert caught.value.reason == Reason.NO_INSTANCE
    async with calling(nobody(), config=SOON) as caller:
        with pytest.raises(ServiceUnavailableError, match=r"127\.0\.0\.1:1: .*refused"):
            await caller.request("texts", "GET", "/")


async def test_only_endpoints_that_speak_http_are_called() -> None:
    """A gRPC instance of the same service is left alone."""
    async with http_service("web") as service:
        grpc = Endpoint(host="127.0.0.1", port=1, instance_id="grpc", protocol=Protocol.GRPC)
        async with calling(grpc, service.endpoint, grpc) as caller:
            for _ in range(5):
                assert await caller.call_service("texts", "x") == {"by": "web"}


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
async def test_what_cannot_be_connected_is_passed_over(method: str) -> None:
    """With any method, at once: nothing was sent. A body in pieces is whole at the next instance."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async with (
        http_service("a") as service,
        calling(nobody("x"), service.endpoint, nobody("y")) as caller,
    ):
        for _ in range(6):
            response = await caller.request("texts", method, "/", pieces())
            assert (response.instance_id, response.attempts) == ("a", 1)
    assert service.bodies == [b"onetwo"] * 6


async def test_an_instance_that_comes_back_in_time_is_called() -> None:
    """The call waits for it."""
    world = World()
    caller = HttpCaller(world.route)
    waiting = asyncio.create_task(caller.call_service("texts", "x"))
    async with http_service("late") as service:
        await asyncio.sleep(0.02)
        world.set("texts", nobody())
        await asyncio.sleep(0.02)
        world.set("texts", service.endpoint)
        assert await waiting == {"by": "late"}
    await caller.close()
    await world.close()


async def test_calls_are_spread_evenly_and_never_go_to_a_removed_instance() -> None:
    """Three instances get a third each; one that is removed gets nothing from then on."""
    world = World()
    caller = HttpCaller(world.route)
    async with http_service("a") as a, http_service("b") as b, http_service("c") as c:
        world.set("texts", a.endpoint, b.endpoint, c.endpoint)
        counts = Counter([(await caller.call_service("texts", "x"))["by"] for _ in range(90)])
        assert counts == {"a": 30, "b": 30, "c": 30}
        world.set("texts", a.endpoint, c.endpoint)
        await asyncio.sleep(0.01)
        counts = Counter([(await caller.call_service("texts", "x"))["by"] for _ in range(40)])
        assert counts == {"a": 20, "c": 20}
    await caller.close()
    await world.close()


async def test_many_calls_at_a_time_reach_everybody() -> None:
    """500 at once, over four connections for each of three instances."""
    pool = HttpPool(connections_per_host=4)
    async with http_service("a") as a, http_service("b") as b, http_service("c") as c:
        async with calling(a.endpoint, b.endpoint, c.endpoint, pool=pool) as caller:
            answers = await asyncio.gather(*(caller.call_service("texts", "x", data=n) for n in range(500)))
        assert max(a.most_running, b.most_running, c.most_running) <= 4
    await pool.close()
    counts = Counter(answer["by"] for answer in answers)
    assert max(counts.values()) - min(counts.values()) <= 1


async def test_the_peer_is_told_how_long_it_has() -> None:
    """What is left of the call, or of the call that is being served when that is less."""
    async with http_service() as service, calling(service.endpoint) as caller:
        await caller.request("texts", "GET", "/", headers={"weft-timeout-ms": "1"})
        await caller.request("texts", "GET", "/", timeout=timedelta(seconds=3))
        set_deadline(time.monotonic() + 1)
        await caller.request("texts", "GET", "/")
    told = [int(headers["weft-timeout-ms"]) for headers in service.headers]
    assert 29_000 < told[0] <= 30_000
    assert 2_000 < told[1] <= 3_000
    assert 0 < told[2] <= 1_000


async def test_nothing_is_called_when_no_time_is_left() -> None:
    """DeadlineExceededError at once."""
    async with http_service() as service, calling(service.endpoint) as caller:
        set_deadline(time.monotonic() - 1)
        with pytest.raises(DeadlineExceededError) as caught:
            await caller.request("texts", "GET", "/")
    assert (caught.value.reason, service.paths) == (Reason.DEADLINE_EXCEEDED, [])


async def hang(request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


@pytest.mark.parametrize(
    ("timeouts", "phase", "reason"),
    [
        ({"read": 60}, "read", Reason.ACTION_TIMEOUT),
        ({"total": 60}, "total", Reason.DEADLINE_EXCEEDED),
    ],
)
async def test_a_slow_instance_is_left_in_time(
    timeouts: Mapping[str, int], phase: str, reason: Reason
) -> None:
    """The error names the limit; a call that was sent and timed out is not made again."""
    limits = HttpTimeouts(**{name: timedelta(milliseconds=value) for name, value in timeouts.items()})
    config = HttpConfig(timeouts=limits)
    async with http_service("slow", hang) as service, calling(service.endpoint, config=config) as caller:
        with pytest.raises(DeadlineExceededError, match=r"within 0\.0\d+ s") as caught:
            await caller.request("texts", "GET", "/")
    assert caught.value.reason == reason
    assert (caught.value.metadata["phase"], caught.value.metadata["instance_id"]) == (phase, "slow")
    assert len(service.paths) == 1


async def test_a_cancelled_call_cancels_the_request() -> None:
    """The server sees the connection go, and the instance is free again."""
    stopped = asyncio.Event()
    started = asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        started.set()
        try:
            return await hang(request)
        finally:
            stopped.set()

    world = World()
    caller = HttpCaller(world.route)
    async with asyncio.timeout(5), http_service(handler=wait) as service:
        world.set("texts", service.endpoint)
        call = asyncio.create_task(caller.call_service("texts", "x"))
        await started.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await stopped.wait()
    assert [state.in_flight for state in world.route("texts").balancer.states()] == [0]
    assert world.route("texts").running == 0
    await caller.close()
    await world.close()


async def test_the_request_id_travels() -> None:
    """From the context of the log, on one line; a header of the caller's own wins."""
    async with http_service() as service, calling(service.endpoint) as caller:
        with bind_log_context(request_id="req_1\r\nx: 1"):
            await caller.request("texts", "GET", "/")
            await caller.request("texts", "GET", "/", headers={"X-Request-ID": "mine"})
        await caller.request("texts", "GET", "/")
    assert [headers.getall("x-request-id", []) for headers in service.headers] == [
        ["req_1x: 1"],
        ["mine"],
        [],
    ]


class Tracer:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.started: list[tuple[Any, ...]] = []
        self.ended: list[tuple[Any, ...]] = []

    def start(
        self, method: str, url: str, headers: Mapping[str, str], **rest: Any
    ) -> tuple[int, Mapping[str, str]]:
        self.started.append((method, url, rest["service"], rest["endpoint"].instance_id, rest["attempt"]))
        assert rest["balancer"] == "round_robin"
        return len(self.started), {**headers, "traceparent": f"span-{len(self.started)}"}

    def end(self, span: int, status: int, error: str | None) -> None:
        self.ended.append((span, status, error))


async def test_each_attempt_has_a_span() -> None:
    """Also one that could not be connected; its headers are those of the span."""
    tracer = Tracer()
    async with (
        http_service("a", path="/v1") as service,
        calling(nobody("x"), service.endpoint, tracer=tracer) as caller,
    ):
        for _ in range(2):
            await caller.request("texts", "GET", "/x?y=1")
    url = f"http://127.0.0.1:{service.endpoint.port}/v1/x?y=1"
    assert ("GET", url, "texts", "a", 1) in tracer.started or ("GET", url, "texts", "a", 2) in tracer.started
    assert len(tracer.started) == len(tracer.ended) >= 3
    failed = [each for each in tracer.ended if each[1] == 0]
    assert failed
    assert all("refused" in each[2] for each in failed)
    assert {each[1:] for each in tracer.ended if each[1]} == {(200, None)}
    assert all(headers["traceparent"].startswith("span-") for headers in service.headers)


async def test_a_large_answer_is_streamed() -> None:
    """Beyond the limit of whole bodies; the upload may be a stream too."""

    async def echo(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(4):
            await response.write(body)
        return response

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 10_000

    config = HttpConfig(max_body_bytes=1_000)
    async with http_service("a", echo) as service, calling(service.endpoint, config=config) as caller:
        async with caller.stream("texts", "PUT", "/x", pieces()) as answer:
            assert (answer.status, answer.instance_id) == (200, "a")
            size = sum([len(chunk) async for chunk in answer.chunks()])
        async with caller.stream("texts", "PUT", "/x", b"left early"):
            pass
    assert size == 400_000


async def test_a_stream_that_breaks_says_so() -> None:
    """ServiceUnavailableError within the reading; a fault of the reader's own passes as it is."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
        await writer.drain()

    async def drain(caller: HttpCaller) -> None:
        async with caller.stream("texts", "GET", "/x") as answer:
            async for chunk in answer.chunks():
                assert chunk == b"abc"

    async with raw_service(cut, "raw") as at, calling(at) as caller:
        with pytest.raises(ServiceUnavailableError, match="broke within the answer"):
            await drain(caller)
        with pytest.raises(ZeroDivisionError):
            async with caller.stream("texts", "GET", "/x"):
                raise ZeroDivisionError


async def test_one_pool_serves_many_callers_and_stays_open() -> None:
    """Whoever made it closes it."""
    pool = HttpPool()
    async with http_service() as service:
        for _ in range(3):
            async with calling(service.endpoint, pool=pool) as caller:
                await caller.request("texts", "GET", "/")
    assert len(service.connections) == 1
    await pool.close()


def test_a_config_that_cannot_work_is_none() -> None:
    """At once, with the name of the field."""
    with pytest.raises(ValueError, match="max_body_bytes"):
        HttpConfig(max_body_bytes=0)
    with pytest.raises(ValueError, match="instance_wait"):
        HttpConfig(instance_wait=timedelta(seconds=-1))
    assert endpoint(1).protocol is Protocol.HTTP
