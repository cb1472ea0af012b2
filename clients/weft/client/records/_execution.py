"""Executions, their steps and their histories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from weft.client.records._base import OMIT_EMPTY, Record
from weft.core.context import CallContext
from weft.core.errors import Code, Violation
from weft.core.reasons import DOMAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(Record):
    """Why an execution or a step failed: an error at rest."""

    reason: str
    """UPPER_SNAKE_CASE and stable."""
    message: str
    """For a person."""
    code: Code
    """The canonical code."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Every dynamic value of the message."""
    violations: tuple[Violation, ...] = ()
    """The faults of the input or output."""
    retryable: bool = False
    """Whether the same call may succeed later."""
    domain: str = DOMAIN
    """Whose reason it is: ``weft``, or ``action.weft`` for an action's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest(Record):
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
class MapProgress(Record):
    """How far a map is."""

    count: int
    """How many items there are."""
    completed: int = 0
    """How many are done."""
    failed: int = 0
    """How many failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepExecution(Record):
    """Where one step of an execution stands."""

    step_id: str
    """The step's path: at the top its id in the workflow; in a body such as ``each[3]/book``."""
    service: str
    """Name of the service; empty for what is no call of an action."""
    action: str
    """Name of the action, likewise."""
    state: str
    """``SCHEDULED``, ``RETRYING``, ``WAITING``, ``OPEN``, ``INCIDENT``, ``COMPLETED``, ``FAILED``, …"""
    attempt: int
    """How often it was dispatched, as far as is recorded."""
    schedule_time: datetime | None = None
    """When it was first scheduled."""
    end_time: datetime | None = None
    """When it reached its final state."""
    failure: Failure | None = None
    """Why it failed, or why its last attempt did."""
    retry_time: datetime | None = None
    """When its next attempt is due."""
    progress: Mapping[str, Any] | None = None
    """What a running attempt told last, as far as that is recorded."""
    kind: str = field(default="", metadata={OMIT_EMPTY: True})
    """What it is: ``action``, ``switch``, ``map``, …; empty when the workflow is gone."""
    waits_for: str = field(default="", metadata={OMIT_EMPTY: True})
    """What it waits for: ``TIMER``, ``SIGNAL``, ``APPROVAL`` or ``CHILD``."""
    wait_until: datetime | None = field(default=None, metadata={OMIT_EMPTY: True})
    """Until when, as far as that is a time."""
    child_execution_id: str = field(default="", metadata={OMIT_EMPTY: True})
    """The child that it runs."""
    approval: ApprovalRequest | None = field(default=None, metadata={OMIT_EMPTY: True})
    """What a person is asked."""
    map: MapProgress | None = field(default=None, metadata={OMIT_EMPTY: True})
    """How far it is, of a map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCompensation(Record):
    """How one completed step is undone."""

    step_id: str
    """The path of the step."""
    service: str = ""
    """Name of the service whose action undoes it."""
    action: str = ""
    """Name of that action; empty: a child is undone."""
    state: str = ""
    """Where that stands; empty: not begun."""
    child_execution_id: str = ""
    """The child execution, if it is that which is undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent(Record):
    """The step that a child execution was started by."""

    execution_id: str
    """Id of the execution."""
    step_id: str = ""
    """The step's path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin(Record):
    """Which execution another one repeats."""

    execution_id: str
    """Its id."""
    from_step: str = ""
    """The first step that ran again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution(Record):
    """One run of one version of a workflow."""

    id: str
    """Assigned by the server."""
    workflow_id: str
    """Which workflow."""
    workflow_name: str
    """Its name at the start."""
    workflow_version: int
    """Which version, to the end."""
    state: str
    """Open: ``RUNNING``, ``PAUSED``, ``INCIDENT``. Ended: ``COMPLETED``, ``FAILED``, ``CANCELLED``, …"""
    input: Mapping[str, Any] | None = None
    """What it was started with; None in lists."""
    result: Mapping[str, Any] | None = None
    """Output of the last step; None unless it is ``COMPLETED``, and in lists."""
    failure: Failure | None = None
    """Why it ended, unless it is ``COMPLETED``."""
    context: CallContext = field(default_factory=CallContext)
    """What travels with it."""
    steps: tuple[StepExecution, ...] = ()
    """Every step that was scheduled so far; empty in lists."""
    last_event_number: int = 0
    """Number of the newest event of its history."""
    create_time: datetime | None = None
    """When it was accepted."""
    end_time: datetime | None = None
    """When it reached its final state."""
    expire_time: datetime | None = None
    """When it is timed out; None: never."""
    trace_id: str = ""
    """The trace that it is, from its start to the last call that it causes; 32 hexadecimal digits."""
    key: str = ""
    """The id that its caller chose."""
    origin: Origin | None = None
    """Which execution it repeats."""
    waits_for: str = ""
    """``RETRY``, ``TIMER``, ``SIGNAL``, ``APPROVAL``, ``CHILD``, ``INCIDENT``, …; empty: it is worked on."""
    wait_until: datetime | None = None
    """Until when it waits, as far as that is a time."""
    workflow_alias: str = ""
    """The alias that it was started by; empty: none."""
    concurrency_key: str = ""
    """What it shares with the executions that take turns with it."""
    search_attributes: Mapping[str, str | float | bool] = field(default_factory=dict)
    """What it can be found by."""
    parent: Parent | None = field(default=None, metadata={OMIT_EMPTY: True})
    """Whose child it is."""
    variables: Mapping[str, Any] = field(default_factory=dict, metadata={OMIT_EMPTY: True})
    """What ``set`` steps have set so far; empty in lists."""
    closing: bool = field(default=False, metadata={OMIT_EMPTY: True})
    """Whether its outcome is decided, and only undoing and what runs at the end is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Record):
    """One entry of a history."""

    number: int
    """1, 2, 3, … without gaps."""
    time: datetime | None
    """When it was recorded, by the server's clock."""
    kind: str
    """What happened, such as ``step_completed``."""
    state: str = field(default="", metadata={OMIT_EMPTY: True})
    """Where the execution stands after it; empty in a history, and then not in ``to_dict()``."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What is recorded of it, as plain JSON values."""
