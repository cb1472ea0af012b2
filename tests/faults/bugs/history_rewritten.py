"""A restart rewrites what is recorded."""

from __future__ import annotations

from tests.faults.bugs.seams import at_open


def plant() -> None:
    at_open(lambda connection: connection.execute("UPDATE events SET time = time + 1000"))
