"""Tracing for plain ``grpc.aio`` servers and channels, which may know nothing else of Weft.

On a server::

    server = grpc.aio.server(interceptors=(TracingServerInterceptor(),))

On a channel::

    channel = grpc.aio.insecure_channel(address, interceptors=tracing_client_interceptors())
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

import grpc
import grpc.aio
from opentelemetry.trace import Span, TracerProvider

from weft.mesh.serving import InterceptorChain
from weft.mesh.tracing.client import ClientSpans, address_attributes
from weft.mesh.tracing.port import Metadata
from weft.mesh.tracing.server import CallerDeadline, Tracing

__all__ = ["TracingServerInterceptor", "tracing_client_interceptors"]

_CANCELLED: Final = grpc.StatusCode.CANCELLED.value[0]
_UNKNOWN: Final = grpc.StatusCode.UNKNOWN.value[0]

_Details = Any
_Continuation = Callable[[Any, Any], Awaitable[Any]]


class TracingServerInterceptor(InterceptorChain):
    """Traces every RPC of a ``grpc.aio`` server, in all four shapes.

    The handler runs within the SERVER span and with the caller's deadline, so
    that calls it makes through Weft, or through channels with
    ``tracing_client_interceptors``, belong to the same trace. Requests, answers,
    exceptions and statuses stay as they are. Handlers that are plain functions
    run in threads of grpc.aio, and are not traced.

    Args:
        provider: Where spans go; None follows the global provider of OpenTelemetry.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        super().__init__((Tracing(provider), CallerDeadline()))


def tracing_client_interceptors(
    provider: TracerProvider | None = None, *, target: str = ""
) -> Sequence[grpc.aio.ClientInterceptor]:
    """Return interceptors for a ``grpc.aio`` channel: one CLIENT span for each RPC, in all four shapes.

    Args:
        provider: Where spans go; None follows the global provider of OpenTelemetry.
        target: ``host:port`` of the channel, for the spans to say.
    """
    spans = ClientSpans(provider)
    attributes = address_attributes(target) if target else {}
    kinds = (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)
    return tuple(kind(spans, attributes) for kind in kinds)


class _Interceptor:
    """What the four have in common: the span ends with the call, however that ends.

    The span waits on the call itself rather than on who reads it: also a stream
    that is left early, or dropped, has an end.
    """

    def __init__(self, spans: ClientSpans, attributes: dict[str, str | int | bool]) -> None:
        self._spans = spans
        self._attributes = attributes

    async def _call(self, continuation: _Continuation, details: _Details, request: Any) -> Any:
        method = details.method.decode() if isinstance(details.method, bytes) else details.method
        span, metadata = self._spans.begin(method, _entries(details.metadata), self._attributes)
        details = details._replace(metadata=grpc.aio.Metadata(*metadata))
        if span is None:
            return await continuation(details, request)
        try:
            call = await continuation(details, request)
        except BaseException as error:
            code = _CANCELLED if isinstance(error, asyncio.CancelledError) else _UNKNOWN
            self._spans.end(span, code, f"{type(error).__name__}: {error}")
            raise
        # Without a reference to the call itself: a stream that nobody holds must still be collected.
        call.add_done_callback(_Ending(self._spans, span))
        return call


class _Ending:
    """Ends a span when its call is done."""

    def __init__(self, spans: ClientSpans, span: Span) -> None:
        self._spans = spans
        self._span = span

    def __call__(self, call: Any) -> None:
        code = _at_once(call.code())
        if code is grpc.StatusCode.OK:
            self._spans.end(self._span, 0, None)
        elif code is None:
            self._spans.end(self._span, _UNKNOWN, None)
        else:
            self._spans.end(self._span, code.value[0], _at_once(call.details()))


def _at_once(asked: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine answers without waiting; None when it would wait."""
    try:
        asked.send(None)
    except StopIteration as answer:
        return answer.value
    except asyncio.CancelledError:
        return grpc.StatusCode.CANCELLED
    asked.close()
    return None


def _entries(metadata: Any) -> Metadata:
    return tuple((key, value) for key, value in metadata) if metadata else ()


class _UnaryUnary(_Interceptor, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: _Continuation, client_call_details: _Details, request: Any
    ) -> Any:
        return await self._call(continuation, client_call_details, request)


class _UnaryStream(_Interceptor, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: _Continuation, client_call_details: _Details, request: Any
    ) -> Any:
        return await self._call(continuation, client_call_details, request)


class _StreamUnary(_Interceptor, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: _Continuation, client_call_details: _Details, request_iterator: Any
    ) -> Any:
        return await self._call(continuation, client_call_details, request_iterator)


class _StreamStream(_Interceptor, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: _Continuation, client_call_details: _Details, request_iterator: Any
    ) -> Any:
        return await self._call(continuation, client_call_details, request_iterator)
