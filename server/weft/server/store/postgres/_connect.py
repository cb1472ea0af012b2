"""Connections: how they are made, and a few that are shared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg

from weft.server.store.database import DatabaseConfig
from weft.server.store.errors import StoreUnavailableError
from weft.server.store.queries import load_queries

__all__ = ["SQL", "Connection", "Pool", "connect"]

SQL = load_queries("postgres")

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection: TypeAlias = asyncpg.Connection

_CONNECT_SECONDS: Final = 5.0
_SETTINGS: Final = {
    "application_name": "weft",
    "default_transaction_isolation": "read committed",
    # Who stands still amid a transaction must not hold up the others for long.
    "idle_in_transaction_session_timeout": "3000",
    "statement_timeout": "30000",
    # What is gone is noticed, also while it waits for a lock.
    "client_connection_check_interval": "1000",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "jit": "off",
}


async def connect(config: DatabaseConfig, **settings: str) -> Connection:
    """Make a connection.

    Args:
        config: To what.
        settings: Of the session, beside those that all have.

    Raises:
        OSError: Nobody answers there.
        asyncpg.PostgresError: It refuses.
        asyncpg.InterfaceError: The URL cannot be.
    """
    return await asyncpg.connect(
        config.url,
        timeout=_CONNECT_SECONDS,
        statement_cache_size=200,
        max_cached_statement_lifetime=0,
        server_settings={**_SETTINGS, "search_path": config.schema, **settings},
    )


class Pool:
    """A few connections that are made when they are needed, and given to one user at a time.

    Args:
        config: To what.
        size: The most of them.
        settings: Of their sessions.
    """

    def __init__(self, config: DatabaseConfig, size: int, settings: Mapping[str, str]) -> None:
        self._config = config
        self._settings = settings
        self._places = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """Have a connection for a while.

        Raises:
            StoreUnavailableError: It was cut meanwhile.
        """
        async with self._places:
            connection = self._take() or await self._make()
            try:
                yield connection
            except AttributeError as error:
                # Where it is cut between two halves of a statement, asyncpg trips over what it has forgotten.
                if not connection.is_closed():
                    raise
                self._drop(connection)
                raise StoreUnavailableError(f"{self._config.where}: the connection was cut") from error
            except BaseException:
                # Whatever it was amid, nobody else shall find it there.
                if connection.is_closed() or connection.is_in_transaction():
                    self._drop(connection)
                raise
            finally:
                if connection in self._all:
                    self._idle.append(connection)

    async def _make(self) -> Connection:
        connection = await connect(self._config, **self._settings)
        self._all.add(connection)
        return connection

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._all.discard(connection)
        return None

    def _drop(self, connection: Connection) -> None:
        self._all.discard(connection)
        connection.terminate()

    def terminate(self) -> None:
        """Cut all connections, whatever they are amid."""
        for connection in tuple(self._all):
            self._drop(connection)
        self._idle.clear()

    async def close(self) -> None:
        """End all connections in good order."""
        closing: list[Any] = [connection.close(timeout=2) for connection in self._all]
        self._all.clear()
        self._idle.clear()
        await asyncio.gather(*closing, return_exceptions=True)
