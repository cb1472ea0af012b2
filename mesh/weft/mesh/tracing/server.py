"""Traces incoming RPCs: reads the caller's context, and makes a SERVER span the handler's current one."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Final

import grpc
from opentelemetry import context as otel
from opentelemetry.trace import Span, SpanKind, TracerProvider

from weft.core.context import set_deadline
from weft.core.errors import Code, WeftError
from weft.core.telemetry import PEER_ADDRESS, PEER_PORT, REASON
from weft.mesh.serving import Call, End
from weft.mesh.tracing.context import extract, span_of, within
from weft.mesh.tracing.spans import Attributes, Tracers, clip, end_rpc, fail, method_attributes
from weft.mesh.tracing.unsampled import Unsampled

__all__ = ["CallerDeadline", "Tracing"]

_FAULTS: Final = frozenset(
    {
        Code.UNKNOWN,
        Code.DEADLINE_EXCEEDED,
        Code.UNIMPLEMENTED,
        Code.INTERNAL,
        Code.UNAVAILABLE,
        Code.DATA_LOSS,
    }
)
"""What is a fault of the server (semantic conventions); any other status is an answer."""

_MAX_PEERS: Final = 4_096


class CallerDeadline:
    """Keeps the caller's deadline as ``weft.core.context.current_deadline`` of the handler."""

    def on_start(self, call: Call) -> None:
        """Take the deadline over."""
        left: float | None = call.context.time_remaining()
        set_deadline(None if left is None else time.monotonic() + left)


class Tracing:
    """The concern that traces: the outermost, so that all others run within the span.

    A call without a trace begins one. Where nothing is sampled no span is
    started, and the handler still has ids and context to pass on.

    Args:
        provider: Where spans go; None follows the global provider of OpenTelemetry.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracers = Tracers(provider)
        self._peers: dict[str, Attributes] = {}

    def on_start(self, call: Call) -> End | None:
        """Begin the span, and make it current; it ends with the status that the caller gets."""
        context = extract(call.sent)
        above = span_of(context)
        if above is None and (header := self._tracers.unrecorded_root()):
            otel.attach(within(Unsampled(header), context))
            return None
        if self._tracers.unrecorded_below(above):
            otel.attach(context)
            return None
        name, of_method = method_attributes(call.method)
        if self._tracers.current() is None:
            span = self._tracers.start(name, context, SpanKind.SERVER, {})
        else:
            attributes = {**of_method, **self._of_peer(call.context.peer())}
            span = self._tracers.start(name, context, SpanKind.SERVER, attributes)
        otel.attach(within(span, context))
        return partial(_finish, span) if span.is_recording() else None

    def _of_peer(self, peer: str) -> Attributes:
        """Return what a span says of who called, given as gRPC writes it: ``ipv4:127.0.0.1:4711``."""
        known = self._peers.get(peer)
        if known is None:
            if len(self._peers) >= _MAX_PEERS:
                self._peers.clear()
            known = self._peers[peer] = _peer_attributes(peer)
        return known


def _peer_attributes(peer: str) -> Attributes:
    scheme, _, address = peer.partition(":")
    host, _, port = address.replace("%5B", "[").replace("%5D", "]").rpartition(":")
    if not scheme.startswith("ipv") or not port.isdigit():
        return {PEER_ADDRESS: peer} if peer else {}
    return {PEER_ADDRESS: host.removeprefix("[").removesuffix("]"), PEER_PORT: int(port)}


def _finish(span: Span, call: Call, error: WeftError | None) -> None:
    code, details = _status(call, error)
    if error is not None:
        span.set_attribute(REASON, str(error.reason))
    raised = call.exception
    if code in _FAULTS:
        if isinstance(raised, Exception) and not isinstance(raised, WeftError | grpc.aio.AbortError):
            span.record_exception(raised)
        fail(span, details)
    elif code:
        span.add_event("status", {"rpc.grpc.status_message": clip(details)} if details else None)
    end_rpc(span, int(code))


def _status(call: Call, error: WeftError | None) -> tuple[Code, str]:
    """Return the status that a call ends with, also where the handler set it by hand."""
    if error is not None:
        return error.code, error.message
    raised = call.exception
    if raised is not None and not isinstance(raised, grpc.aio.AbortError):
        return Code.UNKNOWN, f"{type(raised).__name__}: {raised}"
    code: Any = call.context.code()  # a member of the enumeration or its number, as the handler said it
    if code is None:
        return Code.OK, ""
    number = code.value[0] if isinstance(code, grpc.StatusCode) else int(code)
    return Code(number), _text(call.context.details())


def _text(details: str | bytes | None) -> str:
    return details.decode("utf-8", "replace") if isinstance(details, bytes) else details or ""
