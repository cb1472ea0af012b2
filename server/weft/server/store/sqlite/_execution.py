"""Executions and their histories in SQLite: the hot path."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from weft.server.execution.model import Event, Execution
from weft.server.store.base import ExecutionFilter, Page, RequestKey, Slice, StaleWriteError
from weft.server.store.codec import EventRow, decode_event, decode_execution, encode, encode_event
from weft.server.store.sqlite._backend import Backend
from weft.server.store.sqlite._database import SQL
from weft.server.store.sqlite._pages import read_slice
from weft.server.store.sqlite._requests import check_fingerprint

__all__ = ["SqliteExecutions"]

_INSERT_EXECUTION = SQL["insert_execution"]
_UPDATE_EXECUTION = SQL["update_execution"]
_INSERT_EVENT = SQL["insert_event"]

_AFTER_ALL = "\U0010ffff"
"""Sorts behind every id."""


class SqliteExecutions(Backend):
    """The executions' part of the store; see ``ExecutionStore`` for what each method promises."""

    async def insert_execution(
        self, execution: Execution, events: Sequence[Event], key: RequestKey | None = None
    ) -> Execution:
        """Store a new execution with the beginning of its history."""
        request = (key.method, key.request_id, key.fingerprint) if key else (None, None, None)
        values = (
            execution.id,
            execution.workflow_id,
            execution.state.value,
            execution.last_event,
            encode(execution),
            *request,
        )
        rows = [(execution.id, *encode_event(event)) for event in events]

        def insert(connection: sqlite3.Connection) -> Execution:
            if connection.execute(_INSERT_EXECUTION, values).rowcount == 1:
                connection.executemany(_INSERT_EVENT, rows)
                return execution
            assert key is not None  # without a key there is no conflict to pass over
            first = _recall(connection, key)
            assert first is not None
            return first

        return await self._write(insert)

    async def append_events(self, execution: Execution, events: Sequence[Event], expected_last: int) -> None:
        """Append to a history and replace the summary, when nobody appended in between."""
        values = (execution.state.value, execution.last_event, encode(execution), execution.id, expected_last)
        rows = [(execution.id, *encode_event(event)) for event in events]

        def append(connection: sqlite3.Connection) -> None:
            if connection.execute(_UPDATE_EXECUTION, values).rowcount != 1:
                raise StaleWriteError(
                    f"execution {execution.id} has ended, or its newest event is not {expected_last}"
                )
            connection.executemany(_INSERT_EVENT, rows)

        await self._write(append)

    async def recall_execution(self, key: RequestKey) -> Execution | None:
        """Return the execution that the first request with this key started, as it stands."""
        return await self._read(lambda connection: _recall(connection, key))

    async def get_execution(self, execution_id: str) -> Execution | None:
        """Return the summary of an execution."""
        row = await self._read(
            lambda connection: connection.execute(SQL["get_execution"], (execution_id,)).fetchone()
        )
        return decode_execution(row[0]) if row else None

    async def list_executions(self, wanted: ExecutionFilter, page: Page) -> Slice[Execution]:
        """Return summaries, newest first; the paging key is the id."""
        what, where = _list_query(wanted)
        after = page.after or _AFTER_ALL
        return await self._read(
            lambda connection: read_slice(connection, what, where, after, page, decode_execution)
        )

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
        rows = await self._read(
            lambda connection: _read_rows(connection, query, (execution_id, after, limit), max_bytes)
        )
        return tuple(decode_event(row) for row in rows)

    async def open_executions(self, after: str = "", limit: int = 500) -> tuple[Execution, ...]:
        """Return executions that have not ended, by id, those with an id above ``after``."""
        rows = await self._read(
            lambda connection: connection.execute(SQL["open_executions"], (after, limit)).fetchall()
        )
        return tuple(decode_execution(document) for (document,) in rows)


def _recall(connection: sqlite3.Connection, key: RequestKey) -> Execution | None:
    row = connection.execute(SQL["execution_by_request"], (key.method, key.request_id)).fetchone()
    if row is None:
        return None
    check_fingerprint(key, row[0])
    return decode_execution(row[1])


def _list_query(wanted: ExecutionFilter) -> tuple[str, tuple[str, ...]]:
    workflow, state = wanted.workflow_id, wanted.state
    if workflow is not None and state is not None:
        return "executions_by_workflow_state", (workflow, state)
    if workflow is not None:
        return "executions_by_workflow", (workflow,)
    if state is not None:
        return "executions_by_state", (state,)
    return "executions", ()


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
