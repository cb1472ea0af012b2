"""A restart drops the newest event of what is open, to do it again."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from tests.faults.bugs.seams import at_open
from weft.server.store.codec import decode_execution, encode


def _truncate(connection: sqlite3.Connection) -> None:
    rows = connection.execute("SELECT document FROM executions WHERE state = 'RUNNING' AND last_event > 2")
    for (document,) in rows.fetchall():
        execution = decode_execution(document)
        shorter = replace(execution, last_event=execution.last_event - 1)
        connection.execute(
            "UPDATE executions SET last_event = ?, document = ? WHERE id = ?",
            (shorter.last_event, encode(shorter), shorter.id),
        )
        connection.execute(
            "DELETE FROM events WHERE execution_id = ? AND number = ?", (execution.id, execution.last_event)
        )


def plant() -> None:
    at_open(_truncate)
