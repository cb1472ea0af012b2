"""A channel to one address whose calls are traced; much lighter than interceptors of ``grpc.aio``."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

import grpc
from opentelemetry.trace import Span

from weft.client._transport.connections import Connections
from weft.core.telemetry import ATTEMPT, RETRY, SERVICE
from weft.mesh._calls.outcome import now
from weft.mesh.tracing.client import ClientSpans, RpcTracer, address_attributes
from weft.mesh.tracing.port import Metadata
from weft.mesh.tracing.spans import Attributes

__all__ = ["EARLIER_ATTEMPTS", "ClientTracer", "TracedChannel"]

_SERVICE: Final = "weft"
"""What spans call the server."""

_EXECUTIONS: Final = "/weft.api.execution.v1.ExecutionService"
_WAITING: Final = frozenset({f"{_EXECUTIONS}/ExecuteWorkflow", f"{_EXECUTIONS}/ExecuteServiceAction"})
"""Methods with one response that may come after days."""

EARLIER_ATTEMPTS: ContextVar[int] = ContextVar("earlier attempts", default=0)
"""How often the current call was tried before, by a caller with retries of its own."""


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
        connections: Where calls go.
        address: ``host:port`` of the server.
    """

    def __init__(self, connections: Connections, address: str) -> None:
        self._connections = connections
        self._spans = ClientSpans()
        self._first: Attributes = {SERVICE: _SERVICE, **address_attributes(address), ATTEMPT: 1, RETRY: False}

    def unary_unary(self, method: str, *words: Any, **more: Any) -> Callable[..., Any]:
        """Return a method with one response."""
        return self._traced(
            method, self._connections.method("unary_unary", method, *words, waits=method in _WAITING, **more)
        )

    def unary_stream(self, method: str, *words: Any, **more: Any) -> Callable[..., Any]:
        """Return a method with a stream of responses."""
        return self._traced(
            method, self._connections.method("unary_stream", method, *words, waits=True, **more)
        )

    def _traced(self, method: str, call: Callable[..., Any]) -> Callable[..., Any]:
        spans = self._spans

        def traced(request: Any, *, timeout: float | None = None, metadata: Metadata | None = None) -> Any:
            span, sent = spans.begin(method, metadata or (), self._attributes())
            running = call(request, timeout=timeout, metadata=sent)
            if span is not None:
                running.add_done_callback(lambda ended: spans.end(span, *_outcome(ended)))
            return running

        return traced

    def _attributes(self) -> Attributes:
        """Return what spans say of a call beside its method."""
        earlier = EARLIER_ATTEMPTS.get()
        return self._first if not earlier else {**self._first, ATTEMPT: earlier + 1, RETRY: True}

    def stream_unary(self, *words: Any, **more: Any) -> Any:
        """Return a method with a stream of requests, which is not traced."""
        return self._connections.method("stream_unary", *words, **more)

    def stream_stream(self, *words: Any, **more: Any) -> Any:
        """Return a method with streams of both, which is not traced."""
        return self._connections.method("stream_stream", *words, **more)

    async def close(self) -> None:
        """End all calls and the connections."""
        await self._connections.close()


def _outcome(ended: Any) -> tuple[int, str | None]:
    """Return code and text of a call that has ended, which it tells without waiting."""
    code: grpc.StatusCode = now(ended.code())
    return code.value[0], now(ended.details())
