"""Calls with a stream of responses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc.aio

from weft.mesh._calls.call import MeshCall

__all__ = ["StreamStreamCall", "UnaryStreamCall"]

_MIXED: Final = "The iterator and read/write APIs may not be mixed on a single RPC."


class _ManyResponses(MeshCall):
    """What is iterated or read for its responses; after the first one there is no other attempt."""

    _responses: AsyncIterator[Any] | None = None
    _read_once = False

    def __aiter__(self) -> AsyncIterator[Any]:
        """Return the iterator over the responses, always the same one."""
        if self._read_once:
            raise grpc.aio.UsageError(_MIXED)
        if self._responses is None:
            self._responses = self._iterate()
        return self._responses

    async def read(self) -> Any:
        """Return the next response, or ``grpc.aio.EOF``."""
        if self._responses is not None:
            raise grpc.aio.UsageError(_MIXED)
        self._read_once = True
        while True:
            call = await self._taken()
            try:
                response = await call.read()
            except grpc.aio.AioRpcError:
                if self._counts(call):
                    raise
                continue
            if self._counts(call):
                self._committed = True
                return response

    async def _iterate(self) -> AsyncIterator[Any]:
        while True:
            call = await self._taken()
            try:
                async for response in call:
                    if not self._counts(call):
                        break
                    self._committed = True
                    yield response
            except grpc.aio.AioRpcError:
                if self._counts(call):
                    raise
            if self._counts(call):
                return


class UnaryStreamCall(_ManyResponses, grpc.aio.UnaryStreamCall[Any, Any]):
    """One request, a stream of responses."""


class StreamStreamCall(_ManyResponses, grpc.aio.StreamStreamCall[Any, Any]):
    """A stream of requests, a stream of responses."""

    async def write(self, request: Any) -> None:
        """Send a request, once an instance has the call."""
        await (await self._taken()).write(request)

    async def done_writing(self) -> None:
        """Say that there are no more requests."""
        await (await self._taken()).done_writing()
