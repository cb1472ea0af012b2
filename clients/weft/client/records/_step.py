"""Steps, and what they have for the case that something goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from weft.client.records._base import OMIT_EMPTY, OMIT_NONE, Record
from weft.client.records._kinds import (
    ApprovalStep,
    ChildStep,
    EmitStep,
    FailStep,
    LoopStep,
    MapStep,
    ParallelStep,
    SignalStep,
    SucceedStep,
    SwitchStep,
    WaitStep,
)
from weft.core.definitions import STEP_KINDS

_IF_EMPTY: Final = {OMIT_EMPTY: True}
_IF_NONE: Final = {OMIT_NONE: True}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRetry(Record):
    """How a step is tried again."""

    max_attempts: int = 3
    """Failed attempts in all; -1: without end."""
    initial_backoff: timedelta | None = None
    """The pause after the first failure; None: 1 s."""
    multiplier: float = 2.0
    """By how much each pause is longer than the one before."""
    max_backoff: timedelta | None = None
    """The longest pause; None: 60 s."""
    jitter: float = 0.2
    """A pause is up to this share longer, by chance."""
    non_retryable_reasons: tuple[str, ...] = ()
    """Reasons that are not tried again."""
    on_exhausted: str = "INCIDENT"
    """``INCIDENT`` or ``FAIL``: what happens when the attempts are used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorHandler(Record):
    """Where to go on after some failures."""

    reasons: tuple[str, ...] = ()
    """Which reasons; empty: all."""
    kind: str = ""
    """``BUSINESS`` or ``TECHNICAL``; empty: both."""
    next: str = ""
    """Id of a step of the same list; empty: the list ends here with ``{}``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation(Record):
    """How a completed step is undone."""

    action: str
    """Which action does it."""
    service: str = ""
    """Of which service; empty: the step's own."""
    input: Mapping[str, Any] | None = None
    """What the action gets, also over ``output`` and ``error``; None takes what its schema names."""
    retry: StepRetry | None = None
    """How it is tried again; None: 10 attempts."""
    timeout: timedelta | None = None
    """How long one attempt may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCache(Record):
    """Keeps what a step gave, for later executions."""

    ttl: timedelta
    """For how long."""
    key: str = ""
    """Text with expressions; empty: the input of the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLimit(Record):
    """Bounds calls of a step over all executions of the workflow."""

    key: str = ""
    """Text with expressions; calls of the same key count together. Empty: all."""
    concurrency: int = 0
    """How many run at the same time; 0: any number."""
    rate: int = 0
    """How many are begun in each ``per``; 0: any number."""
    per: timedelta | None = None
    """The time that ``rate`` is about; None: 1 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Record):
    """One step: a call of an action, unless one of its members says what else, and where to go from there."""

    id: str
    """Unique in the workflow."""
    service: str = ""
    """Name of a registered service."""
    action: str = ""
    """Name of one of its actions."""
    next: str = ""
    """Id of the step that follows; empty at the end."""
    input: Mapping[str, Any] | None = None
    """What the action gets, with expressions as ``${ … }``; None takes what its schema names."""
    timeout: timedelta | None = None
    """How long one attempt may take."""
    description: str = ""
    """For people."""
    service_version: str = ""
    """Which versions of the service it takes, such as ``^1.4``; empty: those of the newest API version."""
    retry: StepRetry | None = None
    """How it is tried again; None: not at all."""
    schedule_to_close_timeout: timedelta | None = None
    """How long all its attempts may take together."""
    heartbeat_timeout: timedelta | None = None
    """How long a running attempt may be silent."""
    output: Mapping[str, Any] | None = field(default=None, metadata=_IF_NONE)
    """What stands for what it gave, with expressions also over ``output``; None: all of it."""
    on_error: tuple[ErrorHandler, ...] = field(default=(), metadata=_IF_EMPTY)
    """Where to go on when it fails for good: the first that takes the failure."""
    compensate: Compensation | None = field(default=None, metadata=_IF_NONE)
    """What undoes it."""
    cache: StepCache | None = field(default=None, metadata=_IF_NONE)
    """Take what an earlier call gave, of any execution."""
    limit: StepLimit | None = field(default=None, metadata=_IF_NONE)
    """How much it is called, over all executions."""
    at_most_once: bool = field(default=False, metadata=_IF_EMPTY)
    """An attempt whose outcome is not known is not repeated: it is an incident."""
    switch: SwitchStep | None = field(default=None, metadata=_IF_NONE)
    """Where to go on."""
    parallel: ParallelStep | None = field(default=None, metadata=_IF_NONE)
    """Several lists of steps at the same time."""
    map: MapStep | None = field(default=None, metadata=_IF_NONE)
    """A list of steps for each item."""
    loop: LoopStep | None = field(default=None, metadata=_IF_NONE)
    """A list of steps again and again."""
    wait: WaitStep | None = field(default=None, metadata=_IF_NONE)
    """Some time."""
    signal: SignalStep | None = field(default=None, metadata=_IF_NONE)
    """A message from outside."""
    approval: ApprovalStep | None = field(default=None, metadata=_IF_NONE)
    """A decision by a person."""
    workflow: ChildStep | None = field(default=None, metadata=_IF_NONE)
    """Another workflow; ``input`` is its input."""
    set: Mapping[str, Any] | None = field(default=None, metadata=_IF_NONE)
    """Variables, with expressions: each member is ``vars.<name>`` from here on."""
    emit: EmitStep | None = field(default=None, metadata=_IF_NONE)
    """An event."""
    fail: FailStep | None = field(default=None, metadata=_IF_NONE)
    """An error."""
    succeed: SucceedStep | None = field(default=None, metadata=_IF_NONE)
    """The end of the execution, with success."""

    @property
    def kind(self) -> str:
        """What it is: ``action``, or the member that says what else."""
        return next((kind for kind in STEP_KINDS if getattr(self, kind) is not None), "action")
