"""Executions and their histories in SQLite: the hot path."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from weft.server.execution.history.model import Event, Execution, Waits
from weft.server.store.base import KeyTakenError, RequestKey, SlotFullError, WhenFull
from weft.server.store.execution_codec import EventRow
from weft.server.store.seal import open_events
from weft.server.store.sqlite._backend import Backend
from weft.server.store.sqlite._database import SQL
from weft.server.store.sqlite._histories import Advancing, Appending, Insertion, decode_columns, recall

__all__ = ["SqliteExecutions"]


class SqliteExecutions(Backend):
    """The executions' part of the store; see ``ExecutionStore`` for what each method promises."""

    async def insert_execution(
        self,
        execution: Execution,
        events: Sequence[Event],
        key: RequestKey | None = None,
        *,
        reuse_key: bool = False,
        when_full: WhenFull | None = None,
    ) -> Execution:
        """Store a new execution with the beginning of its history, and own it."""
        insertion = Insertion(self._database, execution, events, key)
        if not (execution.key or execution.slot):
            return await self._write(insertion)

        def insert(connection: sqlite3.Connection) -> Execution:
            first = recall(connection, key) if key else None
            if first is not None:
                return first
            if execution.key:
                _check_key(connection, execution.key, reuse=reuse_key)
            insertion.result = _in_turn(connection, execution, when_full)
            return insertion(connection)

        return await self._write(insert)

    async def append_events(
        self,
        execution: Execution,
        events: Sequence[Event],
        expected_last: int,
        *,
        release: bool = False,
        before: Execution | None = None,
    ) -> None:
        """Append to a history and replace the summary, when nobody appended in between."""
        if before is not None and not release and _only_goes_on(before, execution):
            await self._write(Advancing(self._database, execution, events, expected_last))
        else:
            await self._write(Appending(self._database, execution, events, expected_last, release=release))

    async def recall_execution(self, key: RequestKey) -> Execution | None:
        """Return the execution that the first request with this key started, as it stands."""
        return await self._read(lambda connection: recall(connection, key))

    async def get_execution(self, execution_id: str) -> Execution | None:
        """Return the summary of an execution."""
        row = await self._read(
            lambda connection: connection.execute(SQL["get_execution"], (execution_id,)).fetchone()
        )
        return decode_columns(*row) if row else None

    async def get_execution_by_key(self, key: str) -> Execution | None:
        """Return the newest execution of a key."""
        return await self._read(lambda connection: _newest_of(connection, key))

    async def read_events(
        self,
        execution_id: str,
        *,
        after: int = 0,
        limit: int = 1_000,
        max_bytes: int = 2 * 1024 * 1024,
        payloads: bool = True,
    ) -> tuple[Event, ...]:
        """Return events in order, those with a number above ``after``."""
        query = SQL["read_events" if payloads else "read_events_without_payloads"]

        def read(connection: sqlite3.Connection) -> tuple[list[EventRow], int]:
            rows = _read_rows(connection, query, (execution_id, after, limit), max_bytes)
            return rows, _number_before(connection, execution_id, rows, after)

        rows, before = await self._read(read)
        return open_events(execution_id, rows, before)


def _only_goes_on(before: Execution, execution: Execution) -> bool:
    """Tell whether nothing of a summary changes but the number of the newest event."""
    return (
        execution.state is before.state
        and execution.waits is before.waits
        and execution.due_time == before.due_time
        and execution.end_time is before.end_time is None
        and execution.failure == before.failure
    )


def _check_key(connection: sqlite3.Connection, key: str, *, reuse: bool) -> None:
    holder = _newest_of(connection, key)
    if holder is not None and not (reuse and holder.state.final):
        raise KeyTakenError(holder)


def _in_turn(connection: sqlite3.Connection, execution: Execution, when_full: WhenFull | None) -> Execution:
    """Return an execution as it is to be stored: waiting, when its slot is taken.

    Raises:
        SlotFullError: It is to be refused then.
    """
    if not execution.slot:
        return execution
    before = connection.execute(SQL["open_in_slot"], (execution.slot,)).fetchone()[0]
    if before < execution.slot_limit:  # nobody passes one who waits
        return execution
    if when_full is not None and when_full.refuse:
        raise SlotFullError
    if when_full is not None and when_full.order is not None:
        connection.execute(
            SQL["order_oldest_of_slot"], (*when_full.order, execution.slot, execution.slot_limit)
        )
    return replace(execution, waits=Waits.SLOT, due_time=execution.expire_time)


def _newest_of(connection: sqlite3.Connection, key: str) -> Execution | None:
    row = connection.execute(SQL["execution_by_key"], (key,)).fetchone()
    return decode_columns(*row) if row else None


def _number_before(
    connection: sqlite3.Connection, execution_id: str, rows: Sequence[EventRow], after: int
) -> int:
    """Return which event must stand before the first one; in the trash the first ones may be gone."""
    if rows and rows[0].number != after + 1:
        kept = connection.execute(SQL["get_execution"], (execution_id,)).fetchone()
        return after if kept else rows[0].number - 1
    return after


def _read_rows(
    connection: sqlite3.Connection, query: str, parameters: tuple[str, int, int], max_bytes: int
) -> list[EventRow]:
    rows: list[EventRow] = []
    size = 0
    cursor = connection.execute(query, parameters)
    try:
        for columns in cursor:
            row = EventRow._make(columns)
            size += row.size
            if rows and size > max_bytes:
                break
            rows.append(row)
    finally:
        cursor.close()  # one that stands in the middle would hold back every checkpoint
    return rows
