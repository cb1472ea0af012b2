"""Whoever waits for a commit is told of it before it is made."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from tests.faults.bugs.seams import wrap
from weft.server.failpoints import failpoint
from weft.server.store.sqlite import _commit, _writer
from weft.server.store.sqlite._jobs import Job, Outcome, deliver


def plant() -> None:
    def early(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Outcome]:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [_commit._run_guarded(connection, job) for job in jobs]
        deliver(jobs[0].future.get_loop(), outcomes)
        time.sleep(0.05)
        failpoint("commit.before")
        connection.execute("COMMIT")
        return []

    wrap(_writer, "commit", lambda _: early)
