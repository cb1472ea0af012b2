"""A restart finds that what was cancelled had really been completed."""

from __future__ import annotations

from tests.faults.bugs.seams import at_open


def plant() -> None:
    at_open(
        lambda connection: connection.execute(
            "UPDATE executions SET state = 'COMPLETED', failure = NULL WHERE state = 'CANCELLED'"
        )
    )
