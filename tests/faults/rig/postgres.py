"""A PostgreSQL of the run's own, and three servers on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from tests.support.postgres import PostgresServer

_LEASE: float = 5.0
_ATTEMPTS = 10


class PostgresStoreAdapter:
    """Replicas on one database, which can be killed like they can."""

    name = "postgres"
    replicas = 3
    lease = _LEASE

    def __init__(self, server: PostgresServer | None = None) -> None:
        self._server = server or PostgresServer(durable=True)
        self._url = ""

    async def open(self) -> None:
        await asyncio.to_thread(self._make)
        self._url = await self._database()

    async def _database(self) -> str:
        return await self._server.database()

    def _make(self) -> None:
        self._server.make()
        self._server.start()

    async def close(self) -> None:
        await asyncio.to_thread(self._server.close)

    def arguments(self, _server: int, /) -> Sequence[str]:
        return ("--database-url", self._url, "--lease", str(_LEASE))

    def environ(self, _server: int, /) -> dict[str, str]:
        return {}

    async def kill(self, lasts: float) -> None:
        """Kill all processes of the database; start it again after a while."""
        await asyncio.to_thread(self._kill, lasts)

    def _kill(self, lasts: float) -> None:
        self._server.kill()
        time.sleep(lasts)
        self._bring_back(lasts)

    def _bring_back(self, lasts: float) -> None:
        """Start it again where servers know it, after another while when it is not ready for that."""
        port = self._server.port
        for _ in range(_ATTEMPTS):
            self._server.port = port  # servers know no other
            self._server._launch()
            if self._server._is_ready():
                return
            self._server.kill()
            time.sleep(lasts)
        raise RuntimeError(f"PostgreSQL did not come back:\n{self._server.log()[-2_000:]}")

    async def verify(self) -> list[str]:
        """Count events against summaries in plain SQL, past all code of ours."""
        wrong = await self._server.execute(_WRONG_COUNTS, url=self._url)
        return [f"{row[0]}: {row[1]} events, {row[2]} in its summary" for row in wrong]


_WRONG_COUNTS = """
SELECT e.id, count(v.number), e.last_event FROM weft.executions e
LEFT JOIN weft.events v ON v.execution_id = e.id
GROUP BY e.id
HAVING count(v.number) != e.last_event OR coalesce(max(v.number), 0) != e.last_event OR min(v.number) != 1
"""
