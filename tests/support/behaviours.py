"""A service that behaves as its caller asks, for tests of channels: all four shapes, without stubs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio

SERVICE = "test.Behaviour"


def path(method: str) -> str:
    return f"/{SERVICE}/{method}"


class Behaviours:
    """The handlers. A request says what happens: ``echo:…``, ``fail:CODE:text``, ``hang``, ``sleep:s``."""

    def __init__(self) -> None:
        self.calls = 0
        self.cancelled = 0
        self.metadata: list[dict[str, Any]] = []
        self.remaining: list[float | None] = []
        self.failures: list[tuple[grpc.StatusCode, str, tuple[Any, ...]]] = []
        """How the next calls end, before anything else happens."""
        self.pace = 0.0
        self.running = 0

    async def _enter(self, context: Any) -> None:
        self.calls += 1
        self.metadata.append(dict(context.invocation_metadata() or ()))
        self.remaining.append(context.time_remaining())
        if self.failures:
            code, text, trailing = self.failures.pop(0)
            await context.abort(code, text, trailing)
        if self.pace:
            await asyncio.sleep(self.pace)

    async def _act(self, request: bytes, context: Any) -> bytes:
        word, _, rest = request.decode().partition(":")
        if word == "fail":
            code, _, text = rest.partition(":")
            context.set_trailing_metadata((("why", "asked"),))
            await context.abort(grpc.StatusCode[code], text)
        if word == "head":
            await context.send_initial_metadata((("head", rest),))
        if word == "sleep":
            await asyncio.sleep(float(rest))
        if word == "raise":
            raise ValueError(rest)
        if word == "big":
            return b"x" * int(rest)
        if word == "hang":
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return request

    async def unary(self, request: bytes, context: Any) -> bytes:
        self.running += 1
        try:
            await self._enter(context)
            return await self._act(request, context)
        finally:
            self.running -= 1

    async def many(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """``3,fail:ABORTED:x``: so many echoes, then the action."""
        await self._enter(context)
        count, _, then = request.decode().partition(",")
        for number in range(int(count)):
            yield b"%d" % number
        if then:
            await self._act(then.encode(), context)

    async def join(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        await self._enter(context)
        return b"+".join([await self._act(request, context) async for request in requests])

    async def chat(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        await self._enter(context)
        async for request in requests:
            yield await self._act(request, context)


async def serve(
    behaviours: Behaviours,
    port: int = 0,
    interceptors: tuple[grpc.aio.ServerInterceptor, ...] = (),
    options: tuple[tuple[str, int], ...] = (),
    credentials: grpc.ServerCredentials | None = None,
) -> tuple[grpc.aio.Server, int]:
    """Start a server on 127.0.0.1, with TLS where it has credentials, and return it with its port."""
    handlers: dict[str, Any] = {
        "Unary": grpc.unary_unary_rpc_method_handler(behaviours.unary),
        "Many": grpc.unary_stream_rpc_method_handler(behaviours.many),
        "Join": grpc.stream_unary_rpc_method_handler(behaviours.join),
        "Chat": grpc.stream_stream_rpc_method_handler(behaviours.chat),
    }
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0), *options), interceptors=interceptors)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    address = f"127.0.0.1:{port}"
    bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    return server, bound


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds that nobody tells."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def collect(call: Any, got: list[bytes], after_each: Callable[[], object] = lambda: None) -> None:
    """Read a stream to its end into a list, which holds what came before an error too."""
    async for response in call:
        got.append(response)
        after_each()
