"""Batches and their items."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, unique

from weft.server.execution.history.model import Failure

__all__ = ["Batch", "BatchItem", "BatchItemState", "BatchOperation", "BatchState", "Progress"]


@unique
class BatchOperation(StrEnum):
    """What is done to every item."""

    CANCEL = "CANCEL"
    """It is cancelled."""
    RETRY = "RETRY"
    """Its incident is resolved by trying again; one that ended badly runs anew from where it failed."""
    PAUSE = "PAUSE"
    """No further step of it is dispatched."""
    RESUME = "RESUME"
    """It goes on."""


@unique
class BatchState(StrEnum):
    """Where a batch stands."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    """Every item was tried, whatever came of it."""
    CANCELLED = "CANCELLED"
    """It was stopped; what was done stays done."""


@unique
class BatchItemState(StrEnum):
    """Where one item stands."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    SKIPPED = "SKIPPED"
    """There was nothing to do, such as for an execution that has ended, or is gone."""
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many items of a batch are in which state; the rest are pending."""

    succeeded: int = 0
    """Done."""
    skipped: int = 0
    """Nothing to do."""
    failed: int = 0
    """Not done; the item says why."""

    @property
    def done(self) -> int:
        """How many are not pending."""
        return self.succeeded + self.skipped + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One operation on a fixed set of executions."""

    id: str
    """``bat_`` and 26 characters."""
    operation: BatchOperation
    """What is done."""
    filter: str
    """What selected the executions, when the batch was started."""
    reason: str = ""
    """Why, for the histories."""
    total: int
    """How many items it has."""
    state: BatchState = BatchState.RUNNING
    """Where it stands."""
    progress: Progress = field(default_factory=Progress)
    """What came of its items so far."""
    create_time: datetime
    """When it was started."""
    end_time: datetime | None = None
    """When it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """One execution of a batch."""

    number: int
    """1, 2, 3, …"""
    execution_id: str
    """Which execution."""
    state: BatchItemState = BatchItemState.PENDING
    """What came of it."""
    failure: Failure | None = None
    """Why it was skipped or failed."""
    result_id: str = ""
    """The execution that was made of it, where the operation makes one."""
