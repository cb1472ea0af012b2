"""The store port: what the server needs kept, and the promises of whoever keeps it.

Promises of every adapter:

* Each method is one transaction, and it is durable when the method returns.
* Concurrent calls may share a commit (group commit); none sees another's
  uncommitted writes.
* A write that fails with ``StoreUnavailableError`` has an *unknown* outcome: it
  may be there after the store is back. The adapter has then told its listeners
  ``BROKEN``, and tells them ``HEALTHY`` once it has reopened and can be read.
* A repeat with the same ``RequestKey`` writes nothing and returns what the first
  one returned.

Several servers may share a store. Each holds a lease with an **epoch** of its own,
by the store's clock; the adapter takes it in ``open``, renews it, and frees what a
server held whose lease ran out. An execution in work belongs to one epoch; writes to
it are fenced: those of an epoch that is gone, or that does not own it, write nothing.
An adapter that lost its lease tells ``BROKEN``, takes a new one, and tells
``HEALTHY``. What waits for longer than a moment belongs to nobody: any server may
claim it when it is due.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from weft.server.store.batches import BatchStore
from weft.server.store.errors import (
    KeyTakenError,
    SlotFullError,
    StoreDamagedError,
    StoreFullError,
    StoreInUseError,
    StoreUnavailableError,
)
from weft.server.store.executions import Claim, Command, ExecutionStore
from weft.server.store.registry import RegistryStore
from weft.server.store.schedules import ScheduleStore
from weft.server.store.step_shares import StepShareStore
from weft.server.store.upkeep import UpkeepStore
from weft.server.store.values import (
    COUNT_LIMIT,
    WINDOW,
    ExecutionFilter,
    Group,
    Page,
    RequestKey,
    Slice,
    StaleWriteError,
    StoreState,
    WhenFull,
)
from weft.server.store.workflows import WorkflowStore

__all__ = [
    "COUNT_LIMIT",
    "WINDOW",
    "Claim",
    "Command",
    "ExecutionFilter",
    "ExecutionStore",
    "Group",
    "KeyTakenError",
    "Page",
    "RegistryStore",
    "RequestKey",
    "Slice",
    "SlotFullError",
    "StaleWriteError",
    "Store",
    "StoreDamagedError",
    "StoreFullError",
    "StoreInUseError",
    "StoreState",
    "StoreUnavailableError",
    "WhenFull",
    "WorkflowStore",
]


class Store(
    RegistryStore,
    WorkflowStore,
    ExecutionStore,
    BatchStore,
    ScheduleStore,
    UpkeepStore,
    StepShareStore,
    Protocol,
):
    """Everything that is kept, in one place."""

    @property
    def name(self) -> str:
        """What it is, for people, such as ``sqlite /var/lib/weft/weft.db``."""
        ...

    @property
    def state(self) -> StoreState:
        """Whether it can do its work, as far as is known."""
        ...

    async def open(self) -> None:
        """Make ready: take ownership, migrate, recover.

        Raises:
            StoreInUseError: Another process has it.
            StoreUnavailableError: It cannot be opened; the message says why.
        """
        ...

    async def close(self) -> None:
        """Finish what waits and let go. Idempotent."""
        ...

    async def check(self) -> None:
        """Prove that it can be written and read.

        Raises:
            StoreUnavailableError: It cannot be.
            StoreFullError: There is no space left.
        """
        ...

    def subscribe(self, listener: Callable[[StoreState], None]) -> None:
        """Call back in the event loop at every change of ``state``."""
        ...

    async def forget_requests(self, before: datetime) -> int:
        """Delete request keys of registry and workflow mutations that are older; return how many."""
        ...
