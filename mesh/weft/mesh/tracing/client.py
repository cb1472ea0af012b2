"""Traces outgoing RPCs: one CLIENT span per attempt, and its context on the wire."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, TracerProvider

from weft.core.metadata import BAGGAGE, TRACEPARENT, TRACESTATE
from weft.core.telemetry import (
    ATTEMPT,
    BALANCER,
    INSTANCE_ID,
    PEER_ADDRESS,
    PEER_PORT,
    RETRY,
    SERVER_ADDRESS,
    SERVER_PORT,
    SERVICE,
)
from weft.discovery.model import Endpoint
from weft.mesh.tracing.context import extract, span_of, wire_headers
from weft.mesh.tracing.port import Metadata
from weft.mesh.tracing.spans import Attributes, Tracers, end_rpc, fail, method_attributes

__all__ = ["ClientSpans", "RpcTracer", "address_attributes"]

_OURS: Final = frozenset({TRACEPARENT, TRACESTATE, BAGGAGE})
_MAX_KNOWN: Final = 4_096


class ClientSpans:
    """Begins and ends CLIENT spans of RPCs, and puts their context into the metadata.

    Args:
        provider: Where spans go; None follows the global provider of OpenTelemetry.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracers = Tracers(provider)

    def begin(
        self, method: str, metadata: Metadata, attributes: Mapping[str, str | int | bool]
    ) -> tuple[Span | None, Metadata]:
        """Begin a span unless nothing is recorded, and return the metadata to send.

        Args:
            method: Full name of the RPC.
            metadata: What the caller sends. Trace headers in it come before the current context.
            attributes: What is said of the call beside its method.
        """
        context = otel.get_current()
        sent = self.unrecorded(context, metadata)
        return (None, sent) if sent is not None else self.start(context, method, metadata, attributes)

    def start(
        self, context: Context, method: str, metadata: Metadata, attributes: Mapping[str, str | int | bool]
    ) -> tuple[Span | None, Metadata]:
        """Begin a span, once it is known that something may record it."""
        if metadata:
            context, metadata = _taken_over(context, metadata)
        tracer = self._tracers.current()
        if tracer is None:
            current = trace.get_current_span(context).get_span_context()
            return None, (*wire_headers(current, context), *metadata)
        name, of_method = method_attributes(method)
        span = self._tracers.start(name, context, SpanKind.CLIENT, {**of_method, **attributes})
        sent = (*wire_headers(span.get_span_context(), context), *metadata)
        return (span if span.is_recording() else None), sent

    def unrecorded(self, context: Context, metadata: Metadata) -> Metadata | None:
        """Return the metadata to send when it is certain that nothing records the call, else None."""
        span = span_of(context)
        if len(context) > (span is not None) or (metadata and any(key in _OURS for key, _ in metadata)):
            return None  # baggage, or headers by hand
        header = self._tracers.unrecorded(span)
        return ((TRACEPARENT, header), *metadata) if header else None

    def end(self, span: Span | None, code: int, details: str | None) -> None:
        """End a span; a status other than OK is a failure of the call."""
        if span is None:
            return
        if code:
            fail(span, details or "")
        end_rpc(span, code)


def _taken_over(context: Context, metadata: Metadata) -> tuple[Context, Metadata]:
    """Read the trace headers that the caller wrote by hand, which the span's own then replace."""
    if not any(key in _OURS for key, _ in metadata):
        return context, metadata
    rest = tuple(entry for entry in metadata if entry[0] not in _OURS)
    return extract((entry for entry in metadata if entry[0] in _OURS), context), rest


class RpcTracer:
    """Traces the attempts of calls to services of the mesh; a ``CallTracer``.

    Args:
        provider: Where spans go; None follows the global provider of OpenTelemetry.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._spans = ClientSpans(provider)
        self._endpoints: dict[tuple[str, int, str], Attributes] = {}

    def start(
        self,
        method: str,
        metadata: Metadata,
        *,
        service: str,
        endpoint: Endpoint,
        attempt: int,
        balancer: str,
    ) -> tuple[Span | None, Metadata]:
        """Begin the span of one attempt: see ``CallTracer.start``."""
        context = otel.get_current()
        if (sent := self._spans.unrecorded(context, metadata)) is not None:
            return None, sent
        attributes = {
            **self._of_endpoint(service, endpoint),
            ATTEMPT: attempt,
            RETRY: attempt > 1,
            BALANCER: balancer,
        }
        return self._spans.start(context, method, metadata, attributes)

    def end(self, span: Span | None, code: int, details: str | None) -> None:
        """End a span: see ``CallTracer.end``."""
        self._spans.end(span, code, details)

    def _of_endpoint(self, service: str, endpoint: Endpoint) -> Attributes:
        key = (endpoint.host, endpoint.port, endpoint.instance_id)
        known = self._endpoints.get(key)
        if known is None or known[SERVICE] != service:
            known = {
                SERVICE: service,
                INSTANCE_ID: endpoint.instance_id,
                **address_attributes(endpoint.address),
            }
            if len(self._endpoints) >= _MAX_KNOWN:  # instances come and go for as long as the process lives
                self._endpoints.clear()
            self._endpoints[key] = known
        return known


def address_attributes(address: str) -> Attributes:
    """Return what a span says of ``host:port``."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return {SERVER_ADDRESS: address}
    bare = host.removeprefix("[").removesuffix("]")
    known: Attributes = {SERVER_ADDRESS: bare, SERVER_PORT: int(port)}
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return known
    return {**known, PEER_ADDRESS: bare, PEER_PORT: int(port)}
