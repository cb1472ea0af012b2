"""The store for several servers: one PostgreSQL database, shared by all."""

from __future__ import annotations

from weft.server.store.postgres._batches import PostgresBatches
from weft.server.store.postgres._claims import PostgresClaims
from weft.server.store.postgres._execution import PostgresExecutions
from weft.server.store.postgres._lists import PostgresLists
from weft.server.store.postgres._registry import PostgresRegistry
from weft.server.store.postgres._schedules import PostgresSchedules
from weft.server.store.postgres._steps import PostgresSteps
from weft.server.store.postgres._upkeep import PostgresUpkeep
from weft.server.store.postgres._workflow import PostgresWorkflows

__all__ = ["PostgresStore"]


class PostgresStore(
    PostgresRegistry,
    PostgresWorkflows,
    PostgresExecutions,
    PostgresClaims,
    PostgresLists,
    PostgresBatches,
    PostgresSchedules,
    PostgresUpkeep,
    PostgresSteps,
):
    """Keeps everything in one schema of a PostgreSQL database.

    One connection commits what happens to executions: whatever waits shares a
    statement, and so a round trip and an fsync. A few more do the rest, and read.
    Any number of servers may use the same schema at the same time; each holds a
    lease, and what it writes is fenced by it.

    Args:
        config: Which database, and how.
        clock: Dates request keys and migrations. Leases run by the database's clock.
    """
