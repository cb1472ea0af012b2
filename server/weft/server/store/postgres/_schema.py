"""The schema: is it ours, may we use it, and is it up to date."""

from __future__ import annotations

from typing import Final, NamedTuple

import asyncpg

from weft.core.clock import Clock
from weft.server.store.base import StoreUnavailableError
from weft.server.store.codec import to_micros
from weft.server.store.database import DatabaseConfig
from weft.server.store.migrate import AppliedMigration, Migration, load_migrations, pending_migrations
from weft.server.store.postgres._connect import SQL, Connection
from weft.server.store.postgres._locks import MIGRATION, lock_class

__all__ = ["About", "inspect", "prepare"]

_MINIMUM: Final = 140_000
_EARLY: Final = frozenset({"off", "local"})


class About(NamedTuple):
    """What matters of a server."""

    early: bool
    """Whether commits of this role are answered before they are on a disk, unless told otherwise."""
    unsafe: bool
    """Whether nothing is ever waited for to be on a disk."""


async def inspect(connection: Connection, config: DatabaseConfig) -> About:
    """Check that the server is one that can be used.

    Raises:
        StoreUnavailableError: It cannot be; the message says why.
        asyncpg.PostgresError: Of the database.
    """
    about = await connection.fetchrow(SQL["about_server"], config.schema)
    assert about is not None
    _require_fit(about, config.where)
    return About(about["synchronous_commit"] in _EARLY, about["fsync"] == "off")


async def prepare(connection: Connection, config: DatabaseConfig, clock: Clock) -> None:
    """Bring the schema to the present state; one server at a time, the others wait.

    Raises:
        StoreUnavailableError: It cannot be used; the message says why.
        asyncpg.PostgresError: Of the database.
    """
    lock = (lock_class(config.schema), MIGRATION)
    await connection.execute(SQL["lock_session"], *lock)
    try:
        await _make_schema(connection, config)
        await _migrate(connection, load_migrations("postgres"), config, clock)
    except asyncpg.InsufficientPrivilegeError as error:
        raise StoreUnavailableError(
            f"cannot open the store: {config.where}: {error}; its role needs a schema of its own: "
            f"CREATE SCHEMA {config.schema} AUTHORIZATION that role"
        ) from error
    finally:
        if not connection.is_closed():
            await connection.execute(SQL["unlock_session"], *lock)


def _require_fit(about: asyncpg.Record, where: str) -> None:
    if about["version"] < _MINIMUM:
        raise StoreUnavailableError(
            f"cannot open the store: {where}: PostgreSQL {about['version'] // 10_000} is too old: "
            "14 is needed"
        )
    if about["encoding"] != "UTF8":
        raise StoreUnavailableError(
            f"cannot open the store: {where}: the database has the encoding {about['encoding']}: "
            "UTF8 is needed"
        )
    if about["closed"]:
        raise StoreUnavailableError(
            f"cannot open the store: {where}: permission denied: its role may not use the schema"
        )
    if about["standby"]:
        raise StoreUnavailableError(f"cannot open the store: {where}: it is a standby, which takes no writes")


async def _make_schema(connection: Connection, config: DatabaseConfig) -> None:
    if not await connection.fetchval(SQL["has_schema"], config.schema):
        # The name has letters, digits and _ only.
        await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{config.schema}"')


async def _migrate(
    connection: Connection, known: tuple[Migration, ...], config: DatabaseConfig, clock: Clock
) -> None:
    if await connection.fetchval(SQL["count_foreign_tables"], config.schema):
        raise StoreUnavailableError(
            f"cannot open the store: {config.where}: the tables there are of something else"
        )
    if not await connection.fetchval(SQL["has_migrations"]):
        await connection.execute(SQL["create_schema_migrations"])
    applied = [AppliedMigration(*row) for row in await connection.fetch(SQL["applied_migrations"])]
    for migration in pending_migrations(known, applied, config.where):
        async with connection.transaction():
            await connection.execute(migration.script)
            await connection.execute(
                SQL["record_migration"],
                migration.number,
                migration.name,
                migration.checksum,
                to_micros(clock.now()),
            )
