"""What steps share over all executions and servers: outputs that are kept, and turns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from weft.server.store.codec import from_micros, to_micros
from weft.server.store.postgres._backend import Backend, affected
from weft.server.store.postgres._connect import SQL, Connection
from weft.server.store.postgres._hints import Hint
from weft.server.store.postgres._locks import lock_number
from weft.server.store.rates import Window, place_in
from weft.server.store.step_shares import Permit

__all__ = ["PostgresSteps"]

_MICROSECOND: Final = timedelta(microseconds=1)
_SWEEPS: Final = ("sweep_cache", "sweep_rates")


class _Waiting(NamedTuple):
    """The call that waits longest for its permit."""

    number: int
    execution_id: str
    concurrency: int
    rate: int
    per: int
    alive: bool


class PostgresSteps(Backend):
    """What steps share; see ``StepShareStore`` for what each method promises."""

    async def cached_output(self, key: str, now: datetime) -> bytes | None:
        """Return what is kept under a key, unless its time is over."""
        rows = await self._fetch("cached_output", key, to_micros(now))
        return rows[0][0] if rows else None

    async def cache_output(self, key: str, output: bytes, expire_time: datetime) -> None:
        """Keep an output until a time, in place of what was kept under its key."""
        await self._run("cache_output", key, output, to_micros(expire_time))

    async def sweep_shares(self, now: datetime, limit: int) -> int:
        """Delete outputs, and windows of rates, whose time is over: that many of each at most."""

        async def sweep(connection: Connection) -> int:
            return sum([await _count(connection, query, to_micros(now), limit) for query in _SWEEPS])

        return await self._write(sweep)

    async def acquire_permit(self, permit: Permit, now: datetime) -> datetime | None:
        """Return from when on a call may begin; None when it has to wait for another one to end."""
        call = (permit.execution_id, permit.path)
        asked = (permit.scope, *call, permit.concurrency, permit.rate, permit.per // _MICROSECOND)

        async def acquire(connection: Connection) -> tuple[int | None, list[str]]:
            await self._lock(connection, [permit.scope])
            await connection.execute(SQL["ask_permit"], *asked)
            granted = await _grant(connection, permit.scope, to_micros(now))
            return await connection.fetchval(SQL["get_permit"], *call), granted

        begin, granted = await self._write(acquire)
        self._told(each for each in granted if each != permit.execution_id)
        return None if begin is None else from_micros(begin)

    async def permits_of(self, execution_id: str) -> Mapping[str, datetime | None]:
        """Return, by path, from when on the calls of an execution may begin that asked; None: they wait."""
        rows = await self._fetch("permits_of", execution_id)
        return {path: None if begin is None else from_micros(begin) for _, path, begin in rows}

    async def release_permit(self, permit: Permit, now: datetime) -> tuple[str, ...]:
        """Give a permit back, or leave the queue; return the executions of which one was given to a call."""

        async def release(connection: Connection) -> list[str]:
            await self._lock(connection, [permit.scope])
            await connection.execute(SQL["drop_permit"], permit.execution_id, permit.path)
            return await _grant(connection, permit.scope, to_micros(now))

        return self._told(await self._write(release))

    async def release_permits(
        self, execution_id: str, keep: Collection[str], now: datetime
    ) -> tuple[str, ...]:
        """Release all permits of an execution but those of some paths."""
        rows = await self._fetch("permits_of", execution_id)
        gone = [(row["scope"], row["path"]) for row in rows if row["path"] not in keep]
        if not gone:
            return ()

        async def release(connection: Connection) -> list[str]:
            scopes = sorted({scope for scope, _ in gone})
            await self._lock(connection, scopes)
            for _, path in gone:
                await connection.execute(SQL["drop_permit"], execution_id, path)
            return [each for scope in scopes for each in await _grant(connection, scope, to_micros(now))]

        return self._told(await self._write(release))

    async def grant_permits(self, now: datetime) -> tuple[str, ...]:
        """Take back what executions hold that have ended, and give it on."""
        if not await self._fetch("any_permit"):
            return ()
        await self._run("drop_dead_permits")
        granted: list[str] = []
        for scope in [row[0] for row in await self._fetch("free_scopes")]:

            async def grant(connection: Connection, scope: str = scope) -> list[str]:
                await self._lock(connection, [scope])
                return await _grant(connection, scope, to_micros(now))

            granted += await self._write(grant)
        if await self._write(lambda connection: _count(connection, "wake_all_permitted"), alone=True):
            self._keeper.tell(Hint("freed"))
        return self._told(granted)

    async def wake_permitted(self, execution_id: str) -> bool:
        """Make an execution due that nobody owns, if a call of it has its permit; tell whether it has."""
        return bool(
            await self._write(
                lambda connection: _count(connection, "wake_permitted", execution_id), alone=True
            )
        )

    async def _lock(self, connection: Connection, scopes: Iterable[str]) -> None:
        """Have scopes alone, to the end of the transaction."""
        numbers = sorted(lock_number(self._config.schema, "permit", scope) for scope in scopes)
        await connection.execute(SQL["lock_transaction"], numbers)

    def _told(self, granted: Iterable[str]) -> tuple[str, ...]:
        """Tell other servers whose turn it is: executions of theirs, or such as nobody owns."""
        ids = tuple(granted)
        if ids:
            self._keeper.tell(Hint("executions", ids))
            self._keeper.tell(Hint("freed"))
        return ids


async def _count(connection: Connection, query: str, *arguments: object) -> int:
    return affected(await connection.execute(SQL[query], *arguments))


async def _grant(connection: Connection, scope: str, now: int) -> list[str]:
    """Give permits of a scope to those that wait, as far as there are some; return their executions."""
    granted: list[str] = []
    while (row := await connection.fetchrow(SQL["next_permit"], scope)) is not None:
        first = _Waiting._make(row)
        if not first.alive:
            await connection.execute(SQL["drop_permit_by_id"], first.number)
            continue
        held = await connection.fetchval(SQL["held_permits"], scope) if first.concurrency else -1
        if first.concurrency and held >= first.concurrency:
            break
        begin = await _begin(connection, scope, first, now)
        await connection.execute(SQL["give_permit"], begin, first.number)
        await connection.execute(SQL["wake_permitted"], first.execution_id)
        granted.append(first.execution_id)
    return granted


async def _begin(connection: Connection, scope: str, call: _Waiting, now: int) -> int:
    """Return from when on a call may begin, and keep its place."""
    if not call.rate:
        return now
    row = await connection.fetchrow(SQL["get_rate"], scope)
    begin, window = place_in(Window._make(row) if row else None, call.rate, call.per, now)
    await connection.execute(SQL["set_rate"], scope, *window, window.start + call.per)
    return begin
