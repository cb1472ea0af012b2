"""Workflows, and what is found in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from weft.client.records._base import OMIT_EMPTY, OMIT_NONE, Record
from weft.client.records._step import Step, StepRetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency(Record):
    """How many executions of a workflow run at the same time."""

    limit: int
    """How many, of each key."""
    key: str = ""
    """Text with expressions over ``input`` and ``context``; empty: one key for all."""
    on_conflict: str = "QUEUE"
    """``QUEUE``, ``REJECT`` or ``CANCEL_RUNNING``: what becomes of further ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDefaults(Record):
    """What steps have that say nothing themselves."""

    retry: StepRetry | None = None
    """How calls of actions are tried again."""
    timeout: timedelta | None = None
    """How long one attempt may take."""
    heartbeat_timeout: timedelta | None = None
    """How long a running attempt may be silent."""
    schedule_to_close_timeout: timedelta | None = None
    """How long all attempts may take together."""


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
    finally_: tuple[Step, ...] = field(default=(), metadata={OMIT_EMPTY: True})
    """What runs at the end, however the execution ends."""
    defaults: StepDefaults | None = field(default=None, metadata={OMIT_NONE: True})
    """What steps have that say nothing themselves."""
    retention: timedelta | None = field(default=None, metadata={OMIT_NONE: True})
    """How long ended executions are kept; None: as the server is configured."""
    search_attributes: Mapping[str, str] = field(default_factory=dict, metadata={OMIT_EMPTY: True})
    """What executions can be found by: for each name, text with an expression."""
    labels: Mapping[str, str] = field(default_factory=dict, metadata={OMIT_EMPTY: True})
    """For people and tools."""
    aliases: tuple[WorkflowAlias, ...] = ()
    """Names of versions, by name; ``latest``, which always is, is not among them."""
    warnings: tuple[Problem, ...] = ()
    """What a create or update found that does not stand in the way."""
