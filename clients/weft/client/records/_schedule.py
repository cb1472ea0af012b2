"""Records of schedules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from weft.client.records._base import Record
from weft.client.records._execution import Failure
from weft.core.context import CallContext
from weft.core.payload import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class CronEntry(Record):
    """A cron expression in a time zone."""

    expression: str
    """``minute hour day month weekday``, seconds before and a year behind where wanted; or ``@daily``."""
    time_zone: str = ""
    """IANA name; empty: that of the spec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarEntry(Record):
    """Moments that have all the parts that are given, each as numbers and ranges: ``9``, ``0-59/15``."""

    seconds: tuple[str, ...] = ()
    """Empty: 0."""
    minutes: tuple[str, ...] = ()
    """Empty: 0."""
    hours: tuple[str, ...] = ()
    """Empty: 0."""
    days: tuple[str, ...] = ()
    """Of the month; empty: all."""
    months: tuple[str, ...] = ()
    """Empty: all."""
    weekdays: tuple[str, ...] = ()
    """0 is Sunday; empty: all."""
    years: tuple[str, ...] = ()
    """Empty: all."""
    time_zone: str = ""
    """IANA name; empty: that of the spec."""
    comment: str = ""
    """For people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalEntry(Record):
    """Moments at the same distance from each other, counted from 1970."""

    every: timedelta
    """The distance."""
    offset: timedelta | None = None
    """How much later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec(Record):
    """When a schedule fires: at every moment of any entry that is not excluded."""

    crons: tuple[CronEntry, ...] = ()
    """Cron expressions."""
    calendars: tuple[CalendarEntry, ...] = ()
    """Moments by their parts."""
    intervals: tuple[IntervalEntry, ...] = ()
    """Moments at the same distance from each other."""
    excluded: tuple[CalendarEntry, ...] = ()
    """When not; here a part that is empty stands for all."""
    time_zone: str = ""
    """IANA name, for entries without one; empty: UTC."""
    start_time: datetime | None = None
    """Nothing before."""
    end_time: datetime | None = None
    """Nothing after."""
    jitter: timedelta | None = None
    """Each moment is put off by up to this much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleAction(Record):
    """What a schedule starts."""

    workflow: str
    """Id or name."""
    version: int = 0
    """0: what the alias names, or else the latest."""
    alias: str = ""
    """By which alias, in place of a version."""
    input: JsonObject | None = None
    """What the execution is started with."""
    context: CallContext = field(default_factory=CallContext)
    """What travels with it."""
    search_attributes: Mapping[str, str | float | bool] = field(default_factory=dict)
    """What it can be found by, beside ``schedule`` and ``scheduled_time``."""
    timeout: timedelta | None = None
    """How long it may take in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePolicies(Record):
    """How a schedule starts things."""

    overlap: str = "SKIP"
    """``SKIP``, ``BUFFER_ONE``, ``BUFFER_ALL``, ``CANCEL_OTHER``, ``TERMINATE_OTHER`` or ``ALLOW_ALL``."""
    catch_up_window: timedelta | None = None
    """How late a start may be."""
    pause_on_failure: bool = False
    """Whether a failure pauses it."""
    max_runs: int = 0
    """After how many starts by the clock it is over; 0: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleInfo(Record):
    """What came of a schedule so far."""

    next_time: datetime | None = None
    """The next time it fires, without jitter."""
    last_time: datetime | None = None
    """The planned time of the newest run that was started."""
    started: int = 0
    """How many executions it started."""
    skipped: int = 0
    """How many starts were left out, as another execution was open."""
    missed: int = 0
    """How many came up too late."""
    failed: int = 0
    """How many could not be started."""
    pending: int = 0
    """How many wait for their turn."""
    open: int = 0
    """How many of its executions are open, as far as it has looked."""
    remaining_runs: int | None = None
    """How many starts by the clock are left, where there is a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(Record):
    """Starts a workflow at certain times."""

    id: str
    """Assigned by the server."""
    name: str
    """Unique."""
    description: str = ""
    """For people."""
    spec: ScheduleSpec
    """When."""
    action: ScheduleAction
    """What."""
    policies: SchedulePolicies
    """How."""
    state: str
    """``ACTIVE``, ``PAUSED`` or ``COMPLETED``."""
    note: str = ""
    """Why it is paused, or was resumed."""
    info: ScheduleInfo
    """What came of it."""
    etag: str = ""
    """Send it back with a change to refuse overwriting another's."""
    create_time: datetime | None = None
    """When it was created."""
    update_time: datetime | None = None
    """When it was last changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRun(Record):
    """One time that a schedule acted on, or did not."""

    number: int
    """1, 2, 3, …"""
    kind: str
    """``SCHEDULED``, ``TRIGGERED`` or ``BACKFILLED``."""
    planned_time: datetime | None = None
    """When it was to be, without jitter."""
    state: str
    """``PENDING``, ``STARTED``, ``ENDED``, ``SKIPPED``, ``MISSED`` or ``FAILED``."""
    time: datetime | None = None
    """When it was started, or given up."""
    execution_id: str = ""
    """What was started."""
    failure: Failure | None = None
    """Why nothing was."""
    count: int = 1
    """How many times this stands for; more than 1 only for ``MISSED``."""
    overlap: str = ""
    """What it does when another one is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill(Record):
    """What a backfill added."""

    count: int
    """How many runs."""
    first_time: datetime | None = None
    """The first of their times."""
    last_time: datetime | None = None
    """The last of their times."""
