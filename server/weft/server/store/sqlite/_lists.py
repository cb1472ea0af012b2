"""Lists and counts of executions in SQLite."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from weft.server.execution.history.model import Execution
from weft.server.query.keys import value_of
from weft.server.query.listing import Listing, Span, Statement
from weft.server.query.predicate import Ref, Value
from weft.server.query.sql import SQLITE
from weft.server.store.base import COUNT_LIMIT, WINDOW, ExecutionFilter, Group, Page, Slice
from weft.server.store.codec import to_micros
from weft.server.store.execution_table import execution_table, selected, span_of
from weft.server.store.sqlite._backend import Backend
from weft.server.store.sqlite._histories import COLUMNS, decode_columns

__all__ = ["SqliteLists"]


def _micros(value: Value) -> object:
    assert isinstance(value, datetime)
    return to_micros(value)


_TABLE: Final = execution_table(lambda name: f"json_extract(e.document, '$.{name}')", _micros)


class SqliteLists(Backend):
    """What is read of many executions; see ``ExecutionStore`` for what each method promises."""

    async def list_executions(self, wanted: ExecutionFilter, page: Page) -> Slice[Execution]:
        """Return summaries, newest first; the paging key is the id."""
        predicate = selected(wanted)
        listing, whole = Listing(_TABLE, SQLITE, predicate), span_of(predicate)
        return await self._read(lambda connection: _read_page(connection, listing, whole, page))

    async def count_executions(self, wanted: ExecutionFilter) -> int:
        """Return how many there are, all counted."""
        predicate = selected(wanted)
        statement = Listing(_TABLE, SQLITE, predicate).count(span_of(predicate))
        rows = await self._read(lambda connection: _run(connection, statement))
        return int(rows[0][0])

    async def group_executions(self, wanted: ExecutionFilter, by: Ref, limit: int) -> tuple[Group, ...]:
        """Return how many there are of each value of a field, the largest groups first."""
        predicate = selected(wanted)
        statement = Listing(_TABLE, SQLITE, predicate).groups(by, span_of(predicate), limit)
        rows = await self._read(lambda connection: _run(connection, statement))
        return tuple(Group(value_of(value) if by.key else value, count) for value, count in rows)

    async def select_executions(self, wanted: ExecutionFilter, limit: int) -> tuple[str, ...]:
        """Return ids, newest first."""
        predicate = selected(wanted)
        statement = Listing(_TABLE, SQLITE, predicate).page("e.id", span_of(predicate), limit)
        rows = await self._read(lambda connection: _run(connection, statement))
        return tuple(execution_id for (execution_id,) in rows)


def _run(connection: sqlite3.Connection, statement: Statement) -> list[Any]:
    return connection.execute(statement.text, statement.parameters).fetchall()


def _read_page(connection: sqlite3.Connection, listing: Listing, whole: Span, page: Page) -> Slice[Execution]:
    """Read a page and the total, both of one moment."""
    connection.execute("BEGIN")
    try:
        total, minimum = _total(connection, listing, whole) if page.counted else (0, True)
        left = whole.below(page.after)
        window = left if page.skip else _window(connection, listing, left)
        rows = _run(connection, listing.page(COLUMNS, window, page.size + 1, page.skip))
    finally:
        connection.execute("COMMIT")
    items = tuple(decode_columns(*row) for row in rows[: page.size])
    full = len(rows) > page.size
    edge = "" if full or window == left else window.low
    return Slice(items, full or bool(edge), total, total_is_minimum=minimum, next_after=edge)


def _window(connection: sqlite3.Connection, listing: Listing, span: Span) -> Span:
    """Return the part of a span that is looked at; all of it, when an index leads to what is wanted."""
    if listing.indexed:
        return span
    edge = _run(connection, listing.edge(span, WINDOW))
    return replace(span, low=edge[0][0]) if edge else span


def _total(connection: sqlite3.Connection, listing: Listing, whole: Span) -> tuple[int, bool]:
    """Count up to the limit; tell whether there may be more."""
    window = _window(connection, listing, whole)
    if _run(connection, listing.beyond(window, COUNT_LIMIT)):
        return COUNT_LIMIT, True
    return int(_run(connection, listing.count(window))[0][0]), window != whole
