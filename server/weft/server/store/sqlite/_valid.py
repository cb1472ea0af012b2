"""How much of a log SQLite takes; asked without changing anything."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from weft.server.store.sqlite._log import INDEX_HEADER, read_index

__all__ = ["valid_frames"]


def valid_frames(database: Path, salt: bytes) -> int:
    """Return how many frames of a log SQLite would read; nobody has the database open.

    A connection that may not write reads the log, leaves the index that it makes of it,
    and, unlike others, does not write the log back when it is closed.

    Args:
        database: The file.
        salt: Names the log.

    Raises:
        sqlite3.Error: The database cannot be read.
    """
    if database.stat().st_size == 0:
        return 0
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    index = Path(f"{database}-shm")
    found = read_index(index.read_bytes()[:INDEX_HEADER]) if index.is_file() else None
    return found.frames if found is not None and found.salt == salt else 0
