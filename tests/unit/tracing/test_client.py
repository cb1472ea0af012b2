"""What a call sends on."""

from __future__ import annotations

from opentelemetry import baggage
from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from tests.support.spans import Spans
from weft.mesh._calls.sent import Sent
from weft.mesh.tracing.client import ClientSpans
from weft.mesh.tracing.context import parse_traceparent


def test_baggage_without_a_trace_goes_along() -> None:
    """Also where no trace is begun that anybody records."""
    token = otel.attach(baggage.set_baggage("tenant", "blue", Context()))
    try:
        span, metadata = ClientSpans(Spans(ALWAYS_OFF).provider).begin("/a.B/C", (("k", "v"),), {})
    finally:
        otel.detach(token)
    sent = dict(metadata)
    assert span is None
    assert sent["baggage"] == "tenant=blue"
    assert sent["k"] == "v"
    parent = parse_traceparent(str(sent["traceparent"]))
    assert parent is not None
    assert not parent.trace_flags.sampled


def test_metadata_that_are_sent_are_metadata() -> None:
    """Whoever looks at them finds what grpc.aio's own would show."""
    entries = (("a", "1"), ("b-bin", b"2"), ("a", "3"))
    sent = Sent(entries)
    assert tuple(sent) == entries
    assert len(sent) == len(entries)
    assert sent["a"] == "1"
    assert list(sent.get_all("a")) == ["1", "3"]
    assert sent["b-bin"] == b"2"
    assert not Sent(())
