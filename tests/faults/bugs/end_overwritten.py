"""A restart finds that what was cancelled had really been completed."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from tests.faults.bugs.seams import at_open
from weft.server.execution.model import ExecutionState
from weft.server.store.codec import decode_execution, encode


def _overwrite(connection: sqlite3.Connection) -> None:
    rows = connection.execute("SELECT document FROM executions WHERE state = 'CANCELLED'").fetchall()
    for (document,) in rows:
        execution = replace(decode_execution(document), state=ExecutionState.COMPLETED)
        connection.execute(
            "UPDATE executions SET state = 'COMPLETED', document = ? WHERE id = ?",
            (encode(execution), execution.id),
        )


def plant() -> None:
    at_open(_overwrite)
