"""Traces outgoing HTTP requests: one CLIENT span per attempt, and its context in the headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, TracerProvider

from weft.core.metadata import BAGGAGE, TRACE_ID, TRACEPARENT, TRACESTATE
from weft.core.telemetry import (
    ATTEMPT,
    BALANCER,
    ERROR_TYPE,
    HTTP_METHOD,
    HTTP_STATUS,
    INSTANCE_ID,
    RETRY,
    SERVICE,
    URL,
)
from weft.discovery.model import Endpoint
from weft.mesh.tracing.client import address_attributes
from weft.mesh.tracing.context import wire_headers
from weft.mesh.tracing.spans import Tracers, fail

__all__ = ["HttpTracer"]

_OURS: Final = frozenset({TRACEPARENT, TRACESTATE, BAGGAGE, TRACE_ID})


class HttpTracer:
    """Traces the attempts of HTTP requests to services of the mesh.

    Args:
        provider: Where spans go; None follows the global provider of OpenTelemetry.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracers = Tracers(provider)

    def start(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        service: str,
        endpoint: Endpoint,
        attempt: int,
        balancer: str,
    ) -> tuple[Span | None, dict[str, str]]:
        """Begin the span of one attempt, unless nothing is recorded.

        Args:
            method: Such as ``POST``.
            url: The span leaves its query out, which may hold what is nobody's business.
            headers: What the caller sends.
            service: The mesh's name of the service.
            endpoint: Who is called.
            attempt: 1, 2, …
            balancer: Which policy chose the endpoint.

        Returns:
            The span, and the headers to send, with the trace context in them.
        """
        context = otel.get_current()
        if self._tracers.current() is None:
            found = trace.get_current_span(context).get_span_context()
            span = None
        else:
            started = self._tracers.start(
                method,
                context,
                SpanKind.CLIENT,
                {
                    HTTP_METHOD: method,
                    URL: url.partition("?")[0],
                    SERVICE: service,
                    INSTANCE_ID: endpoint.instance_id,
                    **address_attributes(endpoint.address),
                    ATTEMPT: attempt,
                    RETRY: attempt > 1,
                    BALANCER: balancer,
                },
            )
            found = started.get_span_context()
            span = started if started.is_recording() else None
        sent = {key: value for key, value in headers.items() if key.lower() not in _OURS}
        sent.update(wire_headers(found, context))
        if found.is_valid:
            sent[TRACE_ID] = f"{found.trace_id:032x}"
        return span, sent

    def end(self, span: Span | None, status: int, problem: str | None) -> None:
        """End a span.

        Args:
            span: None is fine.
            status: Of the answer; 0 when there was none.
            problem: Why there was none.
        """
        if span is None:
            return
        if status:
            span.set_attribute(HTTP_STATUS, status)
        if status >= 400 or not status:
            span.set_attribute(ERROR_TYPE, str(status) if status else problem or "no answer")
            fail(span, problem or "")
        span.end()
