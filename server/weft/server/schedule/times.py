"""Computes when a schedule fires: the moments of all its entries, in order.

A moment of a wall clock becomes a moment in time like this. A time that the clock skips
is taken right after the gap; one that it shows twice is taken the first time. Only an
entry that holds in every hour follows the clock as it goes: it leaves out what is
skipped, and takes both of what is shown twice. Intervals know no clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, Protocol

from weft.server.schedule.calendar import LAST_YEAR, Calendar, MonthDays, WeekDays
from weft.server.schedule.cron import parse_cron
from weft.server.schedule.spec import CalendarEntry, IntervalEntry, Range, Spec
from weft.server.schedule.zones import first_moment, moments, next_fold, wall, zone_of

__all__ = ["Times", "times_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HORIZON: Final = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND: Final = timedelta(seconds=1)
_DAY_AND_MORE: Final = timedelta(hours=25)
_FIRST_STEPS: Final = 4_000
_STEPS_EACH: Final = 60
"""How much is computed for a moment before the search is given up: for specs that exclude almost all."""


class Entry(Protocol):
    """A source of moments."""

    def after(self, moment: datetime) -> datetime | None:
        """Return the first moment behind one."""
        ...


@dataclass(frozen=True, slots=True)
class ClockEntry:
    """Moments of a wall clock somewhere."""

    calendar: Calendar
    """What it shows."""
    zone: tzinfo
    """Where it hangs."""

    def after(self, moment: datetime) -> datetime | None:
        """Return the first moment behind one."""
        local = wall(moment, self.zone).replace(microsecond=0) + _SECOND
        return self._as_it_goes(moment, local) if self.calendar.every_hour else self._once(moment, local)

    def _once(self, moment: datetime, local: datetime) -> datetime | None:
        """Take each time of the clock once."""
        while (shown := self.calendar.at_or_after(local)) is not None:
            found = first_moment(shown, self.zone)
            if found > moment:
                return found
            local = shown + _SECOND  # the clock shows it for the second time now
        return None

    def _as_it_goes(self, moment: datetime, local: datetime) -> datetime | None:
        """Take what the clock shows, as often as it does."""
        found: datetime | None = None
        while found is None and (shown := self.calendar.at_or_after(local)) is not None:
            times = moments(shown, self.zone)
            found = next((time for time in times if time > moment), None)
            local = shown + _SECOND if times else wall(first_moment(shown, self.zone), self.zone)
        soon = moment + _DAY_AND_MORE
        fold = next_fold(moment, soon if found is None else min(soon, found), self.zone)
        again = self.calendar.at_or_after(wall(fold, self.zone)) if fold else None
        if fold is not None and again is not None:
            repeated = [time for time in moments(again, self.zone) if time >= fold]
            found = min([*repeated, *([found] if found else [])], default=None)
        return found


@dataclass(frozen=True, slots=True)
class EvenEntry:
    """Moments at the same distance from each other."""

    interval: IntervalEntry
    """How far, and from where."""

    def after(self, moment: datetime) -> datetime | None:
        """Return the first moment behind one."""
        every, begin = self.interval.every, _EPOCH + self.interval.offset
        found = begin + ((moment - begin) // every + 1) * every
        return found if found < _HORIZON else None


@dataclass(frozen=True, slots=True)
class Times:
    """The moments of a spec."""

    entries: tuple[Entry, ...]
    """Where they come from."""
    excluded: tuple[ClockEntry, ...]
    """What is left out."""
    start: datetime
    """The first that may be."""
    end: datetime
    """The last that may be."""
    jitter: timedelta
    """How much each may be put off."""

    def after(self, moment: datetime) -> datetime | None:
        """Return the first moment behind one."""
        return next(self.upcoming(moment), None)

    def upcoming(self, moment: datetime) -> Iterator[datetime]:
        """Yield the moments behind one, in order, each once."""
        at = max(min(moment, _HORIZON), self.start - _MICROSECOND)
        heads = [entry.after(at) for entry in self.entries]
        steps = _FIRST_STEPS
        while steps > 0 and (found := min((head for head in heads if head), default=None)) is not None:
            if found > self.end:
                return
            skip = self._skip(found)
            if skip is None:
                yield found
                steps += _STEPS_EACH
            at = found if skip is None else skip - _MICROSECOND
            for index, head in enumerate(heads):
                if head is not None and head <= at:
                    heads[index] = self.entries[index].after(at)
                    steps -= 1
            steps -= 1 + len(self.excluded) // 8

    def due(self, planned: datetime, seed: str) -> datetime:
        """Return when a moment is acted on: the same one for everybody who asks.

        Args:
            planned: One of the moments.
            seed: Tells schedules apart.
        """
        if not self.jitter:
            return planned
        following = self.after(planned)
        room = self.jitter if following is None else min(self.jitter, following - planned)
        digest = hashlib.blake2b(f"{seed} {planned.isoformat()}".encode(), digest_size=8).digest()
        share = int.from_bytes(digest, "big") / 2**64
        put_off = planned + room * share
        return put_off.replace(microsecond=put_off.microsecond // 1_000 * 1_000)

    def _skip(self, moment: datetime) -> datetime | None:
        """Return up to when everything is excluded, given a moment that is; None when it is not."""
        for entry in self.excluded:
            local = wall(moment, entry.zone)
            if entry.calendar.holds(local):
                later = first_moment(entry.calendar.free_from(local), entry.zone)
                return max(later, moment + _MICROSECOND)
        return None


@lru_cache(maxsize=1_024)
def times_of(spec: Spec) -> Times:
    """Return the moments of a spec without faults.

    Raises:
        LookupError: This machine does not know one of its zones.
    """
    clocks = [
        ClockEntry(parse_cron(cron.expression), zone_of(cron.time_zone or spec.time_zone))
        for cron in spec.crons
    ]
    clocks += [_clock(entry, spec.time_zone) for entry in spec.calendars]
    return Times(
        entries=(*clocks, *map(EvenEntry, spec.intervals)),
        excluded=tuple(_clock(entry, spec.time_zone, excluded=True) for entry in spec.excluded),
        start=spec.start_time or _EPOCH,
        end=spec.end_time or _HORIZON,
        jitter=spec.jitter,
    )


def _clock(entry: CalendarEntry, time_zone: str, *, excluded: bool = False) -> ClockEntry:
    weekdays = frozenset(number % 7 for number in _numbers(entry.weekdays, ()))
    days = frozenset(_numbers(entry.days, ()))
    calendar = Calendar(
        seconds=_numbers(entry.seconds, range(60) if excluded else (0,)),
        minutes=_numbers(entry.minutes, range(60) if excluded else (0,)),
        hours=_numbers(entry.hours, range(24) if excluded else (0,)),
        month_days=MonthDays(numbers=days) if days else None,
        months=_numbers(entry.months, range(1, 13)),
        week_days=WeekDays(numbers=weekdays) if weekdays else None,
        years=_numbers(entry.years, ()),
    )
    return ClockEntry(calendar, zone_of(entry.time_zone or time_zone))


def _numbers(ranges: tuple[Range, ...], default: range | tuple[int, ...]) -> tuple[int, ...]:
    if not ranges:
        return tuple(default)
    return tuple(sorted({number for each in ranges for number in range(each.start, each.end + 1, each.step)}))
