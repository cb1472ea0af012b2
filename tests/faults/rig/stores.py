"""Where a cluster keeps its data: what it takes to run servers on it, and to look at it afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol


class StoreAdapter(Protocol):
    """A kind of store, with the servers that share it."""

    name: str
    """For reports."""
    replicas: int
    """How many servers run on it."""
    lease: float
    """How many seconds after its death a server's executions go on elsewhere, at the most."""

    async def open(self) -> None:
        """Make it ready for servers."""
        ...

    async def close(self) -> None:
        """Stop what ``open`` started."""
        ...

    def arguments(self, server: int, /) -> Sequence[str]:
        """Return the options of ``weft server`` that name it."""
        ...

    def environ(self, server: int, /) -> dict[str, str]:
        """Return the variables that name it, where options do not."""
        ...

    async def kill(self, lasts: float, /) -> None:
        """End the database's own processes, where it has some, and start them again after a while."""
        ...

    async def verify(self) -> list[str]:
        """Return what is wrong with the data, now that no server runs."""
        ...


class SqliteStoreAdapter:
    """One server on one file."""

    name = "sqlite"
    replicas = 1
    lease = 0.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "weft.db"

    async def open(self) -> None:
        """Nothing: the server makes the file."""

    async def close(self) -> None:
        """Nothing: it is only a file."""

    def arguments(self, _server: int, /) -> Sequence[str]:
        return ("--data-dir", str(self.folder))

    def environ(self, _server: int, /) -> dict[str, str]:
        return {}

    async def kill(self, _lasts: float, /) -> None:
        """There is no process of its own."""

    async def verify(self) -> list[str]:
        """Ask SQLite, and count events against summaries in plain SQL, past all code of ours."""
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
            faults = [] if verdict == "ok" else [f"integrity_check: {verdict}"]
            rows = connection.execute(_WRONG_COUNTS).fetchall()
        return [*faults, *(f"{row[0]}: {row[1]} events, {row[2]} in its summary" for row in rows)]


_WRONG_COUNTS = """
SELECT executions.id, count(number), last_event FROM executions
LEFT JOIN events ON execution_id = executions.id
GROUP BY executions.id
HAVING count(number) != last_event OR coalesce(max(number), 0) != last_event OR min(number) != 1
"""
