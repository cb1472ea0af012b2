"""A TCP proxy between callers and a server, which can be told to misbehave."""

from __future__ import annotations

import asyncio
from contextlib import suppress

_CHUNK = 65_536


class Proxy:
    """Passes bytes on, unless told otherwise.

    Attributes:
        delay: How many seconds each chunk waits, in both directions.
        deaf: What the server says is thrown away: requests have their effect, replies are lost.
        hole: Nothing passes in either direction, and nobody is told.
        refusing: New connections are closed at once.
        passed: How many bytes were passed on.
        dropped: How many bytes were thrown away.
        delayed: How many chunks had to wait.
        cuts: How many connections were cut.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self.delay = 0.0
        self.deaf = self.hole = self.refusing = False
        self.passed = self.dropped = self.delayed = self.cuts = 0
        self.address = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.refusing = True
        self.cut()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    def cut(self) -> int:
        """Reset every connection; tell how many there were."""
        count = 0
        for writer in list(self._open):
            if not writer.is_closing():
                count += 1
                writer.transport.abort()
        self.cuts += count
        return count

    def heal(self) -> None:
        """Be a good proxy again. Connections that lost bytes are of no use to anybody, and are cut."""
        spoilt = self.deaf or self.hole
        self.delay, self.deaf, self.hole, self.refusing = 0.0, False, False, False
        if spoilt:
            self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        try:
            await self._connect(reader, writer)
        finally:
            writer.transport.abort()
            self._handlers.discard(handler)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            return
        try:
            upstream, downstream = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return
        self._open |= {writer, downstream}
        both = [
            asyncio.create_task(self._pass(reader, downstream, replies=False)),
            asyncio.create_task(self._pass(upstream, writer, replies=True)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            downstream.transport.abort()
            self._open -= {writer, downstream}

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                if self.delay:
                    self.delayed += 1
                    await asyncio.sleep(self.delay)
                if self.hole or (replies and self.deaf):
                    self.dropped += len(chunk)
                    continue
                writer.write(chunk)
                self.passed += len(chunk)
                await writer.drain()
