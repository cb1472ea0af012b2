"""One RPC of a method that is known by its descriptor: all four shapes, in bytes on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import grpc.aio

from weft.core.errors import PreconditionError, ValidationError, Violation
from weft.core.payload import JsonObject
from weft.core.reasons import Reason, Rule
from weft.mesh.dynamic.codec import MessageCodec
from weft.mesh.dynamic.descriptors import Method
from weft.mesh.request_streams import keep_status

__all__ = ["Metadata", "Request", "Rpc"]

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]
Request: TypeAlias = Mapping[str, Any] | Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]] | None
"""One object, or for a stream of requests any iterable of them."""

_MAKERS: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


class Rpc:
    """One call of a method; made and then used once.

    Args:
        channel: Where to.
        codec: Of the method's messages.
        method: Which one.
        request: As its shape wants it.

    Raises:
        ValidationError: The request does not fit the method; every fault is named.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        codec: MessageCodec,
        method: Method,
        request: Request,
        field: str = "",
    ) -> None:
        self._channel: Any = channel
        self._codec = codec
        self._method = method
        self._fault: Exception | None = None
        self._request = self._prepared(request, field)

    def _prepared(self, request: Any, field: str) -> Any:
        if not self._method.client_streaming:
            if isinstance(request, Mapping) or request is None:
                return self._codec.encode(self._method.input, request or {}, field)
            raise _misused(self._method, "takes one request: give an object")
        if isinstance(request, Mapping) or request is None:
            raise _misused(self._method, "takes a stream of requests: give a list or an iterator of objects")
        if isinstance(request, list | tuple):
            return iter(self._all(request, field))
        return self._each(request, field)

    def _all(self, requests: Sequence[Any], field: str) -> list[bytes]:
        """Check all before the first is sent."""
        faults: list[Violation] = []
        made: list[bytes] = []
        for number, request in enumerate(requests):
            try:
                made.append(self._encoded(request, number, field))
            except ValidationError as error:
                faults += error.violations
        if faults:
            raise ValidationError(faults[:100])
        return made

    def _encoded(self, request: Any, number: int, field: str) -> bytes:
        path = f"{field}.requests[{number}]" if field else f"requests[{number}]"
        if not isinstance(request, Mapping):
            raise ValidationError([Violation(path, "is no object", Rule.SCHEMA_MISMATCH)])
        return self._codec.encode(self._method.input, request, path)

    async def _each(self, requests: Any, field: str) -> AsyncIterator[bytes]:
        """Check one after the other, as they come; gRPC itself would only say that the call was cancelled."""
        number = 0
        try:
            async for request in _as_they_come(requests):
                yield self._encoded(request, number, field)
                number += 1
        except Exception as error:
            self._fault = error
            raise

    async def one(self, timeout: float | None, metadata: Metadata) -> JsonObject:
        """Make the call, and return its only response.

        Raises:
            PreconditionError: ACTION_OUTPUT_INVALID.
            AioRpcError: It failed.
        """
        if self._method.server_streaming:
            raise _misused(self._method, "answers with a stream: use stream_service")
        call = self._start(timeout, metadata)
        try:
            data = await call
        except (asyncio.CancelledError, grpc.aio.AioRpcError):
            if self._fault is not None:
                raise self._fault from None
            raise
        finally:
            call.cancel()
        return self._decoded(data)

    async def many(self, timeout: float | None, metadata: Metadata) -> AsyncGenerator[JsonObject, None]:
        """Make the call, and yield its responses.

        Raises:
            PreconditionError: ACTION_OUTPUT_INVALID.
            AioRpcError: It failed.
        """
        if not self._method.server_streaming:
            raise _misused(self._method, "answers with one response: use call_service")
        call = self._start(timeout, metadata)
        try:
            async for data in call:
                yield self._decoded(data)
        except (asyncio.CancelledError, grpc.aio.AioRpcError):
            if self._fault is not None:
                raise self._fault from None
            raise
        finally:
            call.cancel()

    def _start(self, timeout: float | None, metadata: Metadata) -> Any:
        shape = _MAKERS[self._method.client_streaming, self._method.server_streaming]
        method = getattr(self._channel, shape)(self._method.path)
        call = method(self._request, timeout=timeout, metadata=tuple(metadata))
        return keep_status(call) if self._method.client_streaming else call

    def _decoded(self, data: Any) -> JsonObject:
        if not isinstance(data, bytes):
            raise PreconditionError("no bytes came", reason=Reason.ACTION_OUTPUT_INVALID)
        return self._codec.decode(self._method.output, data)


async def _as_they_come(requests: Any) -> AsyncIterator[Any]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    elif isinstance(requests, Iterable):
        for request in requests:
            yield request
    else:
        raise ValidationError(
            [Violation("request", "is neither a list nor an iterator of objects", Rule.SCHEMA_MISMATCH)]
        )


def _misused(method: Method, why: str) -> ValidationError:
    return ValidationError(
        [Violation("method", f"{method.full_name} {why}", Rule.INVALID)],
        metadata={"method": method.full_name},
    )
