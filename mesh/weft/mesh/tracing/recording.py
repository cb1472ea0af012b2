"""A span of the SDK that costs a quarter: what every RPC has is kept as it is, the rest made when needed.

The SDK's own makes locks, bounded lists and copies for each span (17 µs against 4,
measured). This one is filled by us with a few values that need no check; whatever a
handler adds goes the SDK's own way. It leans on how the SDK keeps a span, so
``usable`` tries that once, and where it does not hold any more the SDK's own is used.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, MutableMapping
from time import time_ns
from typing import Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from weft.mesh.tracing.context import span_of
from weft.mesh.tracing.sampling import Certain

__all__ = ["LeanSpan", "begin", "usable"]

_log = logging.getLogger("weft.tracing")

_UNSET: Final = Status(StatusCode.UNSET)
_SAMPLED: Final = TraceFlags.SAMPLED
_RANDOM: Final = TraceFlags.RANDOM_TRACE_ID
_FLAGS: Final = tuple(TraceFlags(number) for number in range(4))
_ROOM: Final = 32
"""More attributes than we ever set; a lower limit of the SDK needs its own way of counting."""


class LeanSpan(SdkSpan):
    """A span that is made by ``begin``."""

    _kept: MutableMapping[str, Any]
    _lock = threading.Lock()  # all share it: it is held for the setting of one value
    _sampler = _trace_config = _instrumentation_info = _record_end_metrics = None
    _record_exception = _set_status_on_exception = True
    _end_time: int | None = None
    _events: Any = ()
    _links: Any = ()
    _status = _UNSET

    def __init__(  # the base's own is what costs
        self,
        tracer: SdkTracer,
        processor: SpanProcessor,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any],
    ) -> None:
        self._name = name
        self._context = context
        self._parent = parent
        self._kind = kind
        self._attributes = self._kept = attributes
        self._start_time = time_ns()
        self._resource = tracer.resource
        self._span_processor = processor
        self._limits = tracer._span_limits  # noqa: SLF001 - see the head of this file
        self._instrumentation_scope = tracer._instrumentation_scope  # noqa: SLF001 - same

    def note(self, key: str, value: int) -> None:
        """Add an attribute of ours."""
        self._kept[key] = value

    def _bounded(self) -> None:
        if type(self._kept) is dict:
            self._kept = self._attributes = BoundedAttributes(
                self._limits.max_span_attributes,
                self._kept,
                immutable=False,
                max_value_len=self._limits.max_span_attribute_length,
            )

    def set_attribute(self, key: str, value: Any) -> None:
        """Add an attribute, checked and cut as the SDK does."""
        self._bounded()
        super().set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes, checked and cut as the SDK does."""
        self._bounded()
        super().set_attributes(attributes)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        """Add an event."""
        if not self._events:
            self._events = BoundedList(self._limits.max_events)
        super().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Add a link."""
        if not self._links:
            self._links = BoundedList(self._limits.max_links)
        super().add_link(context, attributes)

    def end(self, end_time: int | None = None) -> None:
        """End it; from then on it never changes, so that it needs no copy."""
        if self._end_time is not None:
            return
        self._end_time = time_ns() if end_time is None else end_time
        if type(self._kept) is BoundedAttributes:
            self._kept._immutable = True  # noqa: SLF001 - see the head of this file
        self._span_processor.on_end(self)


def begin(
    tracer: SdkTracer,
    name: str,
    context: Context,
    kind: SpanKind,
    attributes: Mapping[str, Any],
    certain: Certain | None = None,
) -> Span:
    """Begin a span, as ``Tracer.start_span`` does.

    Args:
        tracer: Whose.
        name: What it is called.
        context: Holds its parent.
        kind: Which end of what.
        attributes: What is known by now; few, of plain types.
        certain: What the sampler need not be asked.
    """
    above = span_of(context)
    parent = above.get_span_context() if above is not None else None
    ids = tracer.id_generator
    flags: int
    state: TraceState | None
    if parent is not None and parent.is_valid:
        trace_id, _, _, flags, state, _ = parent
        taken = certain is not None and certain.takes_children and flags & _SAMPLED
    else:
        parent, trace_id, state = None, ids.generate_trace_id(), None
        flags = _RANDOM if ids.is_trace_id_random() else 0
        taken = certain is not None and certain.takes_roots
    decision = Decision.RECORD_AND_SAMPLE
    if not taken:
        result = tracer.sampler.should_sample(context, trace_id, name, kind, attributes, ())
        decision, attributes, state = result.decision, result.attributes, result.trace_state
    sampled = _SAMPLED if decision is Decision.RECORD_AND_SAMPLE else 0
    own = SpanContext(trace_id, ids.generate_span_id(), False, _FLAGS[flags & _RANDOM | sampled], state)
    if decision is Decision.DROP:
        return NonRecordingSpan(own)
    processor = tracer.span_processor
    span = LeanSpan(tracer, processor, name, own, parent, kind, dict(attributes))
    processor.on_start(span, parent_context=context)
    return span


def usable(tracer: SdkTracer) -> bool:
    """Tell whether lean spans do with this tracer what the SDK's own would."""
    try:
        return _tried(tracer)
    except Exception as error:  # a later SDK keeps its spans in another way: then its own are used
        _log.debug("spans of the SDK are used", exc_info=error)
        return False


def _tried(tracer: SdkTracer) -> bool:
    limits = tracer._span_limits  # noqa: SLF001 - see the head of this file
    most, length = limits.max_span_attributes, limits.max_span_attribute_length
    if length is not None or (most is not None and most < _ROOM) or not tracer._is_enabled():  # noqa: SLF001 - same
        return False
    context = SpanContext(1, 2, is_remote=False)
    span = LeanSpan(tracer, SpanProcessor(), "probe", context, None, SpanKind.CLIENT, {"a": 1})
    span.note("b", 2)
    span.set_attribute("c", 3)
    span.set_attributes({"d": 4})
    span.add_event("event", {"e": 5})
    span.add_link(SpanContext(3, 4, is_remote=True))
    span.record_exception(ValueError())
    span.set_status(StatusCode.ERROR, "why")
    recording = span.is_recording()
    span.end()
    shown = span.to_json()
    return (
        recording
        and not span.is_recording()
        and dict(span.attributes or {}) == {"a": 1, "b": 2, "c": 3, "d": 4}
        and [event.name for event in span.events] == ["event", "exception"]
        and len(span.links) == 1
        and span.status.status_code is StatusCode.ERROR
        and span.context is context
        and span.start_time is not None
        and '"probe"' in shown
    )
