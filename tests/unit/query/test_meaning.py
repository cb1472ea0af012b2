"""What filters ask for: types, values, and every fault at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from weft.core.errors import ValidationError
from weft.core.reasons import Rule
from weft.server.execution.filters import EXECUTION_FIELDS
from weft.server.query.check import read_filter
from weft.server.query.predicate import Any, Compare, Negation, Predicate, Ref, Test, Value

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def read(text: str) -> Predicate | None:
    return read_filter(text, EXECUTION_FIELDS, NOW)


def faults(text: str) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        read(text)
    return [(fault.reason, fault.description) for fault in caught.value.violations]


def attribute(name: str, compare: Compare, value: Value = None) -> Test:
    return Test(Ref("attributes", name), compare, value)


@pytest.mark.parametrize(
    ("text", "predicate"),
    [
        ("state = RUNNING", Test(Ref("state"), Compare.EQUAL, "RUNNING")),
        ("state = failed", Test(Ref("state"), Compare.EQUAL, "FAILED")),
        ("state != FAILED", Negation(Test(Ref("state"), Compare.EQUAL, "FAILED"))),
        ("workflow = order-fulfilment", Test(Ref("workflow"), Compare.EQUAL, "order-fulfilment")),
        ("version >= 3", Test(Ref("version"), Compare.AT_LEAST, 3)),
        ("key = order-*", Test(Ref("key"), Compare.PREFIX, "order-")),
        ("key != order-*", Negation(Test(Ref("key"), Compare.PREFIX, "order-"))),
        (r'key = "order-\*"', Test(Ref("key"), Compare.EQUAL, "order-*")),
        ("key : order", Test(Ref("key"), Compare.CONTAINS, "order")),
        ("key : *", Test(Ref("key"), Compare.PRESENT)),
        ("end_time:*", Test(Ref("end_time"), Compare.PRESENT)),
        ("attributes.customer = acme", attribute("customer", Compare.EQUAL, "acme")),
        ("attributes.amount > 10", attribute("amount", Compare.GREATER, 10.0)),
        ("attributes.amount < -1.5e3", attribute("amount", Compare.LESS, -1500.0)),
        ('attributes.amount = "10"', attribute("amount", Compare.EQUAL, "10")),
        ("attributes.vip = true", attribute("vip", Compare.EQUAL, value=True)),
        ("attributes.vip : *", attribute("vip", Compare.PRESENT)),
        ("attributes:vip", attribute("vip", Compare.PRESENT)),
        ("attributes.due < 2026-02-01", attribute("due", Compare.LESS, "2026-02-01")),
    ],
)
def test_a_comparison_is_understood(text: str, predicate: Predicate) -> None:
    """Values have the type of their field; free ones are what they look like, in quotes text."""
    found = read(text)
    assert found == predicate
    assert type(getattr(found, "value", None)) is type(getattr(predicate, "value", None))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31T09:30:00Z", datetime(2026, 1, 31, 9, 30, tzinfo=UTC)),
        ("2026-01-31t09:30:00.5z", datetime(2026, 1, 31, 9, 30, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31T09:30:00.123456789Z", datetime(2026, 1, 31, 9, 30, 0, 123_456, tzinfo=UTC)),
        ("2026-01-31T09:30+02:00", datetime(2026, 1, 31, 7, 30, tzinfo=UTC)),
        ('"2026-01-31 09:30:00Z"', datetime(2026, 1, 31, 9, 30, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("now", NOW),
        ("now-7d", NOW - timedelta(days=7)),
        ("now+90m", NOW + timedelta(minutes=90)),
    ],
)
def test_times_are_rfc_3339_or_relative(text: str, time: datetime) -> None:
    """Down to the microsecond; a date is its beginning in UTC."""
    assert read(f"create_time >= {text}") == Test(Ref("create_time"), Compare.AT_LEAST, time)


@pytest.mark.parametrize(
    ("text", "rule", "message"),
    [
        (
            "stat = 1",
            Rule.FILTER_FIELD_UNKNOWN,
            "at column 1: there is no field 'stat'; did you mean 'state'?",
        ),
        ("attribute.x = 1", Rule.FILTER_FIELD_UNKNOWN, "did you mean 'attributes.…'?"),
        ("state.x = 1", Rule.FILTER_FIELD_UNKNOWN, "no field 'state.x'"),
        ("state = DONE", Rule.FILTER_VALUE_INVALID, "at column 9: 'DONE' is not one of its values"),
        ("state = FAILD", Rule.FILTER_VALUE_INVALID, "did you mean 'FAILED'?"),
        ("state > FAILED", Rule.FILTER_VALUE_INVALID, "state has no order; use = or !="),
        ("state = FAIL*", Rule.FILTER_VALUE_INVALID, "leave the star out"),
        ("state : FAILED", Rule.FILTER_VALUE_INVALID, "state has no parts; use state = …, or state:*"),
        ("workflow = order-*", Rule.FILTER_VALUE_INVALID, "at column 12: workflow is compared as a whole"),
        ("version = one", Rule.FILTER_VALUE_INVALID, "at column 11: 'one' is not a whole number"),
        ("version = 1.5", Rule.FILTER_VALUE_INVALID, "'1.5' is not a whole number"),
        ("version = 9223372036854775808", Rule.FILTER_VALUE_INVALID, "is not a whole number"),
        ("create_time > yesterday", Rule.FILTER_VALUE_INVALID, "is not a time such as"),
        ("create_time > 2026-02-30", Rule.FILTER_VALUE_INVALID, "is not a time that there is"),
        ("create_time > 0001-01-01T00:00:00+01:00", Rule.FILTER_VALUE_INVALID, "not a time that there is"),
        ("create_time > 2026-01-01T10:00:00", Rule.FILTER_VALUE_INVALID, "is not a time such as"),
        ("create_time > now-999999999w", Rule.FILTER_VALUE_INVALID, "is not a time that there is"),
        ("key > order-*", Rule.FILTER_VALUE_INVALID, "a star goes with = and != only"),
        ('key : ""', Rule.FILTER_VALUE_INVALID, "use key:*"),
        ("attributes = 1", Rule.FILTER_VALUE_INVALID, "name one of the attributes"),
        ("attributes:*", Rule.FILTER_VALUE_INVALID, "name one of the attributes"),
        ("attributes.a.b = 1", Rule.FILTER_VALUE_INVALID, "it has a dot"),
        (
            "attributes.a = 1e999",
            Rule.FILTER_VALUE_INVALID,
            "at column 16: '1e999' is a number that is too large",
        ),
        ("attributes.a > true", Rule.FILTER_VALUE_INVALID, "have no order"),
        ("attributes.a : 1", Rule.FILTER_VALUE_INVALID, "asks for a part of a text"),
    ],
)
def test_what_cannot_be_asked_is_refused(text: str, rule: str, message: str) -> None:
    """With the column, the reason, and what is meant where that can be guessed."""
    ((found, description),) = faults(text)
    assert found == rule
    assert message in description


def test_all_faults_are_told_at_once() -> None:
    """Each comparison that makes no sense is named, in the order of the text."""
    found = faults("stat = 1 AND (version = x OR NOT create_time > soon) AND state = RUNNING")
    assert [rule for rule, _ in found] == [Rule.FILTER_FIELD_UNKNOWN, *[Rule.FILTER_VALUE_INVALID] * 2]
    assert [description.split(":")[0] for _, description in found] == [
        f"at column {at}" for at in (1, 25, 48)
    ]


def test_a_message_is_short() -> None:
    """However long a name or a value is."""
    for text in (f"{'x' * 8_000} = 1", f"version = {'x' * 8_000}", f"state = {'x' * 8_000}"):
        ((_, message),) = faults(text)
        assert len(message) < 300


def test_nothing_asks_for_everything() -> None:
    """An empty filter is none; a never-true predicate stands only behind faults."""
    assert read("  ") is None
    assert Any(()) != read("state = RUNNING")
