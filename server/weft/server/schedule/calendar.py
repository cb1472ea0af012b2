"""Which moments of a wall clock are meant: seconds to years, days of a month, weekdays."""

from __future__ import annotations

import calendar as months
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

__all__ = ["FIRST_YEAR", "LAST_YEAR", "Calendar", "MonthDays", "WeekDays"]

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199
"""The last year that a calendar is looked through for a moment."""

_DAY: Final = timedelta(days=1)
_WEEK: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthDays:
    """Days by their place in a month."""

    numbers: frozenset[int] = frozenset()
    """1 to 31; where a month is shorter, that day is not."""
    from_last: frozenset[int] = frozenset()
    """0: the last day, 1: the one before, …"""
    near: frozenset[int] = frozenset()
    """The working day (Monday to Friday) nearest to this one, in the same month; 0, -1, …: from the last."""

    def of(self, year: int, month: int) -> set[int]:
        """Return the days of one month."""
        length = _length(year, month)
        days = {day for day in self.numbers if day <= length}
        days |= {length - back for back in self.from_last if back < length}
        for near in self.near:
            day = near if near > 0 else length + near
            if 1 <= day <= length:
                days.add(_working_day(year, month, day, length))
        return days


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekDays:
    """Days by their weekday: 0 is Sunday, 6 is Saturday."""

    numbers: frozenset[int] = frozenset()
    """Each of them."""
    nth: frozenset[tuple[int, int]] = frozenset()
    """A weekday, and the how many-th of the month: 1 to 5."""
    last: frozenset[int] = frozenset()
    """The last of that weekday in the month."""

    def of(self, year: int, month: int) -> set[int]:
        """Return the days of one month."""
        length = _length(year, month)
        days = {
            day for number in self.numbers for day in range(_first(year, month, number), length + 1, _WEEK)
        }
        for number, nth in self.nth:
            day = _first(year, month, number) + (nth - 1) * _WEEK
            if day <= length:
                days.add(day)
        for number in self.last:
            first = _first(year, month, number)
            days.add(first + (length - first) // _WEEK * _WEEK)
        return days


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Moments of a wall clock, to the second."""

    seconds: tuple[int, ...] = (0,)
    """In order."""
    minutes: tuple[int, ...] = (0,)
    """In order."""
    hours: tuple[int, ...] = (0,)
    """In order."""
    month_days: MonthDays | None = None
    """None: all."""
    months: tuple[int, ...] = tuple(range(1, 13))
    """In order."""
    week_days: WeekDays | None = None
    """None: all."""
    either: bool = False
    """Whether one of ``month_days`` and ``week_days`` is enough."""
    years: tuple[int, ...] = field(default=())
    """In order; none: all."""

    @property
    def every_hour(self) -> bool:
        """Whether the hour makes no difference."""
        return len(self.hours) == 24

    def at_or_after(self, local: datetime) -> datetime | None:
        """Return the first of its moments that is not before a time of the same wall clock."""
        if local.microsecond:
            local = local.replace(microsecond=0) + timedelta(seconds=1)
        today = local.date()
        if self._has_day(today):
            moment = self._time_from(local)
            if moment is not None:
                return datetime.combine(today, moment)
        day = self._day_after(today)
        return None if day is None else datetime.combine(day, self._first_time())

    def holds(self, local: datetime) -> bool:
        """Tell whether a moment is one of its own."""
        return (
            local.second in self.seconds
            and local.minute in self.minutes
            and local.hour in self.hours
            and self._has_day(local.date())
        )

    def free_from(self, local: datetime) -> datetime:
        """Return a later moment up to which all are its own, given one that is: the next second at least."""
        start = local.replace(second=0, microsecond=0)
        if len(self.seconds) < 60:
            return local.replace(microsecond=0) + timedelta(seconds=1)
        if len(self.minutes) < 60:
            return start + timedelta(minutes=1)
        if not self.every_hour:
            return start.replace(minute=0) + timedelta(hours=1)
        return start.replace(minute=0, hour=0) + _DAY

    def _first_time(self) -> time:
        return time(self.hours[0], self.minutes[0], self.seconds[0])

    def _time_from(self, local: datetime) -> time | None:
        """Return the first moment of a day that is not before the given one."""
        hour, minute = local.hour, local.minute
        if hour in self.hours:
            if minute in self.minutes and local.second <= self.seconds[-1]:
                second = self.seconds[bisect_left(self.seconds, local.second)]
                return time(hour, minute, second)
            if minute < self.minutes[-1]:
                later = self.minutes[bisect_left(self.minutes, minute + 1)]
                return time(hour, later, self.seconds[0])
        if hour >= self.hours[-1]:
            return None
        return time(self.hours[bisect_left(self.hours, hour + 1)], self.minutes[0], self.seconds[0])

    def _has_day(self, day: date) -> bool:
        if day.month not in self.months or (self.years and day.year not in self.years):
            return False
        return day.day in self._days(day.year, day.month)

    def _day_after(self, day: date) -> date | None:
        """Return the first of its days behind one."""
        month = day.month
        for year in self._years_from(day.year):
            for wanted in self.months:
                if year == day.year and wanted < month:
                    continue
                after = day.day if (year, wanted) == (day.year, month) else 0
                for number in self._days(year, wanted):
                    if number > after:
                        return date(year, wanted, number)
        return None

    def _years_from(self, year: int) -> tuple[int, ...] | range:
        if not self.years:
            return range(max(year, FIRST_YEAR), LAST_YEAR + 1)
        return self.years[bisect_left(self.years, year) :]

    def _days(self, year: int, month: int) -> tuple[int, ...]:
        return _days(self.month_days, self.week_days, year, month, either=self.either)


@lru_cache(maxsize=4_096)
def _days(
    month_days: MonthDays | None,
    week_days: WeekDays | None,
    year: int,
    month: int,
    *,
    either: bool,
) -> tuple[int, ...]:
    """Return the days of a month that are meant, in order."""
    if month_days is None and week_days is None:
        return tuple(range(1, _length(year, month) + 1))
    if month_days is None or week_days is None:
        only = month_days or week_days
        assert only is not None
        return tuple(sorted(only.of(year, month)))
    by_place, by_weekday = month_days.of(year, month), week_days.of(year, month)
    return tuple(sorted(by_place | by_weekday if either else by_place & by_weekday))


def _length(year: int, month: int) -> int:
    return months.monthrange(year, month)[1]


def _first(year: int, month: int, weekday: int) -> int:
    """Return the first day of a month that is that weekday."""
    begins = (date(year, month, 1).weekday() + 1) % _WEEK
    return 1 + (weekday - begins) % _WEEK


def _working_day(year: int, month: int, day: int, length: int) -> int:
    """Return the working day that is nearest to a day without leaving its month."""
    weekday = date(year, month, day).weekday()
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < length else day - 2
    return day
