"""What is not sampled is passed on as it came, and costs next to nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import SpanKind

from weft.mesh.tracing.context import format_traceparent, parse_traceparent
from weft.mesh.tracing.sampling import Certain
from weft.mesh.tracing.unsampled import unsampled

HEADER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


class Odd(Sampler):
    """Decides by the name, which nobody can know beforehand."""

    def should_sample(self, *_: object, **__: object) -> SamplingResult:
        return SamplingResult(Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        return "Odd"


@given(st.text(alphabet="0123456789abcdef-xF ", min_size=54, max_size=56) | st.just(HEADER))
def test_takes_what_the_parser_takes_and_is_not_sampled(text: str) -> None:
    """The quick look never takes a header that the parser refuses, nor a sampled one."""
    quick, parsed = unsampled(text), parse_traceparent(text)
    if quick is not None:
        assert parsed is not None
        assert not parsed.trace_flags.sampled
        assert quick.get_span_context() == parsed
        assert format_traceparent(quick.get_span_context()) == text


@pytest.mark.parametrize(
    "text",
    [
        HEADER[:-1] + "1",
        "01" + HEADER[2:],
        HEADER.replace("0af7", "0AF7"),
        f"00-{'0' * 32}-b7ad6b7169203331-00",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-00",
        HEADER.replace("6519", "6-19"),
        HEADER + "-x",
        "",
    ],
)
def test_leaves_everything_else_to_the_parser(text: str) -> None:
    """Sampled, of another version, malformed: that is not its business."""
    assert unsampled(text) is None


def test_is_a_span_of_its_ids() -> None:
    """Whoever asks OpenTelemetry for the current span gets the ids of the header."""
    span = unsampled(HEADER)
    assert span is not None
    context = trace.set_span_in_context(span, Context())
    found = trace.get_current_span(context)
    assert not found.is_recording()
    assert found.get_span_context().trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert found.get_span_context().is_remote


@pytest.mark.parametrize(
    ("sampler", "follows", "drops"),
    [
        (ALWAYS_OFF, True, 1.0),
        (ALWAYS_ON, False, 0.0),
        (TraceIdRatioBased(0.25), False, 0.75),
        (ParentBased(ALWAYS_OFF), True, 1.0),
        (ParentBased(ALWAYS_ON), True, 0.0),
        (ParentBasedTraceIdRatio(0.25), True, 0.75),
        (ParentBasedTraceIdRatio(0.0), True, 1.0),
        (ParentBased(ALWAYS_ON, remote_parent_not_sampled=ALWAYS_ON), False, 0.0),
        (Odd(), False, 0.0),
    ],
    ids=lambda it: it.get_description()[:40] if isinstance(it, Sampler) else None,
)
def test_knows_what_a_sampler_leaves_out(sampler: Sampler, *, follows: bool, drops: float) -> None:
    """It agrees with the sampler on every root that it drops, and never drops what may be sampled."""
    dropping = Certain(sampler)
    assert dropping.follows_parent is follows
    roots = [dropping.root() for _ in range(400)]
    assert sum(map(bool, roots)) / len(roots) == pytest.approx(drops, abs=0.12)
    for root in filter(None, roots):
        found = parse_traceparent(root)
        assert found is not None
        decided = sampler.should_sample(Context(), found.trace_id, "x", SpanKind.CLIENT, {}, ())
        assert decided.decision is Decision.DROP


def test_the_parent_decides_as_the_sampler_would() -> None:
    """Where it says that spans follow their parent, the sampler drops the children of an unsampled one."""
    span = unsampled(HEADER)
    assert span is not None
    context = trace.set_span_in_context(span, Context())
    for sampler in (ParentBased(ALWAYS_ON), ParentBasedTraceIdRatio(1.0), ALWAYS_OFF):
        assert Certain(sampler).follows_parent
        number = random.getrandbits(128)
        assert sampler.should_sample(context, number, "x", SpanKind.SERVER, {}, ()).decision is Decision.DROP
