"""What is asked of every store, and what comes back: pages, filters, request keys, its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final, Generic, TypeVar

from weft.server.execution.history.model import ExecutionState
from weft.server.query.predicate import Predicate

__all__ = [
    "COUNT_LIMIT",
    "WINDOW",
    "ExecutionFilter",
    "Group",
    "Page",
    "RequestKey",
    "Slice",
    "StaleWriteError",
    "StoreState",
    "WhenFull",
]

T = TypeVar("T")

COUNT_LIMIT: Final = 5_000
"""How far the total of a list is counted."""
WINDOW: Final = 10_000
"""In how many executions a page is looked for at once."""


@unique
class StoreState(StrEnum):
    """Whether the store can do its work."""

    HEALTHY = "HEALTHY"
    BROKEN = "BROKEN"


class StaleWriteError(Exception):
    """What the write was based on has changed; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhenFull:
    """What becomes of an execution while as many of its slot run as may; without one it waits."""

    refuse: bool = False
    """Whether it is refused instead."""
    order: tuple[str, bytes] | None = None
    """Kind and body of a command that is left, in the same transaction, for the oldest that are open: for as
    many that it has its turn when they have ended."""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Makes a mutation idempotent."""

    method: str
    """Full name of the RPC, or of what several have in common."""
    request_id: str
    """Chosen by the caller."""
    fingerprint: bytes
    """Hash of the request's content."""
    called: str = field(default="", compare=False)
    """Full name of the RPC that was called, where several share their ids under one name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list is wanted."""

    size: int
    """At most this many items."""
    after: str = ""
    """The paging key of the last item of the page before; empty: from the beginning."""
    skip: int = 0
    """How many to pass over first."""
    counted: bool = True
    """Whether the total is wanted."""


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """One page of a list."""

    items: tuple[T, ...]
    """In the order of the list."""
    more: bool
    """Whether something follows."""
    total: int
    """How many there are on all pages."""
    total_is_minimum: bool = False
    """Whether there may be more: counting ends early."""
    next_after: str = ""
    """Where to go on, when something may follow that was not looked for: then items may be few, or none."""
    unread: tuple[str, ...] = ()
    """Names of what belongs to this page, and only servers of a newer release can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFilter:
    """Which executions are wanted; None means any."""

    workflow_id: str | None = None
    """Only of this workflow."""
    state: ExecutionState | None = None
    """Only in this state."""
    where: Predicate | None = None
    """Only what this selects; its fields are those of ``weft.server.execution.filters``."""


@dataclass(frozen=True, slots=True)
class Group:
    """Executions that have a value in common."""

    value: str | float | bool
    """The value."""
    count: int
    """How many."""
