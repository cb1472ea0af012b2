"""W3C Trace Context and Baggage: what a call brings, and what is sent on.

What is malformed is ignored, as the specifications say: it starts a new trace
and is never an error, nor a log line that a caller could produce at will.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes

from opentelemetry import baggage, trace
from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags, TraceState

from weft.core.metadata import BAGGAGE, TRACE_ID, TRACEPARENT, TRACESTATE
from weft.mesh.tracing.unsampled import Unsampled, unsampled

__all__ = [
    "MAX_BAGGAGE_BYTES",
    "MAX_TRACESTATE_CHARS",
    "Headers",
    "context_of",
    "current_ids",
    "extract",
    "format_baggage",
    "format_traceparent",
    "inject",
    "parse_baggage",
    "parse_trace_id",
    "parse_traceparent",
    "parse_tracestate",
    "span_of",
    "wire_headers",
    "within",
]

Headers = tuple[tuple[str, str], ...]

MAX_TRACESTATE_CHARS: Final = 512
"""What the specification asks to pass on at least; more is dropped: gRPC's room for metadata is small."""

MAX_BAGGAGE_BYTES: Final = 4_096
"""Of the baggage that is read or sent; what exceeds it is dropped, entry by entry."""

_MAX_STATE_MEMBERS: Final = 32
_MAX_BAGGAGE_MEMBERS: Final = 64
_KNOWN_FLAGS: Final = 0x03
"""Sampled and random; what the others will mean is not known, so they are not passed on."""

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{32}", re.ASCII)
_STATE_MEMBER: Final = re.compile(
    r"([a-z][_0-9a-z\-*/]{0,255}|[a-z0-9][_0-9a-z\-*/]{0,240}@[a-z][_0-9a-z\-*/]{0,13})"
    r"=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])",
    re.ASCII,
)
_BAGGAGE_KEY: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_BAGGAGE_VALUE: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*", re.ASCII)
_BAGGAGE_SAFE: Final = "!#$&'()*/:<=>?@[]^_`{|}~-."
"""What stands for itself in a value that is written. A plus does not: some readers take it for a space."""

_INVALID: Final = trace.INVALID_SPAN_CONTEXT
_NO_STATE: Final = TraceState()
_FLAGS: Final = tuple(TraceFlags(number) for number in range(_KNOWN_FLAGS + 1))

_SPAN: Final = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))
"""Under which key OpenTelemetry keeps the current span."""

_RECEIVED: Final = otel.create_key("weft-baggage-received")
"""Keeps the header that came beside what was read of it, so that properties survive the hop."""


def parse_traceparent(text: str) -> SpanContext | None:
    """Read a ``traceparent`` header; None when it is none."""
    match = _TRACEPARENT.fullmatch(text.strip(" \t"))
    if match is None:
        return None
    version, trace_id, span_id, flags, further = match.groups()
    if version == "ff" or (further is not None and version == "00"):
        return None
    known = _FLAGS[int(flags, 16) & _KNOWN_FLAGS]
    found = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=known)
    return found if found.is_valid else None


def format_traceparent(span: SpanContext) -> str:
    """Write a ``traceparent`` header."""
    trace_id, span_id, _, flags, *_ = span
    return f"00-{trace_id:032x}-{span_id:016x}-{flags & _KNOWN_FLAGS:02x}"


def parse_trace_id(text: str) -> int:
    """Read the 32 hexadecimal digits of a trace id; 0 when they are not."""
    return int(text, 16) if _TRACE_ID.fullmatch(text) else 0


def parse_tracestate(text: str) -> TraceState:
    """Read a ``tracestate`` header, several joined by commas; empty when any of it is malformed."""
    if len(text) > MAX_TRACESTATE_CHARS:
        return _NO_STATE
    members: dict[str, str] = {}
    for member in text.split(","):
        stripped = member.strip(" \t")
        if not stripped:
            continue
        match = _STATE_MEMBER.fullmatch(stripped)
        if match is None or match[1] in members:
            return _NO_STATE
        members[match[1]] = match[2]
    return TraceState(list(members.items())) if len(members) <= _MAX_STATE_MEMBERS else _NO_STATE


def parse_baggage(text: str) -> dict[str, str]:
    """Read a ``baggage`` header; malformed entries are left out, and properties of the others."""
    found: dict[str, str] = {}
    if len(text) > MAX_BAGGAGE_BYTES:
        return found
    for member in text.split(",", _MAX_BAGGAGE_MEMBERS)[:_MAX_BAGGAGE_MEMBERS]:
        key, equals, rest = member.partition("=")
        name, value = key.strip(" \t"), rest.partition(";")[0].strip(" \t")
        if equals and _BAGGAGE_KEY.fullmatch(name) and _BAGGAGE_VALUE.fullmatch(value):
            found[name] = unquote_to_bytes(value).decode("utf-8", "replace")
    return found


def format_baggage(values: Mapping[str, object]) -> str:
    """Write a ``baggage`` header; what cannot be written, or exceeds the limits, is left out."""
    members: list[str] = []
    size = -1
    for key, value in values.items():
        if not _BAGGAGE_KEY.fullmatch(key) or len(members) == _MAX_BAGGAGE_MEMBERS:
            continue
        member = f"{key}={quote(str(value), safe=_BAGGAGE_SAFE, errors='replace')}"
        if size + 1 + len(member) <= MAX_BAGGAGE_BYTES:
            members.append(member)
            size += 1 + len(member)
    return ",".join(members)


def extract(headers: Iterable[tuple[str, str | bytes]], onto: Context | None = None) -> Context:
    """Return a context with the trace and the baggage that headers bring.

    Args:
        headers: Metadata of a call, keys in lower case.
        onto: What to add them to; by default an empty context, so that nothing
            of the receiving task gets in.
    """
    entries = tuple(headers)
    by_key = dict(entries)
    if len(by_key) == len(entries) and _BESIDES.isdisjoint(by_key):
        alone = by_key.get(TRACEPARENT)
        span = unsampled(alone) if isinstance(alone, str) else None
        if span is not None:
            return within(span, onto)
    parents, states, bags, trace_ids = _pick(entries)
    context = Context() if onto is None else onto
    if bags:
        context = _with_baggage(context, ",".join(bags))
    if len(parents) == 1:
        parent = parse_traceparent(parents[0])
        if parent is not None:
            return context_of(_with_state(parent, ",".join(states)) if states else parent, context)
    if not parents and len(trace_ids) == 1 and (trace_id := parse_trace_id(trace_ids[0])):
        # A trace without a span: whoever starts the first one decides whether it is sampled.
        return context_of(SpanContext(trace_id, 0, is_remote=True), context)
    return context


_KINDS: Final = {TRACEPARENT: 0, TRACESTATE: 1, BAGGAGE: 2, TRACE_ID: 3}
_BESIDES: Final = frozenset(_KINDS) - {TRACEPARENT}
"""What is read beside a ``traceparent``."""


def _pick(headers: Iterable[tuple[str, str | bytes]]) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the headers that matter, by kind."""
    found: tuple[list[str], list[str], list[str], list[str]] = ([], [], [], [])
    for key, value in headers:
        if key in _KINDS and isinstance(value, str):
            found[_KINDS[key]].append(value)
    return found


def _with_state(span: SpanContext, text: str) -> SpanContext:
    return SpanContext(
        span.trace_id,
        span.span_id,
        is_remote=True,
        trace_flags=span.trace_flags,
        trace_state=parse_tracestate(text),
    )


def _with_baggage(context: Context, text: str) -> Context:
    values = parse_baggage(text)
    for key, value in values.items():
        context = baggage.set_baggage(key, value, context)
    return otel.set_value(_RECEIVED, (text, values), context) if values else context


def context_of(span: SpanContext, onto: Context | None = None) -> Context:
    """Return a context in which a span of elsewhere, or one that is not recorded, is the current one."""
    return within(NonRecordingSpan(span), onto)


def within(span: Span, onto: Context | None = None) -> Context:
    """Return a context in which a span is the current one."""
    return Context({**onto, _SPAN: span}) if onto else Context({_SPAN: span})


def wire_headers(span: SpanContext, context: Context) -> Headers:
    """Return the headers that carry a span and the baggage of a context on."""
    parent: Headers = ((TRACEPARENT, format_traceparent(span)),) if span.is_valid else ()
    if parent and (state := span.trace_state):
        parent = (*parent, (TRACESTATE, state.to_header()))
    carried = _baggage_header(context)
    return (*parent, (BAGGAGE, carried)) if carried else parent


def _baggage_header(context: Context) -> str:
    if len(context) <= (_SPAN in context):
        return ""
    values = baggage.get_all(context)
    if not values:
        return ""
    received = otel.get_value(_RECEIVED, context)
    if isinstance(received, tuple) and received[1] == values:
        return str(received[0])
    return format_baggage(values)


def span_of(context: Context) -> Span | None:
    """Return the current span of a context; None when there is none."""
    kept: Any = context.get(_SPAN)
    span: Span | None = kept
    return span


def inject(headers: dict[str, str], context: Context | None = None) -> None:
    """Add the current trace and baggage to the headers of an outgoing request, of any protocol.

    Args:
        headers: Keys in lower case; changed in place. What stands there already is replaced.
        context: Whose; by default the current one.
    """
    found = otel.get_current() if context is None else context
    headers.update(wire_headers(trace.get_current_span(found).get_span_context(), found))


def current_ids() -> dict[str, str]:
    """Return ``trace_id`` and ``span_id`` of what is running, for a log line; empty when there is none."""
    current = trace.get_current_span()
    if type(current) is Unsampled:
        trace_id, span_id = current.ids()
        return {"trace_id": trace_id, "span_id": span_id}
    span = current.get_span_context()
    if span is _INVALID or not span.is_valid:
        return {}
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
