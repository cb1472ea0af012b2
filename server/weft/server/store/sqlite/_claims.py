"""Who works on an execution, and when: claims, slots, and commands."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Final

import orjson

from weft.server.execution.history.model import Execution
from weft.server.store.base import Claim, Command
from weft.server.store.codec import from_micros, to_micros
from weft.server.store.execution_codec import OPEN_STATES, WAITS
from weft.server.store.sqlite._backend import Backend
from weft.server.store.sqlite._database import SQL
from weft.server.store.sqlite._histories import decode_columns

__all__ = ["SqliteClaims"]

_KNOWN: Final = (orjson.dumps(OPEN_STATES).decode(), orjson.dumps(WAITS).decode())
"""What an execution may be, and wait for, that this release can go on with."""


class SqliteClaims(Backend):
    """The part of the store that several servers would share; see ``ExecutionStore``.

    Here there is one: whoever opens the database is the only one alive.
    """

    async def claim_execution(self, execution_id: str) -> Claim | None:
        """Own an execution that is open and nobody's; None when there is none of that id."""

        def claim(connection: sqlite3.Connection) -> Claim | None:
            epoch = self._database.epoch
            connection.execute(SQL["claim_execution"], (epoch, execution_id, *_KNOWN))
            row = connection.execute(SQL["claimed_execution"], (execution_id,)).fetchone()
            return Claim(decode_columns(*row[1:]), granted=row[0] == epoch) if row else None

        return await self._write(claim)

    async def claim_due(self, now: datetime, limit: int) -> tuple[Execution, ...]:
        """Own executions that are nobody's and due, the longest due first."""
        until = to_micros(now)

        def claim(connection: sqlite3.Connection) -> list[Execution]:
            rows = connection.execute(
                SQL["claim_due"], (self._database.epoch, until, limit, *_KNOWN)
            ).fetchall()
            return [decode_columns(*row) for row in rows]

        return tuple(sorted(await self._write(claim), key=_due))

    async def next_due(self) -> datetime | None:
        """Return when the next execution that is nobody's is due."""
        row = await self._read(lambda connection: connection.execute(SQL["next_due"], _KNOWN).fetchone())
        return from_micros(row[0]) if row else None

    async def orphans(self, after: str, limit: int) -> tuple[str, ...]:
        """Return the ids of open executions whose parent has ended, those beyond an id, in their order."""
        rows = await self._read(
            lambda connection: connection.execute(SQL["orphans"], (after, limit)).fetchall()
        )
        return tuple(row[0] for row in rows)

    async def grant_slots(self, now: datetime) -> int:
        """Make executions due that wait for a slot and may run now, the oldest first; return how many."""
        due = to_micros(now)

        def grant(connection: sqlite3.Connection) -> int:
            granted = 0
            for slot, limit, _ in connection.execute(SQL["waiting_slots"]).fetchall():
                running = connection.execute(SQL["running_in_slot"], (slot,)).fetchone()[0]
                if running < limit:
                    granted += connection.execute(SQL["grant_slot"], (due, slot, limit - running)).rowcount
            return granted

        return await self._write(grant)

    async def wake_resumed(self, now: datetime) -> int:
        """Make executions due that wait for a workflow that is not paused any more; return how many."""
        due = to_micros(now)
        return await self._write(lambda connection: connection.execute(SQL["wake_resumed"], (due,)).rowcount)

    async def post_command(self, command: Command) -> None:
        """Leave a command for whoever owns the execution."""
        values = (command.execution_id, command.kind, command.body)
        await self._write(lambda connection: connection.execute(SQL["post_command"], values).rowcount)

    async def take_commands(
        self, limit: int = 100, *, kinds: Collection[str] | None = None
    ) -> tuple[Command, ...]:
        """Remove and return commands for executions, oldest first."""
        found = await self._read(lambda connection: connection.execute(SQL["any_command"]).fetchone())
        if found is None:
            return ()
        which = None if kinds is None else orjson.dumps(list(kinds)).decode()
        rows = await self._write(
            lambda connection: connection.execute(SQL["take_commands"], (limit, which)).fetchall()
        )
        return tuple(
            Command(execution_id=execution_id, kind=kind, body=body)
            for _, execution_id, kind, body in sorted(rows)
        )

    def on_change(self, listener: Callable[[Sequence[str]], None]) -> None:
        """Nobody else writes here, so nobody ever calls back."""


def _due(execution: Execution) -> tuple[datetime, str]:
    assert execution.due_time is not None
    return execution.due_time, execution.id
