"""How spans begin and end here: few attributes at once, nothing at all where nothing is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from time import monotonic
from typing import Final, TypeAlias

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision
from opentelemetry.trace import (
    INVALID_SPAN,
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    NoOpTracer,
    ProxyTracerProvider,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    TracerProvider,
)

from weft.core.telemetry import RPC_METHOD, RPC_SERVICE, RPC_STATUS, RPC_SYSTEM, SCOPE
from weft.mesh.tracing.context import context_of, span_of, within
from weft.mesh.tracing.recording import LeanSpan, begin, usable
from weft.mesh.tracing.sampling import Certain
from weft.mesh.tracing.unsampled import Unsampled

__all__ = ["Attributes", "Tracers", "clip", "end_rpc", "fail", "method_attributes", "split_method"]

Attributes: TypeAlias = dict[str, str | int | bool]

_IDS: Final = RandomIdGenerator()
_SAMPLED: Final = trace.TraceFlags(trace.TraceFlags.SAMPLED | trace.TraceFlags.RANDOM_TRACE_ID)
_NOT_SAMPLED: Final = trace.TraceFlags(trace.TraceFlags.RANDOM_TRACE_ID)
_MAX_TEXT: Final = 256
_LOOK_SECONDS: Final = 0.25
"""How often a process without a provider is asked whether it has one now; each look reads the environment."""

_NOTHING: Final = Certain(ALWAYS_OFF)

_VERSION: Final = version("weft")


class Tracers:
    """The tracer to use: of the provider that was given, or else of the process's own, once it has one.

    Args:
        provider: None follows the global provider of OpenTelemetry.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._given = provider
        self._settled = False
        self._next_look = 0.0
        self._tracer: Tracer | None = None
        self._lean: SdkTracer | None = None
        self._certain: Certain | None = None
        self._follows_parent = True
        """Whether what is not sampled above is never recorded below; without a tracer nothing is."""

    def current(self) -> Tracer | None:
        """Return the tracer; None when nothing can be recorded."""
        if self._settled or (now := monotonic()) < self._next_look:
            return self._tracer
        self._next_look = now + _LOOK_SECONDS
        provider = self._given or trace.get_tracer_provider()
        if not isinstance(provider, ProxyTracerProvider):
            self._settled = True  # OpenTelemetry lets it be set once
            tracer = provider.get_tracer(SCOPE, _VERSION)
            self._tracer = None if isinstance(tracer, NoOpTracer) else tracer
            self._follows_parent = self._tracer is None
            if isinstance(tracer, SdkTracer):
                self._lean = tracer if usable(tracer) else None
                self._certain = Certain(tracer.sampler)
                self._follows_parent = self._certain.follows_parent
        return self._tracer

    def unrecorded_below(self, span: Span | None) -> bool:
        """Tell whether it is certain that nothing records a call below a span.

        Args:
            span: The current one; None where there is none.
        """
        if type(span) is not Unsampled:
            return False
        if not self._settled:
            self.current()
        return self._follows_parent

    def unrecorded_root(self) -> str:
        """Begin a trace, when it is certain that nothing records it; return its ``traceparent``, or nothing.

        Without a tracer no trace that begins here is recorded, neither here nor further on.
        """
        return _NOTHING.root() if self.current() is None else self.unrecorded(None)

    def unrecorded(self, span: Span | None) -> str:
        """Return the ``traceparent`` of a call below a span, when it is certain that nothing records it.

        Args:
            span: The current one; None where there is none.

        Returns:
            Nothing when a span is to be started, so that the sampler decides.
        """
        if not self._settled:
            self.current()
        if span is None or span is INVALID_SPAN:
            certain = self._certain
            return certain.root() if certain and certain.drops_roots else ""
        return span.header if type(span) is Unsampled and self._follows_parent else ""

    def start(self, name: str, context: Context, kind: SpanKind, attributes: Attributes) -> Span:
        """Begin a span; the result records nothing where its trace is not sampled, and still has ids.

        Args:
            name: What it is called.
            context: Holds its parent. One without a parent begins a trace.
            kind: Which end of what.
            attributes: What is known by now.
        """
        tracer = self.current()
        parent = span_of(context)
        known = INVALID_SPAN_CONTEXT if parent is None else parent.get_span_context()
        if not known.is_valid and (known.trace_id or tracer is None):
            # The trace has no span yet: it gets one that nobody records, so that all spans have a parent.
            known = self._root(tracer, known.trace_id, name, kind, attributes)
            parent = NonRecordingSpan(known)
            context = within(parent, context)
        if tracer is None:
            return NonRecordingSpan(known) if parent is None or parent.is_recording() else parent
        if self._lean is not None:
            return begin(self._lean, name, context, kind, attributes, self._certain)
        return tracer.start_span(name, context, kind, attributes)

    def _root(
        self, tracer: Tracer | None, trace_id: int, name: str, kind: SpanKind, attributes: Attributes
    ) -> SpanContext:
        """Make up the beginning of a trace, sampled as the configured sampler says."""
        chosen = trace_id or _IDS.generate_trace_id()
        sampled = tracer is not None
        if isinstance(tracer, SdkTracer):
            result = tracer.sampler.should_sample(Context(), chosen, name, kind, attributes, ())
            sampled = result.decision is Decision.RECORD_AND_SAMPLE
        return SpanContext(
            chosen,
            _IDS.generate_span_id(),
            is_remote=True,
            trace_flags=_SAMPLED if sampled else _NOT_SAMPLED,
        )

    def rooted(self, name: str) -> Context:
        """Return the current context, or one with a new trace where there is none yet."""
        context = otel.get_current()
        if trace.get_current_span(context).get_span_context().is_valid:
            return context
        return context_of(self._root(self.current(), 0, name, SpanKind.INTERNAL, {}), context)


def split_method(method: str) -> tuple[str, str]:
    """Return service and method of a full name such as ``/shop.v1.Carts/GetCart``."""
    service, _, name = method.removeprefix("/").rpartition("/")
    return service, name


_METHODS: Final[dict[str, tuple[str, Mapping[str, str]]]] = {}
_MAX_METHODS: Final = 4_096


def method_attributes(method: str) -> tuple[str, Mapping[str, str]]:
    """Return the name of the spans of an RPC, and what each says of its method."""
    known = _METHODS.get(method)
    if known is None:
        service, name = split_method(method)
        known = (
            method.removeprefix("/"),
            {RPC_SYSTEM: "grpc", RPC_SERVICE: service, RPC_METHOD: name},
        )
        if len(_METHODS) < _MAX_METHODS:  # a caller may make names up
            _METHODS[method] = known
    return known


def end_rpc(span: Span, code: int) -> None:
    """End the span of an RPC with its status."""
    if type(span) is LeanSpan:
        span.note(RPC_STATUS, code)
    else:
        span.set_attribute(RPC_STATUS, code)
    span.end()


def clip(text: str) -> str:
    """Keep a text short enough for a span."""
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def fail(span: Span, description: str) -> None:
    """Mark a span as failed."""
    span.set_status(StatusCode.ERROR, clip(description))
