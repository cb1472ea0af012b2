"""Who works on an execution, and when: claims, slots, and commands."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from weft.server.execution.history.model import Execution
from weft.server.store.base import Claim, Command
from weft.server.store.codec import from_micros, to_micros
from weft.server.store.execution_codec import OPEN_STATES, WAITS, ExecutionRow
from weft.server.store.postgres._backend import Backend
from weft.server.store.postgres._connect import SQL, Connection
from weft.server.store.postgres._execution import decode_record
from weft.server.store.postgres._hints import Hint
from weft.server.store.postgres._locks import lock_number
from weft.server.store.seal import open_execution

__all__ = ["PostgresClaims"]

_KNOWN: Final = (list(OPEN_STATES), list(WAITS))
"""What an execution may be, and wait for, that this release can go on with."""


class PostgresClaims(Backend):
    """The part of the store by which servers share the work; see ``ExecutionStore``."""

    async def claim_execution(self, execution_id: str) -> Claim | None:
        """Own an execution that is open and nobody's; None when there is none of that id."""
        rows = await self._run("claim_execution", self._keeper.epoch, execution_id, *_KNOWN)
        found = [row for row in rows if row["document"] is not None]
        if len(found) == len(rows):
            raise self._lost()
        if not found:
            return None
        granted, *columns = found[0]
        return Claim(open_execution(ExecutionRow._make(columns)), granted=granted is not None)

    async def claim_due(self, now: datetime, limit: int) -> tuple[Execution, ...]:
        """Own executions that are nobody's and due, the longest due first."""
        rows = await self._run("claim_due", self._keeper.epoch, to_micros(now), limit, *_KNOWN)
        return tuple(sorted(map(decode_record, rows), key=_due))

    async def next_due(self) -> datetime | None:
        """Return when the next execution that is nobody's is due."""
        rows = await self._fetch("next_due", *_KNOWN)
        return from_micros(rows[0][0]) if rows else None

    async def orphans(self, after: str, limit: int) -> tuple[str, ...]:
        """Return the ids of open executions whose parent has ended, those beyond an id, in their order."""
        return tuple(row[0] for row in await self._fetch("orphans", after, limit))

    async def grant_slots(self, now: datetime) -> int:
        """Make executions due that wait for a slot and may run now, the oldest first; return how many."""
        due = to_micros(now)
        slots = [row[0] for row in await self._fetch("waiting_slots")]
        granted = sum([await self._grant_slot(slot, due) for slot in slots])
        if granted:
            self._keeper.tell(Hint("freed"))
        return granted

    async def _grant_slot(self, slot: str, due: int) -> int:
        lock = lock_number(self._config.schema, "slot", slot)

        async def grant(connection: Connection) -> int:
            await connection.execute(SQL["lock_transaction"], [lock])
            limit = await connection.fetchval(SQL["slot_limit"], slot)
            running = await connection.fetchval(SQL["running_in_slot"], slot)
            if limit is None or running >= limit:
                return 0
            granted: int = await connection.fetchval(SQL["grant_slot"], due, slot, limit - running)
            return granted

        return await self._write(grant)

    async def wake_resumed(self, now: datetime) -> int:
        """Make executions due that wait for a workflow that is not paused any more; return how many."""
        woken: int = (await self._run("wake_resumed", to_micros(now)))[0][0]
        if woken:
            self._keeper.tell(Hint("freed"))
        return woken

    async def post_command(self, command: Command) -> None:
        """Leave a command for whoever owns the execution."""
        await self._run("post_command", command.execution_id, command.kind, command.body)
        self._keeper.tell(Hint("executions", (command.execution_id,)))

    async def take_commands(
        self, limit: int = 100, *, kinds: Collection[str] | None = None
    ) -> tuple[Command, ...]:
        """Remove and return commands for executions that this server owns, or nobody does, oldest first."""
        if not await self._fetch("has_commands"):
            return ()
        rows = await self._run(
            "take_commands", self._keeper.epoch, limit, None if kinds is None else list(kinds)
        )
        return tuple(
            Command(execution_id=row["execution_id"], kind=row["kind"], body=row["body"])
            for row in sorted(rows, key=lambda row: int(row["id"]))
        )


def _due(execution: Execution) -> tuple[datetime, str]:
    assert execution.due_time is not None
    return execution.due_time, execution.id
