"""A group commit: many units of work, one transaction, one fsync."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from weft.server.failpoints import failpoint
from weft.server.store.sqlite._database import rollback
from weft.server.store.sqlite._faults import fault_of, unit_error
from weft.server.store.sqlite._jobs import Job, Outcome

__all__ = ["commit", "read"]


class _HalfDoneError(Exception):
    """A unit failed after it had written something."""


def commit(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Outcome]:
    """Run units of work in one transaction; each takes effect as a whole or not at all.

    Units check before they write, so nearly always one that fails has changed
    nothing and needs no savepoint of its own. When one has, everything is run
    again, each unit in a savepoint.

    Raises:
        sqlite3.Error: The database failed: whether anything is there is unknown.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [_run(connection, job) for job in jobs]
    except _HalfDoneError:
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [_run_guarded(connection, job) for job in jobs]
    except BaseException:
        rollback(connection)
        raise
    failpoint("commit.before")
    try:
        connection.execute("COMMIT")
    except BaseException:
        rollback(connection)
        raise
    failpoint("commit.after")
    return outcomes


def _run(connection: sqlite3.Connection, job: Job) -> Outcome:
    before = connection.total_changes
    try:
        return Outcome(job.future, job.work(connection))
    except Exception as error:
        if fault_of(error, ""):
            raise
        if connection.total_changes != before:
            raise _HalfDoneError from error
        return Outcome(job.future, error=unit_error(error))


def _run_guarded(connection: sqlite3.Connection, job: Job) -> Outcome:
    connection.execute("SAVEPOINT unit")
    outcome = read(connection, job)
    if outcome.error is not None:
        connection.execute("ROLLBACK TO unit")
    connection.execute("RELEASE unit")
    return outcome


def read(connection: sqlite3.Connection, job: Job) -> Outcome:
    """Run one unit of work as it is.

    Raises:
        sqlite3.Error: The database failed.
    """
    try:
        return Outcome(job.future, job.work(connection))
    except Exception as error:
        if fault_of(error, ""):
            raise
        return Outcome(job.future, error=unit_error(error))
