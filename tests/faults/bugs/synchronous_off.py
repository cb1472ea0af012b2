"""The database is told not to wait for the disk."""

from __future__ import annotations

from tests.faults.bugs.seams import wrap
from weft.server.store.sqlite import _database


def plant() -> None:
    wrap(_database, "_PRAGMAS", lambda pragmas: (*pragmas, "PRAGMA synchronous = NORMAL"))
