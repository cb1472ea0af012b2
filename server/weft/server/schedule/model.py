"""Schedules and their runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Final

from weft.core.context import CallContext
from weft.core.payload import JsonObject, loads
from weft.server.execution.history.model import Failure
from weft.server.schedule.spec import Spec

__all__ = [
    "MAX_PENDING",
    "Action",
    "Counts",
    "Overlap",
    "Plan",
    "Policies",
    "Run",
    "RunKind",
    "RunState",
    "Schedule",
    "ScheduleState",
]

MAX_PENDING: Final = 1_000
"""How many runs of a schedule may wait for their turn."""


@unique
class Overlap(StrEnum):
    """What happens to a start while an execution of the same schedule is open."""

    SKIP = "SKIP"
    """It is left out."""
    BUFFER_ONE = "BUFFER_ONE"
    """It waits for its turn, unless one waits already."""
    BUFFER_ALL = "BUFFER_ALL"
    """It waits for its turn."""
    CANCEL_OTHER = "CANCEL_OTHER"
    """The open ones are cancelled; it starts when they have ended."""
    TERMINATE_OTHER = "TERMINATE_OTHER"
    """The open ones are ended at once."""
    ALLOW_ALL = "ALLOW_ALL"
    """It starts beside them."""


@unique
class ScheduleState(StrEnum):
    """Where a schedule stands."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    """It has no time left, or no start."""


@unique
class RunKind(StrEnum):
    """Why a run came up."""

    SCHEDULED = "SCHEDULED"
    TRIGGERED = "TRIGGERED"
    BACKFILLED = "BACKFILLED"


@unique
class RunState(StrEnum):
    """What came of a run."""

    PENDING = "PENDING"
    """It waits for its turn."""
    STARTED = "STARTED"
    """Its execution is open, as far as was looked."""
    ENDED = "ENDED"
    """Its execution has ended."""
    SKIPPED = "SKIPPED"
    """Another execution was open."""
    MISSED = "MISSED"
    """It came up too late."""
    FAILED = "FAILED"
    """It could not be started."""

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self not in {RunState.PENDING, RunState.STARTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What is started."""

    workflow: str
    """Id or name."""
    version: int = 0
    """0: what the alias names, or else the latest."""
    alias: str = ""
    """By which alias, in place of a version."""
    text: bytes = b"{}"
    """JSON text of the input."""
    context: CallContext = field(default_factory=CallContext)
    """What travels with it."""
    attributes: Mapping[str, str | float | bool] = field(default_factory=dict)
    """What the execution can be found by."""
    timeout: timedelta | None = None
    """How long the execution may take; none: the workflow's own."""

    @property
    def input(self) -> JsonObject:
        """The input."""
        return loads(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """How a schedule starts things."""

    overlap: Overlap = Overlap.SKIP
    """When one of its executions is open."""
    catch_up_window: timedelta = timedelta(minutes=1)
    """How late a start may be."""
    pause_on_failure: bool = False
    """Whether a failure pauses it."""
    max_runs: int = 0
    """After how many starts by the clock it is over; 0: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What comes next."""

    next_time: datetime | None = None
    """The next time, without jitter; None: it does not fire."""
    last_time: datetime | None = None
    """The planned time of the newest run that was started."""
    remaining: int | None = None
    """How many starts by the clock are left; None: any number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What came of the runs."""

    started: int = 0
    skipped: int = 0
    missed: int = 0
    failed: int = 0
    pending: int = 0
    """How many wait now."""
    open: int = 0
    """How many executions are open, as far as was looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Starts a workflow at certain times."""

    id: str
    """``sch_`` and 26 characters."""
    name: str
    """Unique."""
    description: str = ""
    """For people."""
    spec: Spec
    """When."""
    action: Action
    """What."""
    policies: Policies = field(default_factory=Policies)
    """How."""
    workflow_id: str
    """Which workflow the action named when it was last changed."""
    state: ScheduleState = ScheduleState.ACTIVE
    """Where it stands."""
    note: str = ""
    """Why it is paused, or was resumed."""
    plan: Plan = field(default_factory=Plan)
    """What comes next."""
    counts: Counts = field(default_factory=Counts)
    """What came of it."""
    last_run: int = 0
    """The number of the newest run."""
    revision: int = 1
    """Counts changes by people, and pauses."""
    create_time: datetime
    """When it was created."""
    update_time: datetime
    """When it was last changed."""

    @property
    def etag(self) -> str:
        """What a change is based on."""
        return f"r{self.revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One time that a schedule acts on."""

    number: int = 0
    """1, 2, 3, …; 0: not stored yet."""
    kind: RunKind
    """Why it came up."""
    key: str
    """Of its schedule's runs with the same key at most one starts an execution."""
    planned_time: datetime
    """When it was to be."""
    state: RunState = RunState.PENDING
    """What came of it."""
    overlap: Overlap
    """What it does when another one is open."""
    time: datetime | None = None
    """When it was started, or given up."""
    execution_id: str = ""
    """What was started."""
    failure: Failure | None = None
    """Why nothing was."""
    count: int = 1
    """How many times it stands for."""
