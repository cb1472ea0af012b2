"""A peer that speaks just enough HTTP/2 to misbehave: it answers every request with one frame."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import IntEnum
from typing import Self

__all__ = ["Http2Error", "Proxy", "goaway", "misbehaving", "reset"]

_SETTINGS, _RST_STREAM, _PING, _GOAWAY, _HEADERS = 0x4, 0x3, 0x6, 0x7, 0x1
_PREFACE = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
_ACK = 0x1


class Http2Error(IntEnum):
    """Error codes of RFC 9113."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    ENHANCE_YOUR_CALM = 0xB


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def reset(stream: int, code: Http2Error) -> bytes:
    return _frame(_RST_STREAM, 0, stream, int(code).to_bytes(4))


def goaway(last_stream: int, code: Http2Error) -> bytes:
    return _frame(_GOAWAY, 0, 0, last_stream.to_bytes(4) + int(code).to_bytes(4))


class Misbehaving:
    """Answers each request with ``answer``; ``requests`` counts them."""

    def __init__(self, answer: str, code: Http2Error) -> None:
        self.requests = 0
        self.port = 0
        self._answer = answer
        self._code = code

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readexactly(_PREFACE)
            writer.write(_frame(_SETTINGS, 0, 0, b""))
            while True:
                head = await reader.readexactly(9)
                payload = await reader.readexactly(int.from_bytes(head[:3]))
                self._take(head[3], head[4], int.from_bytes(head[5:]), payload, writer)
                await writer.drain()
        writer.close()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes, writer: asyncio.StreamWriter) -> None:
        if kind in {_SETTINGS, _PING} and not flags & _ACK:
            writer.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        if kind == _HEADERS:
            self.requests += 1
            if self._answer == "reset":
                writer.write(reset(stream, self._code))
            elif self._answer == "goaway":
                writer.write(goaway(0, self._code))
                writer.close()
            else:
                writer.transport.abort()


@contextlib.asynccontextmanager
async def misbehaving(answer: str, code: Http2Error = Http2Error.NO_ERROR) -> AsyncIterator[Misbehaving]:
    """Listen, and answer requests with ``reset``, ``goaway`` or ``abort``."""
    peer = Misbehaving(answer, code)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()


class Proxy:
    """Forwards TCP to a port, until it is told to fall silent: then the connection is half open.

    Args:
        port: Of 127.0.0.1.
        delay: Seconds before a new connection is forwarded.
    """

    def __init__(self, port: int, *, delay: float = 0.0) -> None:
        self.port = 0
        self._to = port
        self._delay = delay
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def fall_silent(self) -> None:
        self._open.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self._delay)
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._to)
        for pair in ((reader, other_writer), (other_reader, writer)):
            task = asyncio.create_task(self._forward(*pair))
            self._tasks.add(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
