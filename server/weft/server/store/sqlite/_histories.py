"""What is written of executions at every step, and what is there: many of them in one commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from weft.server.execution.model import Event, Execution
from weft.server.store.base import RequestKey, StaleWriteError
from weft.server.store.execution_codec import (
    ExecutionRow,
    attribute_rows,
    encode_execution,
    encode_facts,
    encode_standing,
)
from weft.server.store.seal import open_execution, seal_event
from weft.server.store.sqlite._database import SQL, Database
from weft.server.store.sqlite._requests import check_fingerprint
from weft.server.store.sqlite._together import Together, write_rows

__all__ = ["COLUMNS", "Advancing", "Appending", "Insertion", "decode_columns", "recall"]

_INSERT_EXECUTION = SQL["insert_execution"]
_UPDATE_EXECUTION = SQL["update_execution"]
_ADVANCE_EXECUTION = SQL["advance_execution"]
_INSERT_EVENT = SQL["insert_event"]
_INSERT_ATTRIBUTE = SQL["insert_attribute"]

COLUMNS = "e.document, e.state, e.last_event, e.waits, e.due_time, e.end_time, e.failure"
"""What ``decode_columns`` takes, of the table ``e``."""


class Insertion(Together[Execution]):
    """Stores a new execution with the beginning of its history."""

    __slots__ = ("_database", "_key", "attributes", "rows")

    def __init__(
        self, database: Database, execution: Execution, events: Sequence[Event], key: RequestKey | None
    ) -> None:
        super().__init__(execution)
        self._database = database
        self._key = key
        self.rows = _event_rows(execution, events)
        self.attributes = attribute_rows(execution)

    def __call__(self, connection: sqlite3.Connection) -> Execution:
        if self.all_at_once(connection, (self,)):
            return self.result
        assert self._key is not None  # without a key there is no conflict to pass over
        first = recall(connection, self._key)
        assert first is not None
        return first

    @staticmethod
    def all_at_once(connection: sqlite3.Connection, works: Sequence[Insertion]) -> bool:
        if write_rows(connection, _INSERT_EXECUTION, [it.new_row() for it in works]) != len(works):
            return False
        write_rows(connection, _INSERT_EVENT, [row for it in works for row in it.rows])
        write_rows(connection, _INSERT_ATTRIBUTE, [row for it in works for row in it.attributes])
        return True

    def new_row(self) -> tuple[object, ...]:
        execution, key = self.result, self._key
        request = (key.method, key.request_id, key.fingerprint) if key else (None, None, None)
        return (
            *encode_execution(execution),
            execution.id,
            execution.workflow_id,
            *encode_facts(execution),
            None if execution.waits else self._database.epoch,
            *request,
        )


class Advancing(Together[None]):
    """Appends to a history, where nothing of the summary changes but the number of the newest event.

    SQLite takes every index anew that has a column which a statement names, also where its
    value stays as it is, so a step that goes on names none of them: two pages go to the
    disk with it where it would be five.
    """

    __slots__ = ("_database", "_expected_last", "_id", "_last", "rows")

    def __init__(
        self, database: Database, execution: Execution, events: Sequence[Event], expected_last: int
    ) -> None:
        super().__init__(None)
        self._database = database
        self._id = execution.id
        self._last = execution.last_event
        self._expected_last = expected_last
        self.rows = _event_rows(execution, events)

    def __call__(self, connection: sqlite3.Connection) -> None:
        if not self.all_at_once(connection, (self,)):
            raise StaleWriteError(
                f"execution {self._id} has ended, is not owned here, or its newest event is not "
                f"{self._expected_last}"
            )

    @staticmethod
    def all_at_once(connection: sqlite3.Connection, works: Sequence[Advancing]) -> bool:
        return _append(connection, _ADVANCE_EXECUTION, works)

    def changes(self) -> tuple[object, ...]:
        return (self._last, self._id, self._expected_last, self._database.epoch)


class Appending(Advancing):
    """Appends to a history, and replaces the summary."""

    __slots__ = ("_release", "_standing")

    def __init__(
        self,
        database: Database,
        execution: Execution,
        events: Sequence[Event],
        expected_last: int,
        *,
        release: bool,
    ) -> None:
        super().__init__(database, execution, events, expected_last)
        self._standing = encode_standing(execution)
        self._release = release or execution.state.final

    @staticmethod
    def all_at_once(connection: sqlite3.Connection, works: Sequence[Advancing]) -> bool:
        return _append(connection, _UPDATE_EXECUTION, works)

    def changes(self) -> tuple[object, ...]:
        epoch = self._database.epoch
        owner = None if self._release else epoch
        return (*self._standing, owner, self._id, self._expected_last, epoch)


def _append(connection: sqlite3.Connection, update: str, works: Sequence[Advancing]) -> bool:
    """Change the summaries, and when all of them were as they were expected, add the events."""
    if write_rows(connection, update, [it.changes() for it in works]) != len(works):
        return False
    write_rows(connection, _INSERT_EVENT, [row for it in works for row in it.rows])
    return True


def _event_rows(execution: Execution, events: Sequence[Event]) -> list[tuple[object, ...]]:
    return [(execution.id, *seal_event(execution.id, event)) for event in events]


def recall(connection: sqlite3.Connection, key: RequestKey) -> Execution | None:
    """Return the execution that the first request with a key started."""
    row = connection.execute(SQL["execution_by_request"], (key.method, key.request_id)).fetchone()
    if row is None:
        return None
    check_fingerprint(key, row[0])
    return decode_columns(*row[1:])


def decode_columns(*columns: Any) -> Execution:
    """Read an execution from the columns of its row."""
    return open_execution(ExecutionRow._make(columns))
