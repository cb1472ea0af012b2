"""Workflows, their steps, and what is found in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from weft.client.records._base import Record


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
class Concurrency(Record):
    """How many executions of a workflow run at the same time."""

    limit: int
    """How many, of each key."""
    key: str = ""
    """Text with expressions over ``input`` and ``context``; empty: one key for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Record):
    """One step: a call of an action, and where to go from there."""

    id: str
    """Unique in the workflow."""
    service: str
    """Name of a registered service."""
    action: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem(Record):
    """One thing found in a definition."""

    path: str
    """Where, such as ``steps[1].next``."""
    code: str
    """Which rule, stable."""
    message: str
    """What is wrong."""
    hint: str = ""
    """What to do about it."""
    severity: str = "ERROR"
    """``ERROR`` or ``WARNING``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionShare(Record):
    """How many of the executions that are started by an alias run a version."""

    version: int
    """Which version."""
    percent: int = 100
    """1 to 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowAlias(Record):
    """A name for a version of a workflow, or for several."""

    name: str
    """Such as ``stable``."""
    shares: tuple[VersionShare, ...] = ()
    """By version; the percentages add up to 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow(Record):
    """A named, versioned definition made of steps."""

    id: str
    """Assigned by the server."""
    name: str
    """Unique among workflows that are not deleted."""
    description: str = ""
    """For people."""
    steps: tuple[Step, ...] = ()
    """The first one is where an execution begins."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Free JSON object."""
    input_schema: Mapping[str, Any] | None = None
    """JSON Schema of the input; None takes any object."""
    output_schema: Mapping[str, Any] | None = None
    """JSON Schema of the result; None takes any object."""
    timeout: timedelta | None = None
    """How long an execution may take in all; None: no limit."""
    state: str = ""
    """``ACTIVE``, ``INACTIVE`` or ``PAUSED``."""
    version: int = 0
    """1, 2, 3, …"""
    etag: str = ""
    """Send it with a change to refuse overwriting another's."""
    create_time: datetime | None = None
    """When the workflow was created."""
    update_time: datetime | None = None
    """When it last changed."""
    version_create_time: datetime | None = None
    """When this version was created."""
    concurrency: Concurrency | None = None
    """How many executions run at the same time; None: as many as are started."""
    aliases: tuple[WorkflowAlias, ...] = ()
    """Names of versions, by name; ``latest``, which always is, is not among them."""
    warnings: tuple[Problem, ...] = ()
    """What a create or update found that does not stand in the way."""
