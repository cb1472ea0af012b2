"""Where the server of a benchmark keeps everything: SQLite in a directory of its own, or PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import asyncpg

from benchmarks.floor import journal
from benchmarks.harness import CannotRunError, Operation
from benchmarks.payloads import PAYLOAD
from benchmarks.processes import Processes, cpu_seconds
from tests.support.postgres import PostgresServer, postgres_folder, started_postgres

__all__ = ["POSTGRES", "SQLITE", "OpenStore", "StoreKind"]

_LEASE: Final = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStore:
    """A store that servers can be started on."""

    options: tuple[str, ...]
    """Of the server's command line."""
    commit: Operation
    """Keeps one row, in a commit of its own, as durably as the server does."""
    cpu_seconds: Callable[[], float]
    """Processor time of the processes that are the store's own."""
    lease: float
    """Seconds until the executions of a dead server are taken on."""


class StoreKind(Protocol):
    """One kind of store."""

    suffix: str
    """What the names of its benchmarks end with."""
    title: str
    """What people call it."""

    def opened(self, processes: Processes) -> AbstractAsyncContextManager[OpenStore]:
        """Have an empty one while the block runs.

        Raises:
            CannotRunError: A part is missing.
        """
        ...


class _Sqlite:
    suffix = ""
    title = "SQLite"

    @asynccontextmanager
    async def opened(self, processes: Processes) -> AsyncIterator[OpenStore]:
        """Have an empty directory; the server's own is below the benchmark's."""
        with journal(processes.place / "floor.db") as connection:

            async def commit() -> None:
                connection.execute("INSERT INTO rows (body) VALUES (?)", (PAYLOAD,))

            yield OpenStore(options=(), commit=commit, cpu_seconds=lambda: 0.0, lease=0.0)


class _Postgres:
    suffix = "-postgres"
    title = "PostgreSQL"

    @asynccontextmanager
    async def opened(self, processes: Processes) -> AsyncIterator[OpenStore]:
        """Start PostgreSQL, with fsync, beside the benchmark's directory.

        Raises:
            CannotRunError: There is no PostgreSQL.
        """
        try:
            postgres_folder()
        except RuntimeError as error:
            raise CannotRunError(str(error)) from None
        with started_postgres(durable=True, where=processes.place.parent) as server:
            connection = await asyncpg.connect(await server.database())
            try:
                await connection.execute(
                    "CREATE TABLE rows (number bigserial PRIMARY KEY, body bytea NOT NULL)"
                )

                async def commit() -> None:
                    await connection.execute("INSERT INTO rows (body) VALUES ($1)", PAYLOAD)

                yield OpenStore(
                    options=("--database-url", await server.database(), "--lease", f"{_LEASE:g}"),
                    commit=commit,
                    cpu_seconds=lambda: _cpu(server),
                    lease=_LEASE,
                )
            finally:
                await connection.close()


def _cpu(server: PostgresServer) -> float:
    """Add up all its processes; those that have ended count with the first one, as their parent."""
    first, *others = server.pids()
    return cpu_seconds(first, ended_children=True) + sum(map(cpu_seconds, others))


SQLITE: Final[StoreKind] = _Sqlite()
POSTGRES: Final[StoreKind] = _Postgres()
