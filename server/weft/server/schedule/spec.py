"""When a schedule fires, as its author wrote it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

__all__ = ["CalendarEntry", "CronEntry", "IntervalEntry", "Range", "Spec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers from one to another."""

    start: int
    """The first."""
    end: int
    """The last."""
    step: int = 1
    """How far from one to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronEntry:
    """A cron expression."""

    expression: str
    """Five to seven fields, or a word."""
    time_zone: str = ""
    """IANA name; empty: that of the schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarEntry:
    """Moments by their parts: all that are given must hold."""

    seconds: tuple[Range, ...] = ()
    """0 to 59; empty: 0."""
    minutes: tuple[Range, ...] = ()
    """0 to 59; empty: 0."""
    hours: tuple[Range, ...] = ()
    """0 to 23; empty: 0."""
    days: tuple[Range, ...] = ()
    """Of the month, 1 to 31; empty: all."""
    months: tuple[Range, ...] = ()
    """1 to 12; empty: all."""
    weekdays: tuple[Range, ...] = ()
    """0 (Sunday) to 6, and 7 is Sunday too; empty: all."""
    years: tuple[Range, ...] = ()
    """1970 to 2199; empty: all."""
    time_zone: str = ""
    """IANA name; empty: that of the schedule."""
    comment: str = ""
    """For people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalEntry:
    """Moments at the same distance from each other, counted from 1970-01-01T00:00:00Z."""

    every: timedelta
    """The distance."""
    offset: timedelta = timedelta()
    """How much later; less than the distance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """When a schedule fires: at every moment of any entry that is not excluded."""

    crons: tuple[CronEntry, ...] = ()
    """Cron expressions."""
    calendars: tuple[CalendarEntry, ...] = ()
    """Calendars."""
    intervals: tuple[IntervalEntry, ...] = ()
    """Intervals."""
    excluded: tuple[CalendarEntry, ...] = ()
    """When not; an empty part of one stands for all."""
    time_zone: str = ""
    """IANA name, for entries without one; empty: UTC."""
    start_time: datetime | None = None
    """Nothing before."""
    end_time: datetime | None = None
    """Nothing after."""
    jitter: timedelta = field(default_factory=timedelta)
    """Each moment is put off by up to this much, and never behind the next one."""
