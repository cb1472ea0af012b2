"""Cron expressions: every form is read, every fault is named, and nothing else comes of any text."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.core.errors import ValidationError
from weft.server.schedule.cron import parse_cron
from weft.server.schedule.spec import CronEntry, Spec
from weft.server.schedule.times import times_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SHOWN = "%Y-%m-%d %H:%M:%S"


def fires(expression: str, count: int = 4, begin: datetime = BEGIN, zone: str = "UTC") -> list[str]:
    spec = Spec(crons=(CronEntry(expression=expression, time_zone=zone),))
    found = islice(times_of(spec).upcoming(begin), count)
    return [moment.astimezone(ZoneInfo(zone)).strftime(SHOWN).removesuffix(":00") for moment in found]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 9 * * *", ["2026-01-01 09:30", "2026-01-02 09:30"]),
        ("*/20 * * * *", ["2026-01-01 00:20", "2026-01-01 00:40"]),
        ("15,45 8-9 * * *", ["2026-01-01 08:15", "2026-01-01 08:45", "2026-01-01 09:15"]),
        ("5/25 0 1 * *", ["2026-01-01 00:05", "2026-01-01 00:30", "2026-01-01 00:55", "2026-02-01 00:05"]),
        ("0 22-2/2 * * *", ["2026-01-01 02:00", "2026-01-01 22:00", "2026-01-02 00:00"]),
        ("0 0 * jan,MAR mon", ["2026-01-05 00:00", "2026-01-12 00:00"]),
        ("0 0 * NOV-FEB/3 1", ["2026-02-02 00:00", "2026-02-09 00:00", "2026-02-16 00:00"]),
        ("0 0 ? * FRI-MON", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00", "2026-01-05 00:00"]),
        ("0 0 * * 7", ["2026-01-04 00:00"]),
        ("0 0 * * 5-7", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00", "2026-01-09 00:00"]),
        ("0 0 13 * FRI", ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-13 00:00"]),
        ("0 0 */2 * FRI", ["2026-01-09 00:00", "2026-01-23 00:00", "2026-02-13 00:00"]),
        ("0 0 L * *", ["2026-01-31 00:00", "2026-02-28 00:00"]),
        ("0 0 L-3 * *", ["2026-01-28 00:00", "2026-02-25 00:00"]),
        ("0 0 LW * *", ["2026-01-30 00:00", "2026-02-27 00:00", "2026-03-31 00:00"]),
        ("0 0 L-1W * *", ["2026-01-30 00:00", "2026-02-27 00:00", "2026-03-30 00:00"]),
        ("0 0 1W * *", ["2026-02-02 00:00", "2026-03-02 00:00", "2026-04-01 00:00"]),
        ("0 0 31W * *", ["2026-01-30 00:00", "2026-03-31 00:00", "2026-05-29 00:00"]),
        ("0 0 15W,L * ?", ["2026-01-15 00:00", "2026-01-31 00:00", "2026-02-16 00:00"]),
        ("0 0 * * FRIL", ["2026-01-30 00:00", "2026-02-27 00:00"]),
        ("0 0 * * 2#2", ["2026-01-13 00:00", "2026-02-10 00:00"]),
        ("0 0 * * THU#5", ["2026-01-29 00:00", "2026-04-30 00:00"]),
        ("0 0 * * MON#1,0L", ["2026-01-05 00:00", "2026-01-25 00:00", "2026-02-02 00:00"]),
        ("*/30 0 0 * * *", ["2026-01-01 00:00:30", "2026-01-02 00:00"]),
        ("0 12 1 1 * 2027-2031/2", ["2027-01-01 12:00", "2029-01-01 12:00", "2031-01-01 12:00"]),
        ("7 0 12 1 1 * 2028", ["2028-01-01 12:00:07"]),
        ("0 29 2 * * *", ["2026-01-01 02:29", "2026-01-02 02:29"]),
        ("0 0 29 FEB *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("@daily", ["2026-01-02 00:00"]),
        (" @Weekly ", ["2026-01-04 00:00"]),
        ("@yearly", ["2027-01-01 00:00"]),
        ("@monthly", ["2026-02-01 00:00"]),
        ("@hourly", ["2026-01-01 01:00"]),
    ],
)
def test_what_an_expression_means(expression: str, expected: list[str]) -> None:
    """The next moments of each form."""
    assert fires(expression, len(expected)) == expected


def test_years_behind_the_last_one_are_no_more() -> None:
    """An expression with years ends with them."""
    assert fires("0 0 1 1 ? 2027,2030") == ["2027-01-01 00:00", "2030-01-01 00:00"]
    assert fires("0 0 31 2 *") == []


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", ["has 0 fields"]),
        ("* * * *", ["has 4 fields"]),
        ("* * * * * * * *", ["has 8 fields"]),
        ("60 * * * *", ["minute '60': '60' is not between 0 and 59"]),
        ("* 24 0 13 8", ["hour '24'", "day of the month '0'", "month '13'", "weekday '8'"]),
        ("*/0 * * * *", ["minute '*/0': the step must be between 1 and 60"]),
        ("*/ * * * *", ["the step"]),
        ("1-2-3 * * * *", ["'2-3' is not between"]),
        ("* * 20-10 * *", ["day of the month '20-10' goes backwards"]),
        ("* * * * FRX", ["'FRX' is not between 0 and 7, or SUN, MON"]),
        ("* * * * L", ["say of which weekday"]),
        ("* * * * FRI#6", ["behind # stands 1 to 5"]),
        ("* * L-31 * *", ["it is L, or L-1 to L-30"]),
        ("* * 32W * *", ["'32' is not between 1 and 31"]),
        ("* * 1-5W * *", ["'1-5' is not between"]),
        ("* * , * *", ["'' is not between"]),
        ("٣ * * * *", ["is not between"]),
        ("0 0 1 1 * 1969", ["year '1969'"]),
        ("@dayly", ["did you mean '@daily'?"]),
        ("@reboot", ["is not known", "@hourly"]),
        ("@every 5m", ["intervals"]),
        ("CRON_TZ=Europe/Berlin 0 5 * * *", ["time_zone"]),
        ("* " * 600, ["at most 1,024"]),
    ],
)
def test_each_fault_is_named(expression: str, words: list[str]) -> None:
    """All of them at once, each with its field."""
    with pytest.raises(ValidationError) as caught:
        parse_cron(expression, "spec.crons[0].expression")
    assert {violation.field for violation in caught.value.violations} == {"spec.crons[0].expression"}
    said = " | ".join(violation.description for violation in caught.value.violations)
    for each in words:
        assert each in said


FIELD = st.text(alphabet="0123456789*/-,LW#?", min_size=1, max_size=6)
LIKELY = st.lists(
    FIELD | st.sampled_from(["*", "JAN", "MON-FRI", "1#2", "5L", "L", "15W", "*/7", "2030"]),
    min_size=5,
    max_size=7,
).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40) | st.text(alphabet=string.printable, max_size=40) | LIKELY)
def test_no_text_breaks_the_reader(text: str) -> None:
    """It is refused with its faults, or has moments that increase."""
    try:
        parse_cron(text)
    except ValidationError:
        return
    for zone in ("UTC", "Australia/Lord_Howe"):
        spec = Spec(crons=(CronEntry(expression=text, time_zone=zone),))
        found = list(islice(times_of(spec).upcoming(BEGIN), 5))
        assert found == sorted(set(found))
        assert all(moment > BEGIN for moment in found)


def part(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    single = number.map(str)
    # A range of one number with a step is read in another way by them.
    ranges = st.tuples(st.integers(low, high - 1), number).map(
        lambda pair: f"{pair[0]}-{max(pair[0] + 1, pair[1])}"
    )
    stepped = st.tuples(ranges | st.just("*"), st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.just("*") | st.lists(single | ranges | stepped, min_size=1, max_size=3).map(",".join)


@settings(max_examples=80, deadline=None)
@given(
    fields=st.tuples(part(0, 59), part(0, 23), part(1, 28), part(1, 12), part(0, 6)),
    begin=st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_others_read_it_the_same_way(fields: tuple[str, ...], begin: datetime) -> None:
    """Where another implementation knows the form: the same moments, in UTC."""
    expression = " ".join(fields)
    theirs = [moment.strftime(SHOWN).removesuffix(":00") for moment in islice(CronSim(expression, begin), 6)]
    assert fires(expression, 6, begin) == theirs


@settings(max_examples=30, deadline=None)
@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    day=st.sampled_from(["*", "L", "LW", "25", "*/3"]),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo"]),
    begin=st.datetimes(datetime(2005, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_others_agree_about_the_days_that_are_shorter_or_longer(
    minute: int, hour: int, day: str, zone: str, begin: datetime
) -> None:
    """A fixed time of the day, through the changes of several years."""
    expression = f"{minute} {hour} {day} 2-4,9-11 *"
    simulated = CronSim(expression, begin.astimezone(ZoneInfo(zone)))
    theirs = [moment.astimezone(UTC) for moment in islice(simulated, 120)]
    spec = Spec(crons=(CronEntry(expression=expression, time_zone=zone),))
    ours = list(islice(times_of(spec).upcoming(begin - timedelta(microseconds=begin.microsecond)), 120))
    assert ours == theirs
