"""Executions and their histories in PostgreSQL: the hot path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import asyncpg

from weft.server.execution.history.model import Event, Execution, Waits
from weft.server.store.base import KeyTakenError, RequestKey, SlotFullError, StaleWriteError, WhenFull
from weft.server.store.execution_codec import EventRow, ExecutionRow
from weft.server.store.postgres._backend import Backend, holds
from weft.server.store.postgres._batch import Append, Insert
from weft.server.store.postgres._connect import SQL, Connection
from weft.server.store.postgres._hints import Hint
from weft.server.store.postgres._locks import lock_number
from weft.server.store.postgres._requests import check_fingerprint
from weft.server.store.postgres._writer import commit_batch
from weft.server.store.seal import open_events, open_execution

__all__ = ["COLUMNS", "PostgresExecutions", "decode_record"]

COLUMNS = "e.document, e.state, e.last_event, e.waits, e.due_time, e.end_time, e.failure"
"""What ``decode_record`` takes, of the table ``e``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """How an execution is stored whose key or slot others may want."""

    reuse_key: bool
    when_full: WhenFull | None


class PostgresExecutions(Backend):
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
        if execution.key or execution.slot:
            how = _How(reuse_key=reuse_key, when_full=when_full)
            return await self._insert_in_turn(execution, events, key, how)
        while True:
            if await self._require_usable().submit(Insert.of(execution, events, key)):
                return execution
            assert key is not None  # without a key there is no conflict to pass over
            first = await self.recall_execution(key)
            if first is not None:
                return first

    async def _insert_in_turn(
        self, execution: Execution, events: Sequence[Event], key: RequestKey | None, how: _How
    ) -> Execution:
        """Store an execution whose key or slot others may want: one after the other, over all servers."""
        locks = self._locks_of(execution, key)
        ordered: list[str] = []

        async def insert(connection: Connection) -> Execution | None:
            await connection.execute(SQL["lock_transaction"], locks)
            first = await _recall(connection, key) if key else None
            if first is not None:
                return first
            if execution.key:
                await _check_key(connection, execution.key, reuse=how.reuse_key)
            stored = await _in_turn(connection, execution, how.when_full, ordered)
            write = Insert.of(stored, events, key)
            done = await commit_batch(connection, self._keeper.epoch, [write])
            if done is None:
                return None
            assert execution.id in done
            return stored

        stored = await self._write(insert)
        if stored is None:
            raise self._lost()
        if ordered:
            self._keeper.tell(Hint("executions", tuple(ordered)))
        return stored

    def _locks_of(self, execution: Execution, key: RequestKey | None) -> list[int]:
        schema = self._config.schema
        locks = []
        if key is not None:
            locks.append(lock_number(schema, "request", f"{key.method}\0{key.request_id}"))
        if execution.key:
            locks.append(lock_number(schema, "key", execution.key))
        if execution.slot:
            locks.append(lock_number(schema, "slot", execution.slot))
        return sorted(locks)

    async def append_events(
        self,
        execution: Execution,
        events: Sequence[Event],
        expected_last: int,
        *,
        release: bool = False,
        before: Execution | None = None,  # noqa: ARG002 - PostgreSQL sees for itself that no index has to follow
    ) -> None:
        """Append to a history and replace the summary, when nobody appended in between."""
        append = Append.of(execution, events, expected_last, release=release)
        if not await self._require_usable().submit(append):
            raise StaleWriteError(
                f"execution {execution.id} has ended, is not owned here, or its newest event is not "
                f"{expected_last}"
            )
        self._keeper.tell(Hint("executions", (execution.id,)))

    async def recall_execution(self, key: RequestKey) -> Execution | None:
        """Return the execution that the first request with this key started, as it stands."""
        return await self._read(lambda connection: _recall(connection, key))

    async def get_execution(self, execution_id: str) -> Execution | None:
        """Return the summary of an execution."""
        rows = await self._fetch("get_execution", execution_id) if holds(execution_id) else []
        return decode_record(rows[0]) if rows else None

    async def get_execution_by_key(self, key: str) -> Execution | None:
        """Return the newest execution of a key."""
        return await self._read(lambda connection: _newest_of(connection, key)) if holds(key) else None

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
        query = "read_events" if payloads else "read_events_without_payloads"
        rows = await self._fetch(query, execution_id, after, limit, max_bytes)
        found = [EventRow._make(row) for row in rows]
        before = after
        if found and found[0].number != after + 1 and await self.get_execution(execution_id) is None:
            before = found[0].number - 1  # in the trash the first ones may be gone
        return open_events(execution_id, found, before)


def decode_record(row: asyncpg.Record) -> Execution:
    """Read an execution from its row."""
    return open_execution(ExecutionRow._make(row))


async def _check_key(connection: Connection, key: str, *, reuse: bool) -> None:
    holder = await _newest_of(connection, key)
    if holder is not None and not (reuse and holder.state.final):
        raise KeyTakenError(holder)


async def _in_turn(
    connection: Connection, execution: Execution, when_full: WhenFull | None, ordered: list[str]
) -> Execution:
    """Return an execution as it is to be stored: waiting, when its slot is taken.

    Args:
        connection: In a transaction that has the lock of its slot.
        execution: Which one.
        when_full: What else may happen then.
        ordered: Takes the ids of those for which a command was left.

    Raises:
        SlotFullError: It is to be refused then.
    """
    if not execution.slot:
        return execution
    before = await connection.fetchval(SQL["open_in_slot"], execution.slot)
    if before < execution.slot_limit:  # nobody passes one who waits
        return execution
    if when_full is not None and when_full.refuse:
        raise SlotFullError
    if when_full is not None and when_full.order is not None:
        values = (*when_full.order, execution.slot, execution.slot_limit)
        rows = await connection.fetch(SQL["order_oldest_of_slot"], *values)
        ordered[:] = [row[0] for row in rows]  # a unit of work may run again
    return replace(execution, waits=Waits.SLOT, due_time=execution.expire_time)


async def _newest_of(connection: Connection, key: str) -> Execution | None:
    row = await connection.fetchrow(SQL["execution_by_key"], key)
    return decode_record(row) if row else None


async def _recall(connection: Connection, key: RequestKey) -> Execution | None:
    row = await connection.fetchrow(SQL["execution_by_request"], key.method, key.request_id)
    if row is None:
        return None
    check_fingerprint(key, row[0])
    return open_execution(ExecutionRow._make(tuple(row)[1:]))
