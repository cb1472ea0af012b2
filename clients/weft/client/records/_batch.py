"""Records of what is about many executions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from weft.client.records._base import Record
from weft.client.records._execution import Execution, Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Record):
    """One operation on a fixed set of executions."""

    id: str
    """Assigned by the server."""
    operation: str
    """``CANCEL``, ``RETRY``, ``PAUSE`` or ``RESUME``."""
    filter: str
    """What selected the executions, when it was started."""
    reason: str = ""
    """Why; recorded in the histories."""
    state: str
    """``RUNNING``, ``COMPLETED`` or ``CANCELLED``."""
    total: int
    """How many items it has."""
    succeeded: int = 0
    """How many are done."""
    skipped: int = 0
    """For how many there was nothing to do."""
    failed: int = 0
    """How many could not be done; each item says why."""
    create_time: datetime | None = None
    """When it was started."""
    end_time: datetime | None = None
    """When it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem(Record):
    """One execution of a batch."""

    number: int
    """1, 2, 3, …"""
    execution_id: str
    """Which execution."""
    state: str
    """``PENDING``, ``SUCCEEDED``, ``SKIPPED`` or ``FAILED``."""
    failure: Failure | None = None
    """Why it was skipped or failed."""
    result_execution_id: str = ""
    """The execution that was made of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionGroup(Record):
    """Executions that have a value in common."""

    value: Any
    """Name of a state, id of a workflow, or an attribute's value."""
    workflow_name: str = ""
    """Of a workflow that is there."""
    count: int
    """How many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionCounts(Record):
    """What was counted."""

    total: int
    """How many in all."""
    groups: tuple[ExecutionGroup, ...] = ()
    """The 1,000 largest groups, the largest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedExecution(Record):
    """What came of an import."""

    execution: Execution
    """As it is stored now, without steps and payloads."""
    created: bool
    """Whether it was not there before."""
