"""A channel to one address whose calls are traced; much lighter than interceptors of ``grpc.aio``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeAlias

import grpc
import grpc.aio
from opentelemetry.trace import Span

from weft.core.errors import Code
from weft.discovery.endpoint import parse_address
from weft.discovery.model import Endpoint
from weft.mesh._calls.outcome import now
from weft.mesh.tracing.client import RpcTracer
from weft.mesh.tracing.port import Metadata

__all__ = ["EARLIER_ATTEMPTS", "ClientTracer", "TracedChannel"]

_SERVICE = "weft"
"""What spans call the server."""

EARLIER_ATTEMPTS: ContextVar[int] = ContextVar("earlier attempts", default=0)
"""How often the current call was tried before, by a caller with retries of its own."""

_Serializer: TypeAlias = Callable[[Any], bytes] | None
_Deserializer: TypeAlias = Callable[[bytes], Any] | None


class ClientTracer(RpcTracer):
    """Traces attempts, and counts those that the caller has made before."""

    def start(
        self, method: str, metadata: Metadata, *, attempt: int, **known: Any
    ) -> tuple[Span | None, Metadata]:
        """Begin the span of one attempt: see ``CallTracer.start``."""
        return super().start(method, metadata, attempt=attempt + EARLIER_ATTEMPTS.get(), **known)


class TracedChannel:
    """Makes the methods of generated stubs; every call of one is a CLIENT span.

    It has what the typed clients need of a ``grpc.aio.Channel``: methods with one request.

    Args:
        channel: Where calls go.
        address: ``host:port`` of the server.
    """

    def __init__(self, channel: grpc.aio.Channel, address: str) -> None:
        host, port = parse_address(address)
        self._channel: Any = channel
        self._spans = _Spans(Endpoint(host=host, port=port))

    def unary_unary(
        self,
        method: str,
        request_serializer: _Serializer = None,
        response_deserializer: _Deserializer = None,
        **more: Any,
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Return a method with one response."""
        call = self._channel.unary_unary(method, request_serializer, response_deserializer, **more)
        spans = self._spans

        async def traced(
            request: Any, *, timeout: float | None = None, metadata: Metadata | None = None
        ) -> Any:
            span, sent = spans.start(method, metadata or ())
            try:
                answer = await call(request, timeout=timeout, metadata=sent)
            except grpc.aio.AioRpcError as error:
                spans.end(span, error.code().value[0], error.details())
                raise
            except BaseException:
                spans.end(span, int(Code.CANCELLED), "the caller gave up")
                raise
            spans.end(span, 0, None)
            return answer

        return traced

    def unary_stream(
        self,
        method: str,
        request_serializer: _Serializer = None,
        response_deserializer: _Deserializer = None,
        **more: Any,
    ) -> Callable[..., Any]:
        """Return a method with a stream of responses."""
        call = self._channel.unary_stream(method, request_serializer, response_deserializer, **more)
        spans = self._spans

        def traced(request: Any, *, timeout: float | None = None, metadata: Metadata | None = None) -> Any:
            span, sent = spans.start(method, metadata or ())
            running = call(request, timeout=timeout, metadata=sent)
            if span is not None:
                running.add_done_callback(lambda ended: spans.end(span, *_outcome(ended)))
            return running

        return traced

    def stream_unary(self, *words: Any, **more: Any) -> Any:
        """Return a method with a stream of requests, which is not traced."""
        return self._channel.stream_unary(*words, **more)

    def stream_stream(self, *words: Any, **more: Any) -> Any:
        """Return a method with streams of both, which is not traced."""
        return self._channel.stream_stream(*words, **more)

    async def close(self) -> None:
        """End all calls and the connection."""
        await self._channel.close()


class _Spans:
    """The spans of the calls of one server."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._tracer = ClientTracer()
        self.end = self._tracer.end

    def start(self, method: str, metadata: Metadata) -> tuple[Any, Metadata]:
        return self._tracer.start(
            method, metadata, service=_SERVICE, endpoint=self._endpoint, attempt=1, balancer=""
        )


def _outcome(ended: Any) -> tuple[int, str | None]:
    """Return code and text of a call that has ended, which it tells without waiting."""
    code: grpc.StatusCode = now(ended.code())
    return code.value[0], now(ended.details())
