"""What is written of executions at every step, and what is there: many of them in one commit."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from weft.server.execution.history.model import Event, Execution
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

T = TypeVar("T")

_INSERT_EXECUTION = SQL["insert_execution"]
_INSERT_EVENT = SQL["insert_event"]
_INSERT_ATTRIBUTE = SQL["insert_attribute"]

COLUMNS = "e.document, e.state, e.last_event, e.waits, e.due_time, e.end_time, e.failure"
"""What ``decode_columns`` takes, of the table ``e``."""


class _Writing(Together[T]):
    """Writes a summary, and events; of many at once all the events are written in one statement.

    Args:
        result: As of ``Together``.
        execution: Whose events they are.
        events: Which ones.
    """

    __slots__ = ("rows",)

    def __init__(self, result: T, execution: Execution, events: Sequence[Event]) -> None:
        super().__init__(result)
        self.rows = [(execution.id, *seal_event(execution.id, event)) for event in events]

    @classmethod
    def group(cls) -> type[Together[Any]]:
        return _Writing

    @classmethod
    @abstractmethod
    def write_summaries(cls, connection: sqlite3.Connection, works: Sequence[Any]) -> bool:
        """Write the summaries of works of this very kind; False: one of them is not as it was expected."""

    @staticmethod
    def all_at_once(connection: sqlite3.Connection, works: Sequence[_Writing[Any]]) -> bool:
        kinds: dict[type[_Writing[Any]], list[_Writing[Any]]] = {}
        for work in works:
            kinds.setdefault(type(work), []).append(work)
        if not all(kind.write_summaries(connection, same) for kind, same in kinds.items()):
            return False
        write_rows(connection, _INSERT_EVENT, [row for work in works for row in work.rows])
        return True


class Insertion(_Writing[Execution]):
    """Stores a new execution with the beginning of its history."""

    __slots__ = ("_database", "_key", "attributes")

    def __init__(
        self, database: Database, execution: Execution, events: Sequence[Event], key: RequestKey | None
    ) -> None:
        super().__init__(execution, execution, events)
        self._database = database
        self._key = key
        self.attributes = attribute_rows(execution)

    def __call__(self, connection: sqlite3.Connection) -> Execution:
        if self.all_at_once(connection, (self,)):
            return self.result
        assert self._key is not None  # without a key there is no conflict to pass over
        first = recall(connection, self._key)
        assert first is not None
        return first

    @classmethod
    def write_summaries(cls, connection: sqlite3.Connection, works: Sequence[Insertion]) -> bool:
        if write_rows(connection, _INSERT_EXECUTION, [it.new_row() for it in works]) != len(works):
            return False
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


class Advancing(_Writing[None]):
    """Appends to a history, where nothing of the summary changes but the number of the newest event.

    SQLite takes every index anew that has a column which a statement names, also where its
    value stays as it is, so a step that goes on names none of them: two pages go to the
    disk with it where it would be five.
    """

    __slots__ = ("_database", "_expected_last", "_id", "_last")

    statement: ClassVar = SQL["advance_execution"]
    """Changes a summary, given ``changes``."""

    def __init__(
        self, database: Database, execution: Execution, events: Sequence[Event], expected_last: int
    ) -> None:
        super().__init__(None, execution, events)
        self._database = database
        self._id = execution.id
        self._last = execution.last_event
        self._expected_last = expected_last

    def __call__(self, connection: sqlite3.Connection) -> None:
        if not self.all_at_once(connection, (self,)):
            raise StaleWriteError(
                f"execution {self._id} has ended, is not owned here, or its newest event is not "
                f"{self._expected_last}"
            )

    @classmethod
    def write_summaries(cls, connection: sqlite3.Connection, works: Sequence[Advancing]) -> bool:
        return write_rows(connection, cls.statement, [it.changes() for it in works]) == len(works)

    def changes(self) -> tuple[object, ...]:
        return (self._last, self._id, self._expected_last, self._database.epoch)


class Appending(Advancing):
    """Appends to a history, and replaces the summary."""

    __slots__ = ("_release", "_standing")

    statement: ClassVar = SQL["update_execution"]

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

    def changes(self) -> tuple[object, ...]:
        epoch = self._database.epoch
        owner = None if self._release else epoch
        return (*self._standing, owner, self._id, self._expected_last, epoch)


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
