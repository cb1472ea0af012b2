"""A RunActions call in memory: both ends are the real ones, and the test cuts the wire when it likes."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import grpc
import grpc.aio

from weft.api.action.v1 import action_service_pb2 as pb
from weft.core.clock import SystemClock
from weft.mesh.dispatch.limits import DispatchConfig, Window
from weft.mesh.dispatch.stream import EngineStream
from weft.mesh.tracing.server import Tracing
from weft.service import Service
from weft.service._calls import Calls
from weft.service._runner import Runner
from weft.service._stream import ActionStream
from weft.service._streams import ActionStreams
from weft.service._threads import Threads


class Wire:
    """Two ends and what is between them.

    Args:
        service: Whose actions are run.
        window: How much may be open.
    """

    def __init__(self, service: Service, window: Window) -> None:
        self.calls = Calls(service.name)
        self.streams = ActionStreams()
        self.ended = asyncio.Event()
        self.largest_batch = 0
        self._up: asyncio.Queue[Any] = asyncio.Queue()
        self._down: asyncio.Queue[Any] = asyncio.Queue()
        self._threads = Threads(1, "wire")
        runner = Runner(service.definition, self._threads, SystemClock())
        provider = ActionStream(cast("Any", _Provider(self)), runner, self.calls, Tracing(), window)
        self._serving = asyncio.create_task(self._serve(provider))
        channel = cast("Any", _Channel(self))
        self.stream = EngineStream(channel, "here", DispatchConfig(), lambda _: self.ended.set())

    async def cut(self) -> None:
        """End the connection: nobody hears of the other any more."""
        self._down.put_nowait(_error(grpc.StatusCode.UNAVAILABLE, "cut"))
        self._serving.cancel()
        await asyncio.wait((self._serving,))

    def drain(self) -> None:
        """Let the provider stop."""
        self.calls.refuse()
        self.streams.drain()

    async def close(self) -> None:
        await self.stream.close()
        self._serving.cancel()
        await asyncio.wait((self._serving,))
        self._threads.close()

    async def _serve(self, provider: ActionStream) -> None:
        try:
            await self.streams.serve(provider)
        except Exception as error:
            self._down.put_nowait(_error(grpc.StatusCode.INVALID_ARGUMENT, str(error)))
            raise
        self._down.put_nowait(grpc.aio.EOF)


class _Provider:
    """What the provider's end sees of it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def read(self) -> Any:
        message = await self._wire._up.get()
        if message is grpc.aio.EOF:
            return message
        request = pb.RunActionsRequest.FromString(message)
        self._wire.largest_batch = max(self._wire.largest_batch, len(request.invocations))
        return request

    async def write(self, message: pb.RunActionsResponse) -> None:
        self._wire._down.put_nowait(message.SerializeToString())
        await asyncio.sleep(0)

    def code(self) -> None:
        """As of a call that has not ended."""

    def details(self) -> str:
        return ""

    def peer(self) -> str:
        return ""


class _Channel:
    """Where the engine's end gets its call."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def unary_unary(self, *_: Any, **__: Any) -> None:
        """Nothing: only the stream is called here."""

    def stream_stream(self, *_: Any, **__: Any) -> Any:
        return lambda **_: _Engine(self._wire)


class _Engine:
    """What the engine's end sees of it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def read(self) -> Any:
        message = await self._wire._down.get()
        if isinstance(message, Exception):
            raise message
        return message if message is grpc.aio.EOF else pb.RunActionsResponse.FromString(message)

    async def write(self, message: pb.RunActionsRequest) -> None:
        if self._wire._serving.done():
            raise asyncio.InvalidStateError
        self._wire._up.put_nowait(message.SerializeToString())
        await asyncio.sleep(0)

    async def done_writing(self) -> None:
        self._wire._up.put_nowait(grpc.aio.EOF)

    def cancel(self) -> None:
        self._wire._serving.cancel()


def _error(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)
