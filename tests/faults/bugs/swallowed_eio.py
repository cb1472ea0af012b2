"""A commit that fails is taken for one that succeeded."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.store.sqlite import _commit, _writer
from weft.server.store.sqlite._database import rollback
from weft.server.store.sqlite._jobs import Job, Outcome


def plant() -> None:
    def make(_original: Any) -> Any:
        def commit(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Outcome]:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [_commit._run_guarded(connection, job) for job in jobs]
            with suppress(sqlite3.Error):
                connection.execute("COMMIT")
            rollback(connection)
            return outcomes

        return commit

    wrap(_writer, "commit", make)
