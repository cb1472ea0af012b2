"""What is certain of a sampler is what it would have said."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from weft.mesh.tracing.sampling import Certain

SAMPLERS: list[tuple[Sampler, bool, bool]] = [
    (ALWAYS_ON, True, True),
    (ALWAYS_OFF, False, False),
    (TraceIdRatioBased(0.5), False, False),
    (ParentBased(ALWAYS_ON), True, True),
    (ParentBased(ALWAYS_OFF), False, True),
    (ParentBasedTraceIdRatio(0.5), False, True),
    (ParentBased(ALWAYS_ON, remote_parent_sampled=ALWAYS_OFF), True, False),
    (ParentBased(ALWAYS_ON, local_parent_sampled=TraceIdRatioBased(0.5)), True, False),
    (ParentBased(ParentBased(ALWAYS_ON)), False, False),  # not understood: it is asked each time
]


@pytest.mark.parametrize(("sampler", "roots", "children"), SAMPLERS)
def test_knows_what_a_sampler_takes(sampler: Sampler, *, roots: bool, children: bool) -> None:
    """What it takes for certain the sampler takes whenever it is asked, and leaves as it is."""
    certain = Certain(sampler)
    assert (certain.takes_roots, certain.takes_children) == (roots, children)
    parents = [SpanContext(7, 8, is_remote=remote, trace_flags=TraceFlags(1)) for remote in (True, False)]
    contexts = [trace.set_span_in_context(NonRecordingSpan(each), Context()) for each in parents]
    asked = ([Context()] if roots else []) + (contexts if children else [])
    for context in asked:
        for number in range(50):
            said = sampler.should_sample(context, number << 120, "x", SpanKind.CLIENT, {"a": 1}, ())
            assert said.decision is Decision.RECORD_AND_SAMPLE
            assert dict(said.attributes) == {"a": 1}
            assert not said.trace_state
