"""A schema of a PostgreSQL database, for ``weft admin``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import orjson

from weft.core.clock import SystemClock
from weft.server.store.base import StoreUnavailableError
from weft.server.store.database import DatabaseConfig
from weft.server.store.migrate import AppliedMigration, load_migrations, pending_migrations
from weft.server.store.postgres._connect import SQL, Connection, connect
from weft.server.store.postgres._faults import words_of
from weft.server.store.postgres._schema import inspect, prepare
from weft.server.store.vault import TABLES, Member, Row, Salvage, Snapshot, Table, VaultError

__all__ = ["PostgresVault"]

_PATIENT: Final = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
"""A backup takes as long as it takes."""
_PREFETCH: Final = 500
_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class PostgresVault:
    """A schema.

    Args:
        config: Where it is.
    """

    def __init__(self, config: DatabaseConfig) -> None:
        self._config = config

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"postgresql {self._config.where}"

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Read it as of now; servers may go on."""
        async with self._connected() as connection:
            if missing := await self._missing(connection):
                raise VaultError(f"{self._config.where} has to be migrated first ({', '.join(missing)})")
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield _Snapshot(connection)

    @asynccontextmanager
    async def filling(self) -> AsyncIterator[_Filler]:
        """Fill it, all or nothing."""
        async with self._connected() as connection:
            await self._prepare(connection)
            async with connection.transaction():
                await self._require_empty(connection)
                yield _Filler(connection, self._config.schema)

    async def _require_empty(self, connection: Connection) -> None:
        for each in TABLES:
            if await connection.fetchval(f"SELECT 1 FROM {each.name} LIMIT 1"):  # noqa: S608 - a name of ours
                raise VaultError(f"{self._config.where} is not empty: there are {each.name}")
        for member in await _members(connection):
            if member.alive:
                raise VaultError(f"{self._config.where} is in use by server {member.name}")

    async def migrate(self, *, apply: bool) -> tuple[str, ...]:
        """Bring it up to date; return the names of the migrations that were missing."""
        async with self._connected() as connection:
            missing = await self._missing(connection)
            if apply and missing:
                await self._prepare(connection)
            return missing

    async def accept_loss(self) -> Salvage | None:
        """Refuse: PostgreSQL does not start on a damaged log."""
        raise VaultError(f"{self.name}: PostgreSQL looks after its own log")

    async def members(self) -> tuple[Member, ...]:
        """Return the servers that have joined."""
        async with self._connected() as connection:
            return await _members(connection)

    async def remove(self, epoch: int) -> int:
        """Take a server for dead: it writes nothing more; return how many executions are free."""
        async with self._connected() as connection, connection.transaction():
            await connection.execute(SQL["leave_servers"], [epoch])
            freed: int = await connection.fetchval(SQL["free_owned"], [epoch])
            return freed

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        connection: Connection | None = None
        try:
            connection = await connect(self._config, **_PATIENT)
            yield connection
        except _FAILURES as error:
            text = self._config.hide(words_of(error))
            raise VaultError(f"{self._config.where}: {text}") from None
        finally:
            if connection is not None:
                connection.terminate()

    async def _prepare(self, connection: Connection) -> None:
        try:
            await inspect(connection, self._config)
            await prepare(connection, self._config, SystemClock())
        except StoreUnavailableError as error:
            raise VaultError(error.message) from error

    async def _missing(self, connection: Connection) -> tuple[str, ...]:
        applied: list[AppliedMigration] = []
        if await connection.fetchval(SQL["has_migrations"]):
            applied = [AppliedMigration(*row) for row in await connection.fetch(SQL["applied_migrations"])]
        try:
            pending = pending_migrations(load_migrations("postgres"), applied, self._config.where)
        except StoreUnavailableError as error:
            raise VaultError(error.message) from error
        return tuple(f"{it.number:04}_{it.name}" for it in pending)


class _Snapshot:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def rows(self, what: Table) -> AsyncIterator[Row]:
        columns, order = ", ".join(what.columns), ", ".join(what.order)
        query = f"SELECT {columns} FROM {what.name} ORDER BY {order}"  # noqa: S608 - names of ours
        async for row in self._connection.cursor(query, prefetch=_PREFETCH):
            yield tuple(row)

    async def count(self) -> int:
        count: int = await self._connection.fetchval("SELECT count(*) FROM executions")
        return count

    async def owners(self) -> dict[str, int]:
        return {row[0]: row[1] for row in await self._connection.fetch(SQL["owners"])}

    async def epochs(self) -> frozenset[int]:
        return frozenset(member.epoch for member in await _members(self._connection))

    async def faults(self) -> tuple[str, ...]:
        return ()


class _Filler:
    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema

    async def add(self, what: Table, rows: Iterable[Row]) -> None:
        columns: tuple[str, ...] = what.columns
        if what.name == "executions":
            columns, rows = (*columns, "workflow_version", "trace_id"), _widened(what, rows)
        await self._connection.copy_records_to_table(
            what.name, records=rows, columns=columns, schema_name=self._schema
        )


def _widened(what: Table, rows: Iterable[Row]) -> Iterator[Row]:
    """Add what has columns of its own here."""
    at = what.columns.index("document")
    for row in rows:
        document = orjson.loads(row[at])
        yield (*row, document["workflow_version"], document.get("trace_id") or None)


async def _members(connection: Connection) -> tuple[Member, ...]:
    return tuple(
        Member(epoch=row["epoch"], name=row["name"], alive=row["alive"], executions=row["executions"])
        for row in await connection.fetch(SQL["members"])
    )
