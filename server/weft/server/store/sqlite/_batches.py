"""Batches in SQLite."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson

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
from weft.server.store.sqlite._backend import Backend
from weft.server.store.sqlite._database import SQL
from weft.server.store.sqlite._pages import read_slice
from weft.server.store.sqlite._requests import recall, record
from weft.server.store.values import Page, RequestKey, Slice, StaleWriteError

__all__ = ["SqliteBatches"]

_AFTER_ALL: Final = "\U0010ffff"
"""Sorts behind every id."""


class SqliteBatches(Backend):
    """The batches' part of the store; see ``BatchStore`` for what each method promises."""

    async def recall_batch(self, key: RequestKey) -> Batch | None:
        """Return the batch that the first request with this key started, as it stands."""
        return await self._read(lambda connection: _recall(connection, key))

    async def insert_batch(
        self, batch: Batch, execution_ids: Sequence[str], key: RequestKey | None = None
    ) -> Batch:
        """Store a new batch with all its items, in one transaction."""
        row = encode_batch(batch)
        values = (batch.id, row.state, row.total, row.end_time, row.document)
        items = orjson.dumps(list(execution_ids)).decode()
        now = to_micros(self._clock.now())

        def insert(connection: sqlite3.Connection) -> Batch:
            if first := _recall(connection, key):
                return first
            connection.execute(SQL["insert_batch"], values)
            connection.execute(SQL["insert_batch_items"], (batch.id, items))
            record(connection, key, batch.id, now)
            return batch

        return await self._write(insert)

    async def get_batch(self, batch_id: str) -> Batch | None:
        """Return a batch."""
        return await self._read(lambda connection: _get(connection, batch_id))

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

        def claim(connection: sqlite3.Connection) -> Batch | None:
            rows = connection.execute(SQL["claim_batch"], (self._database.epoch,)).fetchall()
            return _decode(*rows[0]) if rows else None

        return await self._write(claim)

    async def record_batch_items(self, batch_id: str, items: Sequence[BatchItem], now: datetime) -> Batch:
        """Store what came of items that were pending; the last one completes the batch."""
        written = [encode_batch_item(item) for item in items]
        rows = [(row.state, row.failure, row.result_id, batch_id, row.number) for row in written]
        end = to_micros(now)

        def store(connection: sqlite3.Connection) -> Batch:
            counts: Counter[str] = Counter()
            for row in rows:
                counts[row[0]] += connection.execute(SQL["record_batch_item"], row).rowcount
            counted = [counts[state.value] for state in _COUNTED]
            values = (*counted, end, batch_id, self._database.epoch)
            found = connection.execute(SQL["record_batch"], values).fetchall()
            if not found:
                raise StaleWriteError(f"batch {batch_id} has ended, or is not owned here")
            return _decode(*found[0])

        return await self._write(store)

    async def cancel_batch(self, batch_id: str, now: datetime) -> Batch | None:
        """Stop a batch if it is open, and return it as it stands."""
        end = to_micros(now)

        def cancel(connection: sqlite3.Connection) -> Batch | None:
            connection.execute(SQL["cancel_batch"], (end, batch_id))
            return _get(connection, batch_id)

        return await self._write(cancel)

    async def forget_batches(self, before: datetime, limit: int) -> int:
        """Delete a part of the batches that ended before a time: some rows; return how many, 0 at the end."""
        limit_time = to_micros(before)

        def forget(connection: sqlite3.Connection) -> int:
            row = connection.execute(SQL["old_batch"], (limit_time,)).fetchone()
            if row is None:
                return 0
            deleted = connection.execute(SQL["delete_batch_items"], (row[0], limit)).rowcount
            return deleted + connection.execute(SQL["delete_batch"], (row[0],)).rowcount

        return await self._write(forget)


_COUNTED: Final = (BatchItemState.SUCCEEDED, BatchItemState.SKIPPED, BatchItemState.FAILED)


def _recall(connection: sqlite3.Connection, key: RequestKey | None) -> Batch | None:
    batch_id = recall(connection, key)
    return _get(connection, batch_id) if batch_id else None


def _get(connection: sqlite3.Connection, batch_id: str) -> Batch | None:
    row = connection.execute(SQL["get_batch"], (batch_id,)).fetchone()
    return _decode(*row) if row else None


def _decode(*columns: Any) -> Batch:
    return decode_batch(BatchRow._make(columns))


def _decode_item(*columns: Any) -> BatchItem:
    return decode_batch_item(BatchItemRow._make(columns))
