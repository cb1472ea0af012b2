"""The embedded store: one SQLite file, durable by default."""

from __future__ import annotations

from weft.server.store.sqlite._batches import SqliteBatches
from weft.server.store.sqlite._claims import SqliteClaims
from weft.server.store.sqlite._execution import SqliteExecutions
from weft.server.store.sqlite._lists import SqliteLists
from weft.server.store.sqlite._registry import SqliteRegistry
from weft.server.store.sqlite._schedules import SqliteSchedules
from weft.server.store.sqlite._steps import SqliteSteps
from weft.server.store.sqlite._upkeep import SqliteUpkeep
from weft.server.store.sqlite._workflow import SqliteWorkflows

__all__ = ["SqliteStore"]


class SqliteStore(
    SqliteRegistry,
    SqliteWorkflows,
    SqliteExecutions,
    SqliteClaims,
    SqliteLists,
    SqliteBatches,
    SqliteSchedules,
    SqliteUpkeep,
    SqliteSteps,
):
    """Keeps everything in one SQLite database.

    One thread writes: whatever waits shares a transaction and an fsync. Two
    threads read beside it. A process owns the directory of the file alone; the
    lock in it dies with the process.

    Args:
        path: The database file; its directory is made when it is missing.
            None keeps everything in memory, for tests.
        clock: Where the time comes from.
    """
