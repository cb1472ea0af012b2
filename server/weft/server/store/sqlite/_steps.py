"""What steps share over all executions: outputs that are kept, and turns."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from weft.server.store.codec import from_micros, to_micros
from weft.server.store.rates import Window, place_in
from weft.server.store.sqlite._backend import Backend
from weft.server.store.sqlite._database import SQL
from weft.server.store.step_shares import Permit

__all__ = ["SqliteSteps"]

_MICROSECOND: Final = timedelta(microseconds=1)
_SWEEPS: Final = ("sweep_cache", "sweep_rates")
_AT_ONCE: Final = 1_000
"""How much a sweep does."""


class _Waiting(NamedTuple):
    """The call that waits longest for its permit."""

    number: int
    execution_id: str
    concurrency: int
    rate: int
    per: int
    alive: int


class _Found(NamedTuple):
    """What a sweep has to do."""

    dead: list[tuple[int]]
    """Numbers of permits whose executions have ended."""
    scopes: list[str]
    """For which calls may be given a permit."""
    missed: list[tuple[str]]
    """Executions that are to be due."""


class SqliteSteps(Backend):
    """What steps share; see ``StepShareStore`` for what each method promises."""

    async def cached_output(self, key: str, now: datetime) -> bytes | None:
        """Return what is kept under a key, unless its time is over."""
        values = (key, to_micros(now))
        row = await self._read(lambda connection: connection.execute(SQL["cached_output"], values).fetchone())
        return row[0] if row else None

    async def cache_output(self, key: str, output: bytes, expire_time: datetime) -> None:
        """Keep an output until a time, in place of what was kept under its key."""
        values = (key, output, to_micros(expire_time))
        await self._write(lambda connection: connection.execute(SQL["cache_output"], values).rowcount)

    async def sweep_shares(self, now: datetime, limit: int) -> int:
        """Delete outputs, and windows of rates, whose time is over: that many of each at most."""
        values = (to_micros(now), limit)

        def sweep(connection: sqlite3.Connection) -> int:
            return sum(connection.execute(SQL[query], values).rowcount for query in _SWEEPS)

        return await self._write(sweep)

    async def acquire_permit(self, permit: Permit, now: datetime) -> datetime | None:
        """Return from when on a call may begin; None when it has to wait for another one to end."""
        call = (permit.execution_id, permit.path)
        asked = (permit.scope, *call, permit.concurrency, permit.rate, permit.per // _MICROSECOND)

        def acquire(connection: sqlite3.Connection) -> int | None:
            connection.execute(SQL["ask_permit"], asked)
            _grant(connection, permit.scope, to_micros(now))
            begin: int | None = connection.execute(SQL["get_permit"], call).fetchone()[0]
            return begin

        begin = await self._write(acquire)
        return None if begin is None else from_micros(begin)

    async def permits_of(self, execution_id: str) -> Mapping[str, datetime | None]:
        """Return, by path, from when on the calls of an execution may begin that asked; None: they wait."""
        rows = await self._permits_of(execution_id)
        return {path: None if begin is None else from_micros(begin) for _, path, begin in rows}

    async def _permits_of(self, execution_id: str) -> list[tuple[str, str, int | None]]:
        values = (execution_id,)
        return await self._read(lambda connection: connection.execute(SQL["permits_of"], values).fetchall())

    async def release_permit(self, permit: Permit, now: datetime) -> tuple[str, ...]:
        """Give a permit back, or leave the queue; return the executions of which one was given to a call."""

        def release(connection: sqlite3.Connection) -> list[str]:
            connection.execute(SQL["drop_permit"], (permit.execution_id, permit.path))
            return _grant(connection, permit.scope, to_micros(now))

        return tuple(await self._write(release))

    async def release_permits(
        self, execution_id: str, keep: Collection[str], now: datetime
    ) -> tuple[str, ...]:
        """Release all permits of an execution but those of some paths."""
        rows = await self._permits_of(execution_id)
        gone = [(scope, path) for scope, path, _ in rows if path not in keep]
        if not gone:
            return ()

        def release(connection: sqlite3.Connection) -> list[str]:
            connection.executemany(SQL["drop_permit"], [(execution_id, path) for _, path in gone])
            scopes = dict.fromkeys(scope for scope, _ in gone)
            return [each for scope in scopes for each in _grant(connection, scope, to_micros(now))]

        return tuple(await self._write(release))

    async def grant_permits(self, now: datetime) -> tuple[str, ...]:
        """Take back what executions hold that have ended, and give it on."""
        found = await self._read(_look)
        if found is None:
            return ()

        def grant(connection: sqlite3.Connection) -> list[str]:
            connection.executemany(SQL["drop_permit_by_id"], found.dead)
            granted = [each for scope in found.scopes for each in _grant(connection, scope, to_micros(now))]
            connection.executemany(SQL["wake_permitted"], found.missed)
            return granted

        return tuple(await self._write(grant))

    async def wake_permitted(self, execution_id: str) -> bool:
        """Make an execution due that nobody owns, if a call of it has its permit; tell whether it has."""
        values = (execution_id,)
        return await self._write(
            lambda connection: connection.execute(SQL["wake_permitted"], values).rowcount == 1
        )


def _look(connection: sqlite3.Connection) -> _Found | None:
    """Look for what a sweep has to do, beside those who write; None where there is nothing with a limit."""
    if connection.execute(SQL["any_permit"]).fetchone() is None:
        return None
    dead = connection.execute(SQL["dead_permits"], (_AT_ONCE,)).fetchall()
    free = [scope for (scope,) in connection.execute(SQL["free_scopes"]).fetchall()]
    missed = connection.execute(SQL["missed_turns"], (_AT_ONCE,)).fetchall()
    scopes = dict.fromkeys([*free, *(scope for _, scope in dead)])
    return _Found([(number,) for number, _ in dead], list(scopes), missed)


def _grant(connection: sqlite3.Connection, scope: str, now: int) -> list[str]:
    """Give permits of a scope to those that wait, as far as there are some; return their executions."""
    granted: list[str] = []
    while (row := connection.execute(SQL["next_permit"], (scope,)).fetchone()) is not None:
        first = _Waiting._make(row)
        if not first.alive:
            connection.execute(SQL["drop_permit_by_id"], (first.number,))
            continue
        held = connection.execute(SQL["held_permits"], (scope,)).fetchone()[0] if first.concurrency else -1
        if first.concurrency and held >= first.concurrency:
            break
        begin = _begin(connection, scope, first, now)
        connection.execute(SQL["give_permit"], (begin, first.number))
        connection.execute(SQL["wake_permitted"], (first.execution_id,))
        granted.append(first.execution_id)
    return granted


def _begin(connection: sqlite3.Connection, scope: str, call: _Waiting, now: int) -> int:
    """Return from when on a call may begin, and keep its place."""
    if not call.rate:
        return now
    row = connection.execute(SQL["get_rate"], (scope,)).fetchone()
    begin, window = place_in(Window._make(row) if row else None, call.rate, call.per, now)
    connection.execute(SQL["set_rate"], (scope, *window, window.start + call.per))
    return begin
