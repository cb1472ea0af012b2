"""Every adapter of the store port; a new one joins the contract suite by one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from weft.core.clock import Clock
from weft.server.store.base import Store
from weft.server.store.sqlite import SqliteStore

ADAPTERS: dict[str, Callable[[Path, Clock], Store]] = {
    "sqlite-file": lambda folder, clock: SqliteStore(folder / "weft.db", clock),
    "sqlite-memory": lambda _, clock: SqliteStore(None, clock),
}
