"""W3C Trace Context and Baggage, against the specification and against OpenTelemetry's own propagators."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from weft.mesh.tracing.context import (
    MAX_BAGGAGE_BYTES,
    MAX_TRACESTATE_CHARS,
    context_of,
    current_ids,
    extract,
    format_baggage,
    format_traceparent,
    inject,
    parse_baggage,
    parse_trace_id,
    parse_traceparent,
    parse_tracestate,
    wire_headers,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"
THEIRS = TraceContextTextMapPropagator()

hexadecimal = st.text("0123456789abcdefABCDEFxg", min_size=0, max_size=33)
almost = st.builds(
    "{}{}-{}-{}-{}{}".format,
    st.sampled_from(["", " ", "\t ", "x"]),
    st.sampled_from(["00", "01", "cc", "ff", "0", "0A", "000"]),
    st.one_of(st.just(TRACE), st.just("0" * 32), hexadecimal),
    st.one_of(st.just(SPAN), st.just("0" * 16), hexadecimal),
    st.sampled_from(["00", "01", "02", "03", "ff", "f", "0G"]),
    st.sampled_from(["", " ", "-", "-extra", "x", "-01-02"]),
)


@given(st.one_of(almost, st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80)))
@example(GOOD)
@example(f"01-{TRACE}-{SPAN}-01-what the future brings")
def test_traceparent_is_read_as_opentelemetry_reads_it(text: str) -> None:
    """Whatever stands there: the same trace, span and known flags, or none at all."""
    theirs = trace.get_current_span(THEIRS.extract({"traceparent": text}, Context())).get_span_context()
    ours = parse_traceparent(text)
    if ours is None:
        assert not theirs.is_valid
    else:
        assert (ours.trace_id, ours.span_id) == (theirs.trace_id, theirs.span_id)
        assert ours.trace_flags == theirs.trace_flags & 3
        assert ours.is_remote


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 3))
def test_what_is_written_is_what_opentelemetry_writes(trace_id: int, span_id: int, flags: int) -> None:
    """And it is read back as it was."""
    span = SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(flags))
    theirs: dict[str, str] = {}
    THEIRS.inject(theirs, context_of(span))
    assert format_traceparent(span) == theirs["traceparent"]
    read = parse_traceparent(theirs["traceparent"])
    assert read is not None
    assert (read.trace_id, read.span_id, read.trace_flags) == (trace_id, span_id, flags)


member = st.builds(
    "{}={}".format,
    st.text(string.ascii_lowercase + "0123456789_-*/@", min_size=0, max_size=12),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=10),
)


@given(st.lists(st.one_of(member, st.just(""), st.just(" ")), max_size=35).map(",".join))
@example("a=1,b=2")
@example("a=1,a=2")
@example(",".join(f"k{number}=v" for number in range(33)))
def test_tracestate_is_read_as_opentelemetry_reads_it(text: str) -> None:
    """Within the length that we take: the same members in the same order, or none."""
    if len(text) > MAX_TRACESTATE_CHARS:
        assert not parse_tracestate(text)
        return
    assert parse_tracestate(text).to_header() == TraceState.from_header([text]).to_header()


tokens = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=12)
values = st.text(st.characters(codec="utf-8"), max_size=20)


@given(st.dictionaries(tokens, values, max_size=8))
@example({"a": "1 + 1 = 2; or so, 50 %"})
def test_baggage_that_is_written_is_read_back(entries: dict[str, str]) -> None:
    """Every value, of whatever characters."""
    assert parse_baggage(format_baggage(entries)) == entries


@given(st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=9), values, max_size=8))
def test_opentelemetry_reads_the_baggage_that_we_write(entries: dict[str, str]) -> None:
    """The same values, but for blanks at their ends, which it cuts off."""
    context = W3CBaggagePropagator().extract({"baggage": format_baggage(entries)}, Context())
    assert dict(baggage.get_all(context)) == {key: value.strip() for key, value in entries.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1;public;ttl=3 , b = 2", {"a": "1", "b": "2"}),
        ("a=%C3%A9%2B", {"a": "é+"}),
        ("a=x+y", {"a": "x+y"}),
        ("broken,=1,a b=2,c=\x7f,d=4", {"d": "4"}),
        ('a="quoted"', {}),
        ("a=1,a=2", {"a": "2"}),
        ("", {}),
    ],
)
def test_baggage_by_the_specification(text: str, expected: dict[str, str]) -> None:
    """Properties are no part of the value, a plus is a plus, and what is malformed is left out alone."""
    assert parse_baggage(text) == expected


def test_baggage_has_limits() -> None:
    """What is too much is dropped, entry by entry when written, as a whole when read."""
    assert parse_baggage("a=" + "x" * MAX_BAGGAGE_BYTES) == {}
    assert len(parse_baggage(",".join(f"k{number}=v" for number in range(200)))) == 64
    written = format_baggage({"big": "x" * MAX_BAGGAGE_BYTES, "small": "1", "not a token": "2"})
    assert written == "small=1"
    assert len(format_baggage({f"k{number}": "x" * 100 for number in range(100)})) <= MAX_BAGGAGE_BYTES


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("traceparent", "nonsense"),),
        (("traceparent", GOOD), ("traceparent", GOOD)),
        (("traceparent", f"ff-{TRACE}-{SPAN}-01"),),
        (("traceparent", f"00-{'0' * 32}-{SPAN}-01"),),
        (("traceparent", b"00-bytes"),),
        (("tracestate", "a=1"),),
        (("traceparent", "\x00" * 10_000),),
        (("traceparent", "nonsense"), ("x-trace-id", TRACE)),
        (("x-trace-id", "0" * 32),),
        (("x-trace-id", "4711"),),
        (("x-trace-id", TRACE), ("x-trace-id", TRACE)),
    ],
)
def test_malformed_headers_count_as_none(headers: tuple[tuple[str, str | bytes], ...]) -> None:
    """They are neither an error nor a log line."""
    span = trace.get_current_span(extract(headers)).get_span_context()
    assert not span.is_valid
    assert span.trace_id == 0


def test_malformed_state_does_not_cost_the_trace() -> None:
    """Only the tracestate is lost."""
    span = trace.get_current_span(extract((("traceparent", GOOD), ("tracestate", "no")))).get_span_context()
    assert span.is_valid
    assert not span.trace_state


def test_a_trace_id_alone_is_a_trace_without_a_span() -> None:
    """Digits of either case; the first span is somebody else's to begin."""
    span = trace.get_current_span(extract((("x-trace-id", TRACE.upper()),))).get_span_context()
    assert (span.trace_id, span.span_id, span.is_valid) == (int(TRACE, 16), 0, False)
    assert parse_trace_id(TRACE + "0") == 0


def test_several_headers_of_a_kind_are_joined() -> None:
    """As HTTP says for lists."""
    headers = (
        ("traceparent", GOOD),
        ("tracestate", "a=1"),
        ("tracestate", "b=2"),
        ("baggage", "x=1"),
        ("baggage", "y=2"),
    )
    context = extract(headers)
    assert trace.get_current_span(context).get_span_context().trace_state.to_header() == "a=1,b=2"
    assert dict(baggage.get_all(context)) == {"x": "1", "y": "2"}


def test_baggage_is_passed_on_word_by_word_until_somebody_changes_it() -> None:
    """So properties of entries survive a hop that knows nothing of them."""
    sent = "a=1;public, b=%20x"
    context = extract((("traceparent", GOOD), ("baggage", sent)))
    span = trace.get_current_span(context).get_span_context()
    assert wire_headers(span, context) == (("traceparent", GOOD), ("baggage", sent))
    changed = baggage.set_baggage("c", "3", context)
    assert wire_headers(span, changed)[1] == ("baggage", "a=1,b=%20x,c=3")


def test_inject_replaces_what_stands_there() -> None:
    """The headers of the current span, state and baggage."""
    span = SpanContext(1, 2, is_remote=False, trace_state=TraceState([("a", "1")]))
    headers = {"traceparent": "old", "other": "stays"}
    inject(headers, trace.set_span_in_context(NonRecordingSpan(span), Context()))
    assert headers == {
        "traceparent": f"00-{1:032x}-{2:016x}-00",
        "tracestate": "a=1",
        "other": "stays",
    }


def test_outside_of_a_trace_there_are_no_ids() -> None:
    """Nothing is injected, and log lines get no ids."""
    headers: dict[str, str] = {}
    inject(headers)
    assert headers == {}
    assert current_ids() == {}
