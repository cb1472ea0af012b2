"""Every adapter of the store port; a new one joins the contract suite by one line."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

from weft.core.clock import Clock
from weft.server.store.base import Store
from weft.server.store.database import DatabaseConfig
from weft.server.store.postgres import PostgresStore
from weft.server.store.sqlite import SqliteStore

Place = Callable[[], Coroutine[Any, Any, str]]
"""Makes a database, and returns its URL."""


async def _postgres(place: Place, clock: Clock) -> Store:
    return PostgresStore(DatabaseConfig(url=await place(), lease=timedelta(seconds=30)), clock)


async def _file(folder: Path, clock: Clock) -> Store:
    return SqliteStore(folder / "weft.db", clock)


async def _memory(clock: Clock) -> Store:
    return SqliteStore(None, clock)


ADAPTERS: dict[str, Callable[[Path, Place, Clock], Coroutine[Any, Any, Store]]] = {
    "postgres": lambda _, place, clock: _postgres(place, clock),
    "sqlite-file": lambda folder, _, clock: _file(folder, clock),
    "sqlite-memory": lambda _, __, clock: _memory(clock),
}
