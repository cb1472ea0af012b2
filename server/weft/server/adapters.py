"""The only file that names an adapter of the store; the driver of the other one is not loaded."""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

from pathlib import Path

from weft.core.clock import Clock
from weft.server.store.base import Store
from weft.server.store.database import DatabaseConfig
from weft.server.store.vault import Vault

__all__ = ["make_store", "make_vault"]

_FILE = "weft.db"


def make_store(data_dir: Path | None, database: DatabaseConfig | None, clock: Clock) -> Store:
    """Make the store of a server.

    Args:
        data_dir: The folder of the embedded one; none keeps everything in memory.
        database: The database of the shared one, which wins.
        clock: Where it takes its time from.
    """
    if database is not None:
        from weft.server.store.postgres import PostgresStore

        return PostgresStore(database, clock)
    from weft.server.store.sqlite import SqliteStore

    return SqliteStore(None if data_dir is None else data_dir / _FILE, clock)


def make_vault(data_dir: Path, database: DatabaseConfig | None) -> Vault:
    """Make what ``weft admin`` works with."""
    if database is not None:
        from weft.server.store.postgres.vault import PostgresVault

        return PostgresVault(database)
    from weft.server.store.sqlite.vault import SqliteVault

    return SqliteVault(data_dir / _FILE)
