"""Batches in PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from weft.server.batch.model import Batch, BatchItem, BatchItemState
from weft.server.store.batch_codec import (
    BatchItemRow,
    BatchRow,
    decode_batch,
    decode_batch_item,
    encode_batch,
    encode_batch_item,
)
from weft.server.store.codec import to_micros
from weft.server.store.postgres._backend import Backend, affected, holds
from weft.server.store.postgres._connect import SQL, Connection
from weft.server.store.postgres._locks import lock_number
from weft.server.store.postgres._pages import read_slice
from weft.server.store.postgres._requests import recall, record
from weft.server.store.values import Page, RequestKey, Slice, StaleWriteError

__all__ = ["PostgresBatches"]

_AFTER_ALL: Final = "\U0010ffff"
"""Sorts behind every id."""


class PostgresBatches(Backend):
    """The batches' part of the store; see ``BatchStore`` for what each method promises."""

    async def recall_batch(self, key: RequestKey) -> Batch | None:
        """Return the batch that the first request with this key started, as it stands."""
        return await self._read(lambda connection: _recall(connection, key))

    async def insert_batch(
        self, batch: Batch, execution_ids: Sequence[str], key: RequestKey | None = None
    ) -> Batch:
        """Store a new batch with all its items, in one transaction."""
        row = encode_batch(batch)
        now = to_micros(self._clock.now())
        lock = lock_number(self._config.schema, "batches")

        async def insert(connection: Connection) -> Batch:
            if key is not None:
                await connection.execute(SQL["lock_transaction"], [lock])
            if first := await _recall(connection, key):
                return first
            values = (batch.id, row.state, row.total, row.end_time, row.document)
            await connection.execute(SQL["insert_batch"], *values)
            await connection.execute(SQL["insert_batch_items"], batch.id, list(execution_ids))
            await record(connection, key, batch.id, now)
            return batch

        return await self._write(insert)

    async def get_batch(self, batch_id: str) -> Batch | None:
        """Return a batch."""
        return await self._read(lambda connection: _get(connection, batch_id)) if holds(batch_id) else None

    async def list_batches(self, page: Page) -> Slice[Batch]:
        """Return batches, newest first; the paging key is the id."""
        after = page.after or _AFTER_ALL
        return await self._read(
            lambda connection: read_slice(connection, "batches", (), after, page, _decode)
        )

    async def list_batch_items(
        self, batch_id: str, state: BatchItemState | None, page: Page
    ) -> Slice[BatchItem]:
        """Return items of a batch by number, which is the paging key in decimal."""
        what = "batch_items" if state is None else "batch_items_by_state"
        where = (batch_id,) if state is None else (batch_id, state.value)
        after = int(page.after or 0)
        return await self._read(
            lambda connection: read_slice(connection, what, where, after, page, _decode_item)
        )

    async def claim_batch(self) -> Batch | None:
        """Own the oldest open batch that no living server works on."""
        rows = await self._run("claim_batch", self._keeper.epoch)
        return _decode(rows[0]) if rows else None

    async def record_batch_items(self, batch_id: str, items: Sequence[BatchItem], now: datetime) -> Batch:
        """Store what came of items that were pending; the last one completes the batch."""
        written = [encode_batch_item(item) for item in items]
        rows = [(row.state, row.failure, row.result_id, batch_id, row.number) for row in written]
        end = to_micros(now)

        async def store(connection: Connection) -> Batch:
            counts: Counter[str] = Counter()
            for row in rows:
                counts[row[0]] += affected(await connection.execute(SQL["record_batch_item"], *row))
            counted = [counts[state.value] for state in _COUNTED]
            values = (*counted, end, batch_id, self._keeper.epoch)
            found = await connection.fetchrow(SQL["record_batch"], *values)
            if found is None:
                raise StaleWriteError(f"batch {batch_id} has ended, or is not owned here")
            return _decode(found)

        return await self._write(store)

    async def cancel_batch(self, batch_id: str, now: datetime) -> Batch | None:
        """Stop a batch if it is open, and return it as it stands."""
        end = to_micros(now)

        async def cancel(connection: Connection) -> Batch | None:
            await connection.execute(SQL["cancel_batch"], end, batch_id)
            return await _get(connection, batch_id)

        return await self._write(cancel)

    async def forget_batches(self, before: datetime, limit: int) -> int:
        """Delete a part of the batches that ended before a time: some rows; return how many, 0 at the end."""
        limit_time = to_micros(before)

        async def forget(connection: Connection) -> int:
            batch_id = await connection.fetchval(SQL["old_batch"], limit_time)
            if batch_id is None:
                return 0
            items = affected(await connection.execute(SQL["delete_batch_items"], batch_id, limit))
            return items + affected(await connection.execute(SQL["delete_batch"], batch_id))

        return await self._write(forget)


_COUNTED: Final = (BatchItemState.SUCCEEDED, BatchItemState.SKIPPED, BatchItemState.FAILED)


async def _recall(connection: Connection, key: RequestKey | None) -> Batch | None:
    batch_id = await recall(connection, key)
    return await _get(connection, batch_id) if batch_id else None


async def _get(connection: Connection, batch_id: str) -> Batch | None:
    row = await connection.fetchrow(SQL["get_batch"], batch_id)
    return _decode(row) if row else None


def _decode(row: asyncpg.Record) -> Batch:
    return decode_batch(BatchRow._make(row))


def _decode_item(row: asyncpg.Record) -> BatchItem:
    return decode_batch_item(BatchItemRow._make(row))
