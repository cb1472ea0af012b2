"""The store port of batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from weft.server.batch.model import Batch, BatchItem, BatchItemState
from weft.server.store.values import Page, RequestKey, Slice

__all__ = ["BatchStore"]


class BatchStore(Protocol):
    """Batches and their items."""

    async def recall_batch(self, key: RequestKey) -> Batch | None:
        """Return the batch that the first request with this key started, as it stands.

        Raises:
            AlreadyExistsError: REQUEST_ID_REUSED: its content was another.
        """
        ...

    async def insert_batch(
        self, batch: Batch, execution_ids: Sequence[str], key: RequestKey | None = None
    ) -> Batch:
        """Store a new batch with all its items, in one transaction.

        Raises:
            AlreadyExistsError: REQUEST_ID_REUSED.
        """
        ...

    async def get_batch(self, batch_id: str) -> Batch | None:
        """Return a batch."""
        ...

    async def list_batches(self, page: Page) -> Slice[Batch]:
        """Return batches, newest first; the paging key is the id."""
        ...

    async def list_batch_items(
        self, batch_id: str, state: BatchItemState | None, page: Page
    ) -> Slice[BatchItem]:
        """Return items of a batch by number, which is the paging key in decimal."""
        ...

    async def claim_batch(self) -> Batch | None:
        """Own the oldest open batch that no living server works on."""
        ...

    async def record_batch_items(self, batch_id: str, items: Sequence[BatchItem], now: datetime) -> Batch:
        """Store what came of items that were pending; the last one completes the batch.

        Raises:
            StaleWriteError: It is completed, or this server does not own it. One that is cancelled takes
                what was under way then.
        """
        ...

    async def cancel_batch(self, batch_id: str, now: datetime) -> Batch | None:
        """Stop a batch if it is open, and return it as it stands."""
        ...

    async def forget_batches(self, before: datetime, limit: int) -> int:
        """Delete a part of the batches that ended before a time: some rows; return how many, 0 at the end."""
        ...
