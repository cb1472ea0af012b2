"""A restart drops the newest event of what is open, to do it again."""

from __future__ import annotations

import sqlite3

from tests.faults.bugs.seams import at_open

_OPEN = "SELECT id FROM executions WHERE end_time IS NULL AND last_event > 2"


def _truncate(connection: sqlite3.Connection) -> None:
    for execution in connection.execute(_OPEN).fetchall():
        connection.execute("UPDATE executions SET last_event = last_event - 1 WHERE id = ?", execution)
        connection.execute(
            "DELETE FROM events WHERE execution_id = ?1 AND number > "
            "(SELECT last_event FROM executions WHERE id = ?1)",
            execution,
        )


def plant() -> None:
    at_open(_truncate)
