"""What leaves the database, and what comes into it as a whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from weft.server.execution.history.model import Event, Execution, ExecutionState
from weft.server.store.codec import to_micros
from weft.server.store.execution_codec import attribute_rows, encode_execution, encode_facts
from weft.server.store.seal import seal_event
from weft.server.store.sqlite._backend import Backend
from weft.server.store.sqlite._database import SQL
from weft.server.store.values import StaleWriteError

__all__ = ["SqliteUpkeep"]


class SqliteUpkeep(Backend):
    """The upkeep of the store; see ``UpkeepStore`` for what each method promises."""

    async def all_workflow_ids(self) -> tuple[str, ...]:
        """Return the ids of all workflows, also of those that are deleted."""
        rows = await self._read(lambda connection: connection.execute(SQL["all_workflow_ids"]).fetchall())
        return tuple(workflow_id for (workflow_id,) in rows)

    async def discard_executions(
        self, workflow_id: str, state: ExecutionState, before: datetime, limit: int
    ) -> int:
        """Take executions away that reached a final state before a time; return how many."""
        return await self._discard("discard_ended", (workflow_id, state.value, to_micros(before), limit))

    async def discard_kept(self, now: datetime, limit: int) -> int:
        """Take executions away that were kept as long as their own ``retention`` says; return how many."""
        return await self._discard("discard_kept", (to_micros(now), limit))

    async def _discard(self, query: str, values: tuple[object, ...]) -> int:
        now = to_micros(self._clock.now())

        def discard(connection: sqlite3.Connection) -> int:
            gone = connection.execute(SQL[query], values).fetchall()
            connection.executemany(SQL["discard_attributes"], gone)
            connection.executemany(SQL["put_in_trash"], [(execution_id, now) for (execution_id,) in gone])
            return len(gone)

        return await self._write(discard)

    async def empty_trash(self, limit: int) -> int:
        """Delete events of executions that were taken away: that many at most; return 0 when none is left."""
        now = to_micros(self._clock.now())

        def empty(connection: sqlite3.Connection) -> int:
            done = 0
            while done < limit:
                row = connection.execute(SQL["due_trash"], (now,)).fetchone()
                if row is None:
                    break
                left = limit - done
                deleted = connection.execute(SQL["delete_events"], (row[0], left)).rowcount
                if deleted < left:
                    connection.execute(SQL["empty_trash"], row)
                done += deleted + 1
            return done

        return await self._write(empty)

    async def import_execution(self, execution: Execution, events: Sequence[Event]) -> bool:
        """Store an execution that has ended, with its whole history; tell whether it was not there before."""
        values = (
            *encode_execution(execution),
            execution.id,
            execution.workflow_id,
            *encode_facts(execution),
        )
        rows = [(execution.id, *seal_event(execution.id, event)) for event in events]
        attributes = attribute_rows(execution)

        def insert(connection: sqlite3.Connection) -> bool:
            if connection.execute(SQL["has_trash"], (execution.id,)).fetchone():
                raise StaleWriteError(f"execution {execution.id} is still being deleted")
            if connection.execute(SQL["import_execution"], values).rowcount != 1:
                return False
            connection.executemany(SQL["insert_event"], rows)
            connection.executemany(SQL["insert_attribute"], attributes)
            return True

        return await self._write(insert)
