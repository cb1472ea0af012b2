"""The pooled HTTP client: its four time limits, its connections, and what it never does by itself."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from tests.support.http_services import http_service, raw_service
from weft.discovery.model import Endpoint
from weft.mesh.http.faults import (
    BrokenError,
    HttpFault,
    NotConnectedError,
    Phase,
    TimedOutError,
    TooLargeError,
)
from weft.mesh.http.pool import HttpAnswer, HttpPool, WireRequest
from weft.mesh.http.timeouts import HttpTimeouts

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def limits(**milliseconds: int) -> HttpTimeouts:
    return HttpTimeouts(**{name: timedelta(milliseconds=value) for name, value in milliseconds.items()})


@pytest.fixture
async def pool() -> AsyncIterator[HttpPool]:
    made = HttpPool()
    yield made
    await made.close()


@asynccontextmanager
async def few(connections: int) -> AsyncIterator[HttpPool]:
    pool = HttpPool(connections_per_host=connections)
    try:
        yield pool
    finally:
        await pool.close()


async def send(
    pool: HttpPool, at: Endpoint, timeouts: HttpTimeouts | None = None, total: float = 5.0, **request: Any
) -> tuple[int, bytes]:
    """Send a request and read its answer."""
    answer = await open_(pool, at, timeouts, total, **request)
    try:
        return answer.status, await answer.read(1_000_000)
    finally:
        answer.close()


async def open_(
    pool: HttpPool, at: Endpoint, timeouts: HttpTimeouts | None = None, total: float = 5.0, **request: Any
) -> HttpAnswer:
    scheme = "https" if at.secure else "http"
    wire = WireRequest(**{"method": "GET", "url": f"{scheme}://{at.address}/", **request})
    return await pool.open(wire, timeouts or HttpTimeouts(), total)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_peer_that_never_answers_is_left_after_the_read_timeout(pool: HttpPool, method: str) -> None:
    """Half-open connections and servers that hang look like this; the connection is not used again."""
    async with raw_service(silent) as at:
        with pytest.raises(TimedOutError) as caught:
            await send(pool, at, limits(read=50), method=method)
    assert (caught.value.phase, caught.value.seconds) == (Phase.READ, 0.05)


async def test_the_read_timeout_is_between_bytes(pool: HttpPool) -> None:
    """A body that keeps coming may take longer; one that stops does not."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.05)
            writer.write(b".")
        await asyncio.Event().wait()

    async with raw_service(drip) as at:
        with pytest.raises(TimedOutError) as caught:
            await send(pool, at, limits(read=300))
        assert caught.value.phase is Phase.READ
        with pytest.raises(TimedOutError) as caught:
            await send(pool, at, limits(read=300), total=0.15)
        assert caught.value.phase is Phase.TOTAL


async def test_a_peer_that_takes_no_bytes_is_left_after_the_write_timeout(pool: HttpPool) -> None:
    """However much there is to send."""

    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined] # of a socket's transport
        await asyncio.Event().wait()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    async with raw_service(stuck) as at:
        for body in (endless(), b"x" * 32_000_000):
            with pytest.raises(TimedOutError) as caught:
                await send(pool, at, limits(write=100), method="PUT", body=body)
            assert caught.value.phase is Phase.WRITE


async def test_a_source_may_be_slower_than_the_write_timeout(pool: HttpPool) -> None:
    """Only the peer is timed; an empty piece does not end the body."""

    async def slow() -> AsyncIterator[bytes]:
        for piece in (b"one", b"", b"two"):
            await asyncio.sleep(0.08)
            yield piece

    async with http_service() as service:
        timeouts = limits(write=40, read=1_000)
        assert (await send(pool, service.endpoint, timeouts, method="PUT", body=slow()))[0] == 200
    assert service.bodies == [b"onetwo"]


async def test_a_large_body_is_sent_whole(pool: HttpPool) -> None:
    """In pieces, with its length said first."""
    body = bytes(range(256)) * 10_000
    async with http_service() as service:
        await send(pool, service.endpoint, method="POST", body=body)
    assert service.bodies == [body]
    assert service.headers[0]["content-length"] == str(len(body))
    assert "transfer-encoding" not in service.headers[0]


async def test_what_a_source_raises_is_the_callers(pool: HttpPool) -> None:
    """As it is: it is no fault of the peer's."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise OSError("the disk is gone")

    async with http_service() as service:
        with pytest.raises(OSError, match="the disk is gone"):
            await send(pool, service.endpoint, method="PUT", body=broken())


async def test_an_answer_before_the_end_of_the_request_is_an_answer(pool: HttpPool) -> None:
    """Such as a refusal of what is too large; the rest is not sent."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n")
        await asyncio.Event().wait()

    asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            await asyncio.sleep(0.01)
            yield b"x"

    async with asyncio.timeout(5), raw_service(refuse) as at:
        assert await send(pool, at, method="PUT", body=endless()) == (413, b"")
        asked = 0
        await asyncio.sleep(0.05)
        assert asked <= 1


async def test_a_connection_that_does_not_come_about_was_no_request(pool: HttpPool) -> None:
    """Refused, unknown host, no TLS, or too slow: each says so in its own words."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        await asyncio.sleep(0.05)
        full = Endpoint(host="127.0.0.1", port=listener.getsockname()[1])
        with pytest.raises(NotConnectedError, match=r"^within 0\.1 s$"):
            await send(pool, full, limits(connect=100))
        for filler in fillers:
            filler.close()
    with pytest.raises(NotConnectedError, match="refused"):
        await send(pool, Endpoint(host="127.0.0.1", port=1))
    with pytest.raises(NotConnectedError):
        await send(pool, Endpoint(host="no.such.host.invalid", port=1))


async def test_tls_that_is_none_was_no_request(pool: HttpPool) -> None:
    """A plain server dialled with https, and one that hangs in the handshake."""
    async with http_service() as service:
        plain = Endpoint(host="127.0.0.1", port=service.endpoint.port, secure=True)
        with pytest.raises(NotConnectedError, match="no TLS: "):
            await send(pool, plain)
        assert service.paths == []
    async with raw_service(silent) as at:
        hanging = Endpoint(host="127.0.0.1", port=at.port, secure=True)
        with pytest.raises(NotConnectedError, match="within"):
            await send(pool, hanging, limits(connect=100))


@pytest.mark.parametrize(
    "cut",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-no\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-encoding: gzip\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_an_answer_that_is_cut_or_garbled_is_none(pool: HttpPool, cut: bytes) -> None:
    """It is never taken for a shorter one, and the request is sent once."""
    times = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal times
        await reader.readuntil(b"\r\n\r\n")
        times += 1
        writer.write(cut)
        await writer.drain()

    async with raw_service(serve) as at:
        with pytest.raises(BrokenError):
            await send(pool, at, repeatable=True)
    assert times == 1


async def test_a_server_that_closes_idle_connections_does_no_harm(pool: HttpPool) -> None:
    """It closes each after its answer, without saying so: no request fails, of any method."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        writer.close()

    async with raw_service(once) as at:
        for method in ("GET", "POST") * 25:
            assert await send(pool, at, method=method) == (200, b"{}")


def _close_idle(listener: socket.socket, answered: int) -> None:
    """Answer one request on each connection, and close it soon after; runs in a thread."""
    for _ in range(answered):
        connection = listener.accept()[0]
        connection.recv(65_536)
        connection.sendall(OK)
        time.sleep(0.02)
        connection.close()


async def test_a_close_that_arrived_while_this_process_was_busy_is_seen(pool: HttpPool) -> None:
    """A connection is not chosen when its end already waits to be read, however late we look."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        at = Endpoint(host="127.0.0.1", port=listener.getsockname()[1])
        serving = asyncio.create_task(asyncio.to_thread(_close_idle, listener, 5))
        for _ in range(5):
            assert await send(pool, at, method="POST") == (200, b"{}")
            time.sleep(0.06)  # noqa: ASYNC251 - a loop that is busy is what is tested
        await serving


async def _closing_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer once; close when the next request is on its way."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OK)
    await reader.readuntil(b"\r\n\r\n")


async def test_a_connection_closed_at_the_same_moment_is_replaced(pool: HttpPool) -> None:
    """When the request does no harm twice; one that may is not sent again."""
    async with raw_service(_closing_late) as at:
        for _ in range(10):
            assert await send(pool, at, repeatable=True) == (200, b"{}")
        with pytest.raises(BrokenError):
            await send(pool, at, method="POST")


async def test_connections_are_kept_and_shared(pool: HttpPool) -> None:
    """Requests one after the other need one."""
    async with http_service() as service:
        for _ in range(20):
            await send(pool, service.endpoint)
    assert len(service.connections) == 1


async def test_many_requests_share_few_connections() -> None:
    """500 at a time over 8 connections: each waits its turn."""

    async def pause(request: web.Request) -> web.Response:
        await asyncio.sleep(0.01)
        return web.Response(text="ok")

    async with few(8) as pool, http_service(handler=pause) as service:
        answers = await asyncio.gather(*(send(pool, service.endpoint, total=20.0) for _ in range(500)))
    assert answers == [(200, b"ok")] * 500
    assert service.most_running <= 8
    assert len(service.connections) <= 8


async def test_waiting_for_a_connection_is_not_connecting() -> None:
    """Only the total timeout bounds it."""

    async def pause(request: web.Request) -> web.Response:
        await asyncio.sleep(0.15)
        return web.Response(text="ok")

    async with few(1) as pool, http_service(handler=pause) as service:
        answers = await asyncio.gather(*(send(pool, service.endpoint, limits(connect=250)) for _ in range(3)))
        assert answers == [(200, b"ok")] * 3
        with pytest.raises(TimedOutError) as caught:
            await asyncio.gather(*(send(pool, service.endpoint, total=0.2) for _ in range(2)))
    assert caught.value.phase is Phase.TOTAL


async def test_a_cancelled_request_gives_its_place_back() -> None:
    """Also one that waited for a connection."""
    started, go = asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        started.set()
        await go.wait()
        return web.Response(text="ok")

    async with few(1) as pool, http_service(handler=wait) as service:
        waiting = [asyncio.create_task(send(pool, service.endpoint)) for _ in range(4)]
        await started.wait()
        for task in waiting[:3]:
            task.cancel()
        go.set()
        assert await waiting[3] == (200, b"ok")


@pytest.mark.parametrize("headers", [{}, {"content-encoding": "gzip"}], ids=["plain", "gzip"])
async def test_no_more_than_the_limit_is_read(pool: HttpPool, headers: dict[str, str]) -> None:
    """Decompressed bytes count; exactly the limit is not too much."""

    async def much(request: web.Request) -> web.Response:
        body = b"x" * 1_000_001
        return web.Response(body=gzip.compress(body) if headers else body, headers=headers)

    async with http_service(handler=much) as service:
        answer = await open_(pool, service.endpoint)
        with pytest.raises(TooLargeError) as caught:
            await answer.read(1_000_000)
        answer.close()
        assert caught.value.limit == 1_000_000
        answer = await open_(pool, service.endpoint)
        assert len(await answer.read(1_000_001)) == 1_000_001
        answer.close()


async def test_an_answer_without_end_is_left_at_the_limit(pool: HttpPool) -> None:
    """Its length need not be known."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()

    async with raw_service(endless) as at:
        with pytest.raises(TooLargeError):
            await send(pool, at)


async def test_the_length_of_a_head_is_not_its_body(pool: HttpPool) -> None:
    """HEAD says how long a GET would be."""

    async def long(request: web.Request) -> web.Response:
        return web.Response(headers={"content-length": "100000000"})

    async with http_service(handler=long) as service:
        assert await send(pool, service.endpoint, method="HEAD") == (200, b"")


async def test_redirects_cookies_and_proxies_are_not_followed_kept_or_used(
    pool: HttpPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call goes to its instance, says what its caller says, and nothing else."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def elsewhere(request: web.Request) -> web.Response:
        headers = {"location": "http://127.0.0.1:9/", "set-cookie": "session=somebody; Path=/"}
        return web.Response(status=302, headers=headers)

    async with http_service(handler=elsewhere) as service:
        for _ in range(2):
            assert (await send(pool, service.endpoint))[0] == 302
    assert all("cookie" not in headers for headers in service.headers)


async def test_a_pool_is_closed_for_good(pool: HttpPool) -> None:
    """What is on its way breaks, nothing begins, and closing twice does nothing."""
    async with raw_service(silent) as at:
        request = asyncio.create_task(send(pool, at, method="POST"))
        await asyncio.sleep(0.02)
        await pool.close()
        await pool.close()
        with pytest.raises(BrokenError):
            await request
        with pytest.raises(RuntimeError, match="closed"):
            await send(pool, at)


def test_timeouts_are_longer_than_zero() -> None:
    """All that are not are named."""
    with pytest.raises(ValueError, match="read, total"):
        limits(read=0, total=-1)


def test_every_fault_is_an_http_fault() -> None:
    """One handler catches them all."""
    for fault in (NotConnectedError("x"), BrokenError("x"), TimedOutError(Phase.READ, 1), TooLargeError(1)):
        assert isinstance(fault, HttpFault)
