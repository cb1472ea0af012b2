"""When a schedule fires: at real changes of real clocks, and whatever is left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from time import process_time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.server.schedule.spec import CalendarEntry, CronEntry, IntervalEntry, Range, Spec
from weft.server.schedule.times import times_of
from weft.server.schedule.zones import known_zone, zone_hint, zone_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def fires(zone: str, expression: str, begin: str, count: int) -> list[str]:
    """Show what a clock in the zone shows, with its offset."""
    spec = Spec(crons=(CronEntry(expression=expression),), time_zone=zone)
    there = ZoneInfo(zone)
    start = datetime.fromisoformat(begin).replace(tzinfo=there)
    found = islice(times_of(spec).upcoming(start.astimezone(UTC)), count)
    return [moment.astimezone(there).strftime("%d %H:%M %z") for moment in found]


def number(value: int) -> tuple[Range, ...]:
    return (Range(start=value, end=value),)


JUMPS: list[tuple[str, str, str, list[str]]] = [
    # Berlin, 29 March 2026: 02:00 becomes 03:00.
    ("Europe/Berlin", "30 2 * * *", "2026-03-28", ["28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"]),
    # All that is skipped is one run, and what is due then anyway is the same run.
    (
        "Europe/Berlin",
        "*/20 2,3 * * *",
        "2026-03-29",
        ["29 03:00 +0200", "29 03:20 +0200", "29 03:40 +0200"],
    ),
    # Every hour goes by the hours that there are.
    ("Europe/Berlin", "30 * * * *", "2026-03-29", ["29 00:30 +0100", "29 01:30 +0100", "29 03:30 +0200"]),
    (
        "Europe/Berlin",
        "0 */2 * * *",
        "2026-03-28T23:00",
        ["29 00:00 +0100", "29 03:00 +0200", "29 04:00 +0200"],
    ),
    # Berlin, 25 October 2026: 03:00 becomes 02:00.
    ("Europe/Berlin", "30 2 * * *", "2026-10-24", ["24 02:30 +0200", "25 02:30 +0200", "26 02:30 +0100"]),
    (
        "Europe/Berlin",
        "*/30 1-3 * * *",
        "2026-10-25T01:00",
        ["25 01:30 +0200", "25 02:00 +0200", "25 02:30 +0200", "25 03:00 +0100", "25 03:30 +0100"],
    ),
    (
        "Europe/Berlin",
        "30 * * * *",
        "2026-10-25T01:00",
        ["25 01:30 +0200", "25 02:30 +0200", "25 02:30 +0100", "25 03:30 +0100"],
    ),
    (
        "Europe/Berlin",
        "0 */2 * * *",
        "2026-10-24T23:00",
        ["25 00:00 +0200", "25 02:00 +0200", "25 04:00 +0100"],
    ),
    # New York, 8 March and 1 November 2026.
    ("America/New_York", "15 2 * * SUN", "2026-03-02", ["08 03:00 -0400", "15 02:15 -0400"]),
    ("America/New_York", "15 1 * * SUN", "2026-10-26", ["01 01:15 -0400", "08 01:15 -0500"]),
    # Lord Howe: half an hour. 5 April 2026: 02:00 becomes 01:30; 4 October: 02:00 becomes 02:30.
    (
        "Australia/Lord_Howe",
        "45 1 * * *",
        "2026-04-04",
        ["04 01:45 +1100", "05 01:45 +1100", "06 01:45 +1030"],
    ),
    (
        "Australia/Lord_Howe",
        "15,45 * * * *",
        "2026-04-05T01:00",
        ["05 01:15 +1100", "05 01:45 +1100", "05 01:45 +1030", "05 02:15 +1030"],
    ),
    (
        "Australia/Lord_Howe",
        "15 2 * * *",
        "2026-10-03",
        ["03 02:15 +1030", "04 02:30 +1100", "05 02:15 +1100"],
    ),
    # Kathmandu: no summer time, a quarter of an hour off; on 1 January 1986 it moved there.
    ("Asia/Kathmandu", "0 9 * * *", "2026-03-28", ["28 09:00 +0545", "29 09:00 +0545"]),
    ("Asia/Kathmandu", "5 0 * * *", "1985-12-31", ["31 00:05 +0530", "01 00:15 +0545", "02 00:05 +0545"]),
    # Sao Paulo, until 2019: midnight was skipped in spring, and the hour before it came twice in autumn.
    (
        "America/Sao_Paulo",
        "0 0 * * *",
        "2018-11-02T12:00",
        ["03 00:00 -0300", "04 01:00 -0200", "05 00:00 -0200"],
    ),
    ("America/Sao_Paulo", "30 23 * * *", "2019-02-16", ["16 23:30 -0200", "17 23:30 -0300"]),
    (
        "America/Sao_Paulo",
        "30 * * * *",
        "2019-02-16T23:00",
        ["16 23:30 -0200", "16 23:30 -0300", "17 00:30 -0300"],
    ),
    ("America/Sao_Paulo", "30 * * * SAT", "2019-02-16T23:45", ["16 23:30 -0300", "23 00:30 -0300"]),
    ("America/Sao_Paulo", "0 0 * * *", "2026-11-01", ["02 00:00 -0300", "03 00:00 -0300"]),
    # Apia left out a whole day: 30 December 2011.
    ("Pacific/Apia", "0 12 * * *", "2011-12-29", ["29 12:00 -1000", "31 00:00 +1400", "31 12:00 +1400"]),
    (
        "Pacific/Apia",
        "0 * * * *",
        "2011-12-29T22:30",
        ["29 23:00 -1000", "31 00:00 +1400", "31 01:00 +1400"],
    ),
]
"""Zone, expression, where the search begins, and what the clock there shows."""


@pytest.mark.parametrize(("zone", "expression", "begin", "expected"), JUMPS)
def test_clocks_that_change(zone: str, expression: str, begin: str, expected: list[str]) -> None:
    """What is skipped comes right after the gap, what is shown twice comes once; every hour is every hour."""
    assert fires(zone, expression, begin, len(expected)) == expected


def test_it_does_not_matter_where_the_search_begins() -> None:
    """From any second around a change, the next moment is the one that the whole list has."""
    for zone, day in (("Europe/Berlin", "2026-10-24T23:00"), ("Australia/Lord_Howe", "2026-10-03T14:00")):
        begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
        for expression in ("*/20 * * * *", "*/20 1-3 * * *", "30 2 * * *"):
            times = times_of(Spec(crons=(CronEntry(expression=expression, time_zone=zone),)))
            listed = list(islice(times.upcoming(begin), 30))
            for minutes in range(0, 300, 7):
                at = begin + timedelta(minutes=minutes, microseconds=5)
                assert times.after(at) == next(moment for moment in listed if moment > at)


def test_intervals_know_no_clock() -> None:
    """They are as long on the day of a change as on any other, and counted from 1970."""
    six = IntervalEntry(every=timedelta(hours=6), offset=timedelta(minutes=10))
    begin = datetime(2026, 3, 29, tzinfo=UTC)
    found = list(islice(times_of(Spec(intervals=(six,), time_zone="Europe/Berlin")).upcoming(begin), 5))
    assert found[0] == begin + timedelta(minutes=10)
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(hours=6)}


def test_entries_are_added_and_exclusions_taken_away() -> None:
    """Each in its own zone; a moment of two entries is one."""
    spec = Spec(
        crons=(CronEntry(expression="0 9 * * *"), CronEntry(expression="0 8 * * *", time_zone="UTC")),
        calendars=(CalendarEntry(hours=number(12), weekdays=number(7), comment="Sundays"),),
        excluded=(
            CalendarEntry(months=number(1), days=(Range(start=3, end=31),)),
            CalendarEntry(hours=number(12)),
        ),
        time_zone="Europe/Berlin",
        start_time=datetime(2026, 1, 2, 8, tzinfo=UTC),
        end_time=datetime(2026, 2, 1, 8, tzinfo=UTC),
    )
    assert list(times_of(spec).upcoming(BEGIN)) == [
        datetime(2026, 1, 2, 8, tzinfo=UTC),
        datetime(2026, 2, 1, 8, tzinfo=UTC),
    ]


def test_a_part_of_an_exclusion_that_is_empty_is_all_of_it() -> None:
    """The 25th of December is the whole day, in its zone."""
    spec = Spec(
        crons=(CronEntry(expression="* * * * * *"),),
        excluded=(CalendarEntry(months=number(12), days=number(25), time_zone="America/New_York"),),
    )
    begin = datetime(2026, 12, 25, 4, 59, 58, tzinfo=UTC)
    assert list(islice(times_of(spec).upcoming(begin), 2)) == [
        datetime(2026, 12, 25, 4, 59, 59, tzinfo=UTC),
        datetime(2026, 12, 26, 5, 0, 0, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    "spec",
    [
        Spec(),
        Spec(crons=(CronEntry(expression="0 0 30 2 *"),)),
        Spec(crons=(CronEntry(expression="0 0 1 1 * 2020"),)),
        Spec(calendars=(CalendarEntry(days=number(29), months=number(2), years=number(2100)),)),
        Spec(crons=(CronEntry(expression="* * * * * *"),), excluded=(CalendarEntry(),)),
        Spec(
            intervals=(IntervalEntry(every=timedelta(seconds=1)),),
            excluded=(CalendarEntry(seconds=(Range(start=0, end=58),)), CalendarEntry(seconds=number(59))),
        ),
        Spec(intervals=(IntervalEntry(every=timedelta(days=1)),), end_time=BEGIN),
        Spec(
            intervals=(IntervalEntry(every=timedelta(days=1)),), start_time=datetime(2300, 1, 1, tzinfo=UTC)
        ),
    ],
)
def test_what_never_fires_is_found_out_soon(spec: Spec) -> None:
    """Nothing is looked for without an end."""
    started = process_time()
    assert times_of(spec).after(BEGIN) is None
    assert process_time() - started < 3


@settings(max_examples=60, deadline=None)
@given(
    every=st.integers(1, 10_000),
    jitter=st.integers(0, 20_000),
    seed=st.text(max_size=5),
    begin=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_jitter_keeps_the_order(every: int, jitter: int, seed: str, begin: datetime) -> None:
    """Each moment is put off, by the same for everybody, and never behind the next one."""
    spec = Spec(intervals=(IntervalEntry(every=timedelta(seconds=every)),), jitter=timedelta(seconds=jitter))
    times = times_of(spec)
    planned = list(islice(times.upcoming(begin), 5))
    due = [times.due(moment, seed) for moment in planned]
    assert due == [times.due(moment, seed) for moment in planned]
    for moment, put_off, following in zip(planned, due, planned[1:], strict=False):
        assert moment <= put_off <= min(moment + timedelta(seconds=jitter), following)


def test_jitter_tells_schedules_apart() -> None:
    """So that those of one hour do not start together."""
    times = times_of(Spec(intervals=(IntervalEntry(every=timedelta(hours=1)),), jitter=timedelta(minutes=10)))
    planned = times.after(BEGIN)
    assert planned is not None
    assert len({times.due(planned, f"sch_{number}") for number in range(100)}) > 90


def test_zones_that_are_not_there() -> None:
    """Neither a path nor a folder nor the machine's own zone is one; a hint names what may be meant."""
    for name in (
        "Europe",
        "../etc/passwd",
        "/etc/localtime",
        "localtime",
        "Mars/Olympus",
        "europe/berlin",
        "",
        "\0",
    ):
        assert not known_zone(name)
    assert known_zone("Europe/Berlin")
    assert known_zone("UTC")
    assert zone_hint("europe/berlin") == "did you mean 'Europe/Berlin'?"
    assert zone_hint("Kathmandu") == "did you mean 'Asia/Kathmandu'?"
    assert zone_hint("Europe/Berln") == "did you mean 'Europe/Berlin'?"
    with pytest.raises(LookupError):
        zone_of("Europe")


CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2019, 2, 17, 2, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(1985, 12, 31, 18, 30, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 2, 15, 2, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
]
"""Clocks, and when they are set back or forward."""


def parts(low: int, high: int) -> st.SearchStrategy[tuple[Range, ...]]:
    number = st.integers(low, high)
    ranges = st.builds(
        lambda a, b, step: Range(start=min(a, b), end=max(a, b), step=step), number, number, st.integers(1, 9)
    )
    return st.lists(ranges, min_size=1, max_size=2).map(tuple)


def by_hand(entry: CalendarEntry, excluded: CalendarEntry, zone: str, begin: datetime) -> list[datetime]:
    """Go through three days minute by minute, as a person would with a clock and a calendar."""

    def among(ranges: tuple[Range, ...], value: int, low: int, high: int) -> bool:
        every = ranges or (Range(start=low, end=high),)
        return any(value in range(it.start, it.end + 1, it.step) for it in every)

    shown: dict[datetime, list[datetime]] = {}
    minutes = [begin + timedelta(minutes=number) for number in range(3 * 24 * 60)]
    for minute in minutes:
        shown.setdefault(minute.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0), []).append(minute)
    found: set[datetime] = set()
    all_day = {hour for it in entry.hours for hour in range(it.start, it.end + 1, it.step)} == set(range(24))
    local, last = min(shown), max(shown)
    while local <= last:
        meant = among(entry.hours, local.hour, 0, 23) and among(entry.minutes, local.minute, 0, 59)
        if meant and among(entry.weekdays, local.isoweekday() % 7, 0, 6):
            times = shown.get(local, [])
            if not times and not all_day:
                times = [shown[min(later for later in shown if later > local)][0]]
            found.update(times if all_day else times[:1])
        local += timedelta(minutes=1)
    return sorted(
        time
        for time in found
        if not among(excluded.hours, time.astimezone(ZoneInfo(zone)).hour, 0, 23)
        or not among(excluded.minutes, time.astimezone(ZoneInfo(zone)).minute, 0, 59)
    )


@settings(max_examples=15, deadline=None)
@given(
    change=st.sampled_from(CHANGES),
    minutes=parts(0, 59),
    hours=parts(0, 23) | st.just((Range(start=0, end=23),)),
    weekdays=parts(0, 6) | st.just(()),
    quiet=st.tuples(parts(0, 23), parts(0, 59)),
)
def test_it_is_what_a_person_would_find(
    change: tuple[str, datetime],
    minutes: tuple[Range, ...],
    hours: tuple[Range, ...],
    weekdays: tuple[Range, ...],
    quiet: tuple[tuple[Range, ...], tuple[Range, ...]],
) -> None:
    """Around every kind of change, with exclusions, minute by minute."""
    zone, when = change
    begin = when - timedelta(hours=36)
    entry = CalendarEntry(minutes=minutes, hours=hours, weekdays=weekdays)
    excluded = CalendarEntry(hours=quiet[0], minutes=quiet[1])
    times = times_of(Spec(calendars=(entry,), excluded=(excluded,), time_zone=zone))
    end = begin + timedelta(days=3) - timedelta(minutes=1)
    found = []
    for time in times.upcoming(begin - timedelta(seconds=1)):
        if time > end:
            break
        found.append(time)
    assert found == by_hand(entry, excluded, zone, begin)
