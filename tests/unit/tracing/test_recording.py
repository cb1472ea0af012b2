"""Spans of ours are to a processor and to a handler what the SDK's own are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, Sampler, SamplingResult
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

from tests.support.spans import Spans
from weft.mesh.tracing import recording
from weft.mesh.tracing.context import context_of
from weft.mesh.tracing.recording import LeanSpan, begin, usable
from weft.mesh.tracing.spans import Tracers

PARENT = SpanContext(
    7 << 100, 9, is_remote=True, trace_flags=TraceFlags(3), trace_state=TraceState([("a", "1")])
)


def tracer_of(provider: TracerProvider) -> SdkTracer:
    tracer = provider.get_tracer("test")
    assert isinstance(tracer, SdkTracer)
    return tracer


def use(span: Span) -> None:
    """Do what a handler may do."""
    span.set_attribute("k", "v")
    span.set_attributes({"list": (1, 2)})
    span.set_attribute("wrong", object())  # type: ignore[arg-type] # the SDK leaves it out, and says so
    span.add_event("event", {"x": 1}, timestamp=5)
    span.add_link(SpanContext(3, 4, is_remote=True), {"y": 2})
    span.update_name("renamed")
    span.set_status(StatusCode.ERROR, "why")
    span.record_exception(ValueError("broken"), timestamp=6)
    span.end(end_time=10**18)


def shown(spans: Spans) -> dict[str, Any]:
    (span,) = spans.all
    found: dict[str, Any] = json.loads(span.to_json())
    found["context"].pop("span_id")
    found.pop("start_time")
    return found


def test_it_shows_what_the_sdk_s_own_shows() -> None:
    """Whatever is done to it."""
    ours, theirs = Spans(ALWAYS_ON), Spans(ALWAYS_ON)
    attributes: dict[str, Any] = {"rpc.system": "grpc", "weft.attempt": 1, "weft.retry": False}
    context = context_of(PARENT)
    span = begin(tracer_of(ours.provider), "name", context, SpanKind.SERVER, attributes)
    assert isinstance(span, LeanSpan)
    use(span)
    use(tracer_of(theirs.provider).start_span("name", context, kind=SpanKind.SERVER, attributes=attributes))
    assert shown(ours) == shown(theirs)
    (mine,), (other,) = ours.all, theirs.all
    assert mine.context is not None
    assert other.context is not None
    assert mine.context.trace_flags == other.context.trace_flags
    assert mine.instrumentation_scope == other.instrumentation_scope
    assert (mine.dropped_attributes, mine.dropped_events) == (other.dropped_attributes, other.dropped_events)


def test_after_its_end_it_never_changes(caplog: pytest.LogCaptureFixture) -> None:
    """It is handed to exporters as it is."""
    spans = Spans(ALWAYS_ON)
    span = begin(tracer_of(spans.provider), "name", Context(), SpanKind.CLIENT, {"a": 1})
    assert span.is_recording()
    span.end()
    before = shown(spans)
    span.set_attribute("k", "v")
    span.set_attributes({"l": 1})
    span.add_event("late")
    span.add_link(SpanContext(3, 4, is_remote=True))
    span.update_name("other")
    span.end()
    assert shown(spans) == before
    assert not span.is_recording()


def test_processors_see_it_begin() -> None:
    """They may add to it, such as one that copies baggage."""

    class Adding(SpanProcessor):
        def on_start(self, span: Any, parent_context: Context | None = None) -> None:
            assert parent_context is not None
            span.set_attribute("added", 1)

    spans = Spans(ALWAYS_ON)
    spans.provider.add_span_processor(Adding())
    begin(tracer_of(spans.provider), "name", context_of(PARENT), SpanKind.CLIENT, {"a": 1}).end()
    assert shown(spans)["attributes"] == {"a": 1, "added": 1}


class Choosing(Sampler):
    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
        return SamplingResult(self._decision, {"by": "sampler"}, TraceState([("s", "1")]))

    def get_description(self) -> str:
        return "choosing"


@pytest.mark.parametrize("decision", list(Decision))
def test_the_sampler_s_word_counts(decision: Decision) -> None:
    """Its decision, its attributes and its state, as with the SDK's own."""
    tracer = tracer_of(TracerProvider(sampler=Choosing(decision), shutdown_on_exit=False))
    for context in (context_of(PARENT), Context()):
        ours = begin(tracer, "name", context, SpanKind.CLIENT, {})
        theirs = tracer.start_span("name", context)
        assert ours.is_recording() is theirs.is_recording()
        mine, other = ours.get_span_context(), theirs.get_span_context()
        assert (mine.trace_flags, mine.trace_state, mine.is_valid) == (
            other.trace_flags,
            other.trace_state,
            True,
        )
        assert (mine.trace_id == PARENT.trace_id) is (other.trace_id == PARENT.trace_id)


@pytest.mark.parametrize(
    "limits", [SpanLimits(max_span_attributes=3), SpanLimits(max_span_attribute_length=5)]
)
def test_tight_limits_are_the_sdk_s_business(limits: SpanLimits) -> None:
    """Then its own spans are used, which count and cut."""
    provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
    assert not usable(tracer_of(provider))
    span = Tracers(provider).start("name", Context(), SpanKind.CLIENT, {"a": "123456789"})
    assert span.is_recording()
    assert not isinstance(span, LeanSpan)


def test_an_sdk_that_keeps_spans_in_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own spans are used; nothing breaks."""
    provider = Spans(ALWAYS_ON).provider
    assert usable(tracer_of(provider))
    monkeypatch.delattr(recording.LeanSpan, "_lock")
    assert not usable(tracer_of(provider))
    assert not isinstance(Tracers(provider).start("n", Context(), SpanKind.CLIENT, {}), LeanSpan)


def test_a_trace_without_a_span_gets_a_root() -> None:
    """A trace id alone is sampled as the root sampler says, and kept."""
    alone = context_of(SpanContext(7, 0, is_remote=True))
    for sampler, recorded in ((ALWAYS_ON, True), (ALWAYS_OFF, False)):
        span = Tracers(Spans(sampler).provider).start("name", alone, SpanKind.SERVER, {})
        assert span.is_recording() is recorded
        assert span.get_span_context().trace_id == 7
        assert span.get_span_context().is_valid
