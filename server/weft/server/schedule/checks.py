"""What is wrong with a spec: unknown zones, numbers out of bounds, times that never come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.server.schedule.calendar import FIRST_YEAR, LAST_YEAR
from weft.server.schedule.cron import parse_cron
from weft.server.schedule.spec import CalendarEntry, IntervalEntry, Range, Spec
from weft.server.schedule.times import times_of
from weft.server.schedule.zones import known_zone, zone_hint

__all__ = ["MAX_ENTRIES", "never_fires", "spec_faults"]

MAX_ENTRIES: Final = 50
_MAX_RANGES: Final = 100
_MAX_COMMENT: Final = 256
_MAX_JITTER: Final = timedelta(days=1)
_SHOWN: Final = 80
_SHORTEST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(days=3653)
_BOUNDS: Final = {
    "seconds": (0, 59),
    "minutes": (0, 59),
    "hours": (0, 23),
    "days": (1, 31),
    "months": (1, 12),
    "weekdays": (0, 7),
    "years": (FIRST_YEAR, LAST_YEAR),
}


def spec_faults(spec: Spec, path: str) -> list[Violation]:
    """Return everything that is wrong with a spec by itself."""
    return list(_faults(spec, path))


def _faults(spec: Spec, path: str) -> Iterator[Violation]:
    count = len(spec.crons) + len(spec.calendars) + len(spec.intervals)
    if not count:
        words = "has neither crons nor calendars nor intervals: it never fires"
        yield Violation(path, words, Rule.SCHEDULE_NEVER_FIRES)
    if max(count, len(spec.excluded)) > MAX_ENTRIES:
        words = f"has {count} entries and {len(spec.excluded)} excluded, at most {MAX_ENTRIES} are allowed"
        yield Violation(path, words, Rule.TOO_MANY)
        return
    yield from _zone_faults(spec.time_zone, f"{path}.time_zone")
    for index, cron in enumerate(spec.crons):
        where = f"{path}.crons[{index}]"
        yield from _cron_faults(cron.expression, f"{where}.expression")
        yield from _zone_faults(cron.time_zone, f"{where}.time_zone")
    for name, entries in (("calendars", spec.calendars), ("excluded", spec.excluded)):
        for index, entry in enumerate(entries):
            yield from _calendar_faults(entry, f"{path}.{name}[{index}]")
    for index, interval in enumerate(spec.intervals):
        yield from _interval_faults(interval, f"{path}.intervals[{index}]")
    if spec.start_time and spec.end_time and spec.end_time < spec.start_time:
        yield Violation(f"{path}.end_time", "is before start_time", Rule.OUT_OF_RANGE)
    if not timedelta() <= spec.jitter <= _MAX_JITTER:
        yield Violation(f"{path}.jitter", "must be between 0 s and 86400 s", Rule.OUT_OF_RANGE)


def never_fires(spec: Spec, after: datetime, path: str) -> list[Violation]:
    """Return which entries of an otherwise good spec have no time left, or that all together have none."""
    found: list[Violation] = []
    words = "never fires: there is no such time in the future"
    alone = [
        *((f"crons[{n}].expression", Spec(crons=(each,))) for n, each in enumerate(spec.crons)),
        *((f"calendars[{n}]", Spec(calendars=(each,))) for n, each in enumerate(spec.calendars)),
        *((f"intervals[{n}]", Spec(intervals=(each,))) for n, each in enumerate(spec.intervals)),
    ]
    for where, entry in alone:
        if times_of(replace(entry, time_zone=spec.time_zone)).after(after) is None:
            found.append(Violation(f"{path}.{where}", words, Rule.SCHEDULE_NEVER_FIRES))
    if not found and times_of(spec).after(after) is None:
        words = "never fires: what is excluded, start_time and end_time leave no time in the future"
        found.append(Violation(path, words, Rule.SCHEDULE_NEVER_FIRES))
    return found


def _cron_faults(expression: str, path: str) -> list[Violation]:
    if not expression.strip():
        return [Violation(path, "is required", Rule.REQUIRED)]
    try:
        parse_cron(expression, path)
    except ValidationError as error:
        return list(error.violations)
    return []


def _zone_faults(name: str, path: str) -> Iterator[Violation]:
    if name and not known_zone(name[:_SHOWN]):
        hint = zone_hint(name[:_SHOWN]) or "it is an IANA name, such as 'Europe/Berlin'"
        words = f"there is no time zone {name[:_SHOWN]!r}; {hint}"
        yield Violation(path, words, Rule.TIME_ZONE_UNKNOWN)


def _calendar_faults(entry: CalendarEntry, path: str) -> Iterator[Violation]:
    for part, (low, high) in _BOUNDS.items():
        ranges: tuple[Range, ...] = getattr(entry, part)
        if len(ranges) > _MAX_RANGES:
            words = f"has {len(ranges)} ranges, at most {_MAX_RANGES} are allowed"
            yield Violation(f"{path}.{part}", words, Rule.TOO_MANY)
            continue
        for index, each in enumerate(ranges):
            where = f"{path}.{part}[{index}]"
            if not low <= each.start <= high or not low <= each.end <= high:
                yield Violation(where, f"must be between {low} and {high}", Rule.OUT_OF_RANGE)
            elif each.end < each.start:
                yield Violation(where, f"goes backwards: from {each.start} to {each.end}", Rule.OUT_OF_RANGE)
            if each.step < 1:
                yield Violation(f"{where}.step", "must not be negative", Rule.OUT_OF_RANGE)
    yield from _zone_faults(entry.time_zone, f"{path}.time_zone")
    if len(entry.comment) > _MAX_COMMENT:
        words = f"has {len(entry.comment):,} characters, at most {_MAX_COMMENT} are allowed"
        yield Violation(f"{path}.comment", words, Rule.TOO_LONG)


def _interval_faults(interval: IntervalEntry, path: str) -> Iterator[Violation]:
    if not _SHORTEST <= interval.every <= _LONGEST:
        words = f"must be between 1 s and {_LONGEST.total_seconds():.0f} s"
        yield Violation(f"{path}.every", words, Rule.OUT_OF_RANGE)
    elif not timedelta() <= interval.offset < interval.every:
        yield Violation(f"{path}.offset", "must not be negative, and less than every", Rule.OUT_OF_RANGE)
