"""Calls with one response."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import grpc.aio

from weft.mesh._calls.call import MeshCall

__all__ = ["StreamUnaryCall", "UnaryUnaryCall"]


class _OneResponse(MeshCall):
    """What is awaited for its response."""

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the response. To be cancelled while waiting cancels the call."""
        while True:
            if self._seeking is not None or self._failure is not None:
                yield from self._taken().__await__()
            call = self._current
            try:
                response = yield from call.__await__()
            except grpc.aio.AioRpcError:
                if self._counts(call):
                    raise
            else:
                return response


class UnaryUnaryCall(_OneResponse, grpc.aio.UnaryUnaryCall[Any, Any]):
    """One request, one response."""


class StreamUnaryCall(_OneResponse, grpc.aio.StreamUnaryCall[Any, Any]):
    """A stream of requests, one response."""

    async def write(self, request: Any) -> None:
        """Send a request, once an instance has the call."""
        await (await self._taken()).write(request)

    async def done_writing(self) -> None:
        """Say that there are no more requests."""
        await (await self._taken()).done_writing()
