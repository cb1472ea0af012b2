"""Use cases of batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import PreconditionError, ResourceNotFoundError
from weft.core.names import BATCH_PREFIX, is_id, new_id
from weft.core.reasons import Reason
from weft.server.batch.model import Batch, BatchItem, BatchItemState, BatchOperation, BatchState
from weft.server.execution.lists import ExecutionLists
from weft.server.query.predicate import Predicate
from weft.server.store.base import Page, RequestKey, Slice
from weft.server.store.batches import BatchStore

__all__ = ["MAX_ITEMS", "BatchService"]

MAX_ITEMS: Final = 100_000


class BatchService:
    """Starts, shows and stops batches; ``BatchRunner`` works on them.

    Args:
        store: Where they are kept.
        lists: Selects the items.
        clock: For times.
        on_start: Called when there is a new batch.
        max_items: The most that one batch may have.
    """

    def __init__(
        self,
        store: BatchStore,
        lists: ExecutionLists,
        clock: Clock,
        on_start: Callable[[], None] = lambda: None,
        max_items: int = MAX_ITEMS,
    ) -> None:
        self._store = store
        self._lists = lists
        self._clock = clock
        self._on_start = on_start
        self._max_items = max_items

    async def start(
        self,
        where: Predicate,
        text: str,
        operation: BatchOperation,
        reason: str,
        key: RequestKey | None,
    ) -> Batch:
        """Store a batch of what a filter selects now; a repeat returns what the first request started.

        Raises:
            ResourceNotFoundError: WORKFLOW_NOT_FOUND.
            PreconditionError: BATCH_TOO_LARGE.
            AlreadyExistsError: REQUEST_ID_REUSED.
        """
        if key is not None and (first := await self._store.recall_batch(key)):
            return first
        ids = await self._lists.select(await self._lists.wanted(where), self._max_items + 1)
        if len(ids) > self._max_items:
            limit = f"{self._max_items:,}"
            raise PreconditionError(
                f"the filter selects more than {limit} executions: narrow it, such as by create_time",
                reason=Reason.BATCH_TOO_LARGE,
                metadata={"limit": str(self._max_items)},
            )
        now = self._clock.now()
        batch = Batch(
            id=new_id(BATCH_PREFIX, now),
            operation=operation,
            filter=text,
            reason=reason,
            total=len(ids),
            state=BatchState.RUNNING if ids else BatchState.COMPLETED,
            create_time=now,
            end_time=None if ids else now,
        )
        stored = await self._store.insert_batch(batch, ids, key)
        self._on_start()
        return stored

    async def get(self, batch_id: str) -> Batch:
        """Return a batch as it stands.

        Raises:
            ResourceNotFoundError: BATCH_NOT_FOUND.
        """
        found = await self._store.get_batch(batch_id) if is_id(batch_id, BATCH_PREFIX) else None
        if found is None:
            raise ResourceNotFoundError("batch", batch_id)
        return found

    async def list(self, page: Page) -> Slice[Batch]:
        """Return batches, newest first."""
        return await self._store.list_batches(page)

    async def items(self, batch_id: str, state: BatchItemState | None, page: Page) -> Slice[BatchItem]:
        """Return items of a batch by number.

        Raises:
            ResourceNotFoundError: BATCH_NOT_FOUND.
        """
        batch = await self.get(batch_id)
        return await self._store.list_batch_items(batch.id, state, page)

    async def cancel(self, batch_id: str) -> Batch:
        """Stop a batch; one that has ended is returned as it is.

        Raises:
            ResourceNotFoundError: BATCH_NOT_FOUND.
        """
        batch = await self.get(batch_id)
        found = await self._store.cancel_batch(batch.id, self._clock.now())
        if found is None:
            raise ResourceNotFoundError("batch", batch_id)
        return found
