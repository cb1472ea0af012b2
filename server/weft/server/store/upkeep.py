"""The store port of what is deleted, and of what comes from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from weft.server.execution.history.model import Event, Execution, ExecutionState

__all__ = ["UpkeepStore"]


class UpkeepStore(Protocol):
    """Executions that leave the store, and that come into it as a whole."""

    async def all_workflow_ids(self) -> tuple[str, ...]:
        """Return the ids of all workflows, also of those that are deleted."""
        ...

    async def discard_executions(
        self, workflow_id: str, state: ExecutionState, before: datetime, limit: int
    ) -> int:
        """Take executions away that reached a final state before a time; return how many.

        Those with a ``retention`` of their own stay. From then on they are not found. Their events are left
        to ``empty_trash``, so that this is a small transaction, however long their histories are.
        """
        ...

    async def discard_kept(self, now: datetime, limit: int) -> int:
        """Take executions away that were kept as long as their own ``retention`` says; return how many.

        ``discard_executions`` leaves these alone. Otherwise it is the same.
        """
        ...

    async def empty_trash(self, limit: int) -> int:
        """Delete events of executions that were taken away: that many at most; return 0 when none is left."""
        ...

    async def import_execution(self, execution: Execution, events: Sequence[Event]) -> bool:
        """Store an execution that has ended, with its whole history; tell whether it was not there before.

        Raises:
            StaleWriteError: Events of an execution with this id are still being deleted.
        """
        ...
