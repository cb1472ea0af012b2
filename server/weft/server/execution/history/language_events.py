"""What can happen to an execution beside calls of actions: bodies, waits, messages, the end."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum, unique

from weft.core.values import dataclass
from weft.server.execution.history.failure import Failure

__all__ = [
    "Asked",
    "EventEmitted",
    "ExecutionClosing",
    "MapStarted",
    "Outcome",
    "ScopeCompleted",
    "ScopeFailed",
    "SignalReceived",
    "StepWaiting",
    "Waits",
]


@unique
class Waits(StrEnum):
    """What an open execution waits for before its next step; empty while it is worked on."""

    NOTHING = ""
    RETRY = "RETRY"
    """The time of the next attempt."""
    COMPLETION = "COMPLETION"
    """The outcome of an action that answers later."""
    RESUME = "RESUME"
    """Somebody who resumes the execution."""
    WORKFLOW = "WORKFLOW"
    """Somebody who resumes its workflow."""
    INCIDENT = "INCIDENT"
    """Somebody who resolves an incident."""
    SLOT = "SLOT"
    """An execution before it, of the same concurrency key, to end."""
    TIMER = "TIMER"
    """A time that a step names."""
    SIGNAL = "SIGNAL"
    """A message."""
    APPROVAL = "APPROVAL"
    """A person's decision."""
    CHILD = "CHILD"
    """A child execution to end."""
    STEP_LIMIT = "STEP_LIMIT"
    """Its turn at a step with a limit."""


@unique
class Outcome(StrEnum):
    """As what an execution ends."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStarted:
    """A map knows its items."""

    step_id: str
    """Which step."""
    count: int
    """How many there are."""
    items: bytes
    """JSON text: ``{"list": […]}`` or ``{"from": …, "step": …}``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person is asked."""

    title: str = ""
    """The question."""
    assignees: tuple[str, ...] = ()
    """Who is asked."""
    due_time: datetime | None = None
    """When it should be decided."""
    outcomes: tuple[str, ...] = ()
    """What can be decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWaiting:
    """A step waits for a time, a message, a person or a child."""

    step_id: str
    """Which step."""
    waits: Waits
    """What for."""
    until: datetime | None = None
    """Until when; none: for ever."""
    signal: str = ""
    """Name of the message."""
    correlation: str = ""
    """What it belongs to; empty: anything."""
    asked: Asked | None = None
    """What a person is asked."""
    child: str = ""
    """Id of the child."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReceived:
    """A message came, and is kept until a step takes it."""

    signal_id: str
    """Which one; unique in the execution."""
    name: str
    """Its name."""
    correlation: str = ""
    """What it belongs to."""
    payload: bytes
    """JSON text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeCompleted:
    """A branch, an item or an iteration is done."""

    scope: str
    """Such as ``each[3]``."""
    output: bytes
    """JSON text of what its last step gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeFailed:
    """A branch, an item or an iteration failed."""

    scope: str
    """Such as ``each[3]``."""
    failure: Failure
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEmitted:
    """Something was told to the world."""

    step_id: str
    """Which step."""
    type: str
    """Which kind of event."""
    data: bytes
    """JSON text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionClosing:
    """The outcome is decided; what was done is undone, and what runs at the end runs."""

    outcome: Outcome
    """As what it will end."""
    result: bytes | None = None
    """JSON text of the result, if COMPLETED."""
    failure: Failure | None = None
    """Why, if FAILED."""
    reason: str = ""
    """What the caller said, if CANCELLED."""
    undo: tuple[str, ...] = ()
    """Paths of the steps that are undone, in this order."""
