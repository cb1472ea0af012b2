"""What leaves the database, and what comes into it as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from weft.server.execution.history.model import Event, Execution, ExecutionState
from weft.server.store.codec import to_micros
from weft.server.store.execution_codec import attribute_rows, encode_execution, encode_facts
from weft.server.store.postgres._backend import Backend, affected
from weft.server.store.postgres._batch import columns
from weft.server.store.postgres._connect import SQL, Connection
from weft.server.store.seal import seal_event
from weft.server.store.values import StaleWriteError

__all__ = ["PostgresUpkeep"]


class PostgresUpkeep(Backend):
    """The upkeep of the store; see ``UpkeepStore`` for what each method promises."""

    async def all_workflow_ids(self) -> tuple[str, ...]:
        """Return the ids of all workflows, also of those that are deleted."""
        return tuple(row[0] for row in await self._fetch("all_workflow_ids"))

    async def discard_executions(
        self, workflow_id: str, state: ExecutionState, before: datetime, limit: int
    ) -> int:
        """Take executions away that reached a final state before a time; return how many."""
        return await self._discard("discard_ended", workflow_id, state.value, to_micros(before), limit)

    async def discard_kept(self, now: datetime, limit: int) -> int:
        """Take executions away that were kept as long as their own ``retention`` says; return how many."""
        return await self._discard("discard_kept", to_micros(now), limit)

    async def _discard(self, query: str, *values: object) -> int:
        now = to_micros(self._clock.now())

        async def discard(connection: Connection) -> int:
            gone = [row[0] for row in await connection.fetch(SQL[query], *values)]
            if gone:
                await connection.execute(SQL["discard_attributes"], gone)
                await connection.execute(SQL["put_in_trash"], gone, now)
            return len(gone)

        return await self._write(discard)

    async def empty_trash(self, limit: int) -> int:
        """Delete events of executions that were taken away: that many at most; return 0 when none is left."""
        now = to_micros(self._clock.now())

        async def empty(connection: Connection) -> int:
            done = 0
            while done < limit:
                execution_id = await connection.fetchval(SQL["due_trash"], now)
                if execution_id is None:
                    break
                left = limit - done
                deleted = affected(await connection.execute(SQL["delete_events"], execution_id, left))
                if deleted < left:
                    await connection.execute(SQL["empty_trash"], execution_id)
                done += deleted + 1
            return done

        return await self._write(empty)

    async def import_execution(self, execution: Execution, events: Sequence[Event]) -> bool:
        """Store an execution that has ended, with its whole history; tell whether it was not there before."""
        values = (
            *encode_execution(execution),
            execution.id,
            execution.workflow_id,
            execution.workflow_version,
            execution.trace_id or None,
            *encode_facts(execution),
        )
        rows = columns([seal_event(execution.id, event) for event in events], 5)
        attributes = columns(attribute_rows(execution), 3)

        async def insert(connection: Connection) -> bool:
            if await connection.fetchval(SQL["has_trash"], execution.id):
                raise StaleWriteError(f"execution {execution.id} is still being deleted")
            if affected(await connection.execute(SQL["import_execution"], *values)) != 1:
                return False
            await connection.execute(SQL["insert_events"], execution.id, *rows)
            await connection.execute(SQL["insert_attributes"], *attributes)
            return True

        return await self._write(insert)
