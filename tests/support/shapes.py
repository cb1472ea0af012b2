"""A gRPC service with a method of each shape, in bytes, and ways to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from opentelemetry import trace

from weft.core.context import current_deadline

SERVICE = "shop.v1.Shapes"


class Shapes:
    """Echoes; the text of the request says what happens to it.

    ``fail`` raises, ``abort`` ends with NOT_FOUND, ``wait`` never ends.
    """

    def __init__(self) -> None:
        self.metadata: tuple[tuple[str, str | bytes], ...] = ()
        self.current: list[str] = []
        self.deadlines: list[float | None] = []
        self.waiting = asyncio.Event()
        self.left = asyncio.Event()

    async def _see(self, text: bytes, context: Any) -> None:
        self.metadata = tuple(context.invocation_metadata())
        self.current.append(f"{trace.get_current_span().get_span_context().trace_id:032x}")
        self.deadlines.append(current_deadline())
        if text == b"fail":
            raise ValueError("broken")
        if text == b"abort":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        if text == b"wait":
            self.waiting.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()

    async def unary_unary(self, request: bytes, context: Any) -> bytes:
        await self._see(request, context)
        return request

    async def unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        await self._see(request, context)
        yield b"last"

    async def stream_unary(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        found = [request async for request in requests]
        await self._see(found[-1], context)
        return b",".join(found)

    async def stream_stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            await self._see(request, context)
            yield request

    async def written(self, request: bytes, context: Any) -> None:
        """Stream by writing to the context, rather than by yielding."""
        await context.write(b"first")
        await self._see(request, context)
        await context.write(b"last")

    def in_thread(self, request: bytes, context: Any) -> bytes:  # noqa: ARG002 - the form of a handler
        """Answer from a plain function."""
        return request

    def handler(self) -> Any:
        methods: dict[str, Any] = {
            "UnaryUnary": grpc.unary_unary_rpc_method_handler(self.unary_unary),
            "UnaryStream": grpc.unary_stream_rpc_method_handler(self.unary_stream),
            "StreamUnary": grpc.stream_unary_rpc_method_handler(self.stream_unary),
            "StreamStream": grpc.stream_stream_rpc_method_handler(self.stream_stream),
            "Written": grpc.unary_stream_rpc_method_handler(self.written),
            "InThread": grpc.unary_unary_rpc_method_handler(self.in_thread),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)


class Calls:
    """Calls a method of each shape on a channel."""

    def __init__(self, channel: Any) -> None:
        self.unary_unary: Any = channel.unary_unary(f"/{SERVICE}/UnaryUnary")
        self.unary_stream: Any = channel.unary_stream(f"/{SERVICE}/UnaryStream")
        self.stream_unary: Any = channel.stream_unary(f"/{SERVICE}/StreamUnary")
        self.stream_stream: Any = channel.stream_stream(f"/{SERVICE}/StreamStream")
        self.written: Any = channel.unary_stream(f"/{SERVICE}/Written")
        self.in_thread: Any = channel.unary_unary(f"/{SERVICE}/InThread")

    def begin(self, shape: str, text: bytes, **options: Any) -> Any:
        method = getattr(self, shape)
        streamed = shape.startswith("stream")
        return method(_one(text) if streamed else text, **options)

    async def end(self, shape: str, call: Any) -> list[bytes]:
        if shape.endswith("unary") or shape == "in_thread":
            return [await call]
        return [answer async for answer in call]


async def _one(text: bytes) -> AsyncIterator[bytes]:
    yield text


@asynccontextmanager
async def shapes_server(
    server_interceptors: Sequence[Any], client_interceptors: Sequence[Any]
) -> AsyncIterator[tuple[Shapes, Calls]]:
    shapes = Shapes()
    server = grpc.aio.server(interceptors=tuple(server_interceptors))
    server.add_generic_rpc_handlers((shapes.handler(),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        async with grpc.aio.insecure_channel(address, interceptors=tuple(client_interceptors)) as channel:
            yield shapes, Calls(channel)
    finally:
        await server.stop(None)
