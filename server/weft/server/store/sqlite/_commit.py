"""A group commit: many units of work, one transaction, one fsync."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from weft.server.failpoints import failpoint
from weft.server.store.sqlite._database import rollback
from weft.server.store.sqlite._faults import fault_of, unit_error
from weft.server.store.sqlite._jobs import Job, Outcome
from weft.server.store.sqlite._together import Together

__all__ = ["commit", "read"]


class _HalfDoneError(Exception):
    """A unit failed after it had written something."""


def commit(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Outcome]:
    """Run units of work in one transaction; each takes effect as a whole or not at all.

    Neighbours of a group that is done together are: those of one group after those of
    another. Each of them says what it expects to find, so it fails, and is run again
    in its order, when that was too early.

    Units check before they write, so nearly always one that fails has changed
    nothing and needs no savepoint of its own. When one has, everything is run
    again, each unit in a savepoint.

    Raises:
        sqlite3.Error: The database failed: whether anything is there is unknown.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = _run_all(connection, jobs)
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


def _run_all(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for together, neighbours in groupby(jobs, _is_together):
        if together:
            for group, members in _by_group(neighbours).items():
                outcomes += _run_together(connection, group, members)
        else:
            outcomes += [_run(connection, job) for job in neighbours]
    return outcomes


def _is_together(job: Job) -> bool:
    return isinstance(job.work, Together)


def _by_group(jobs: Iterable[Job]) -> dict[type[Together[Any]], list[Job]]:
    found: dict[type[Together[Any]], list[Job]] = {}
    for job in jobs:
        if isinstance(job.work, Together):
            found.setdefault(job.work.group(), []).append(job)
    return found


def _run_together(
    connection: sqlite3.Connection, group: type[Together[Any]], jobs: Sequence[Job]
) -> list[Outcome]:
    if len(jobs) == 1:
        return [_run(connection, jobs[0])]
    works: list[Any] = [job.work for job in jobs]
    try:
        done = group.all_at_once(connection, works)
    except Exception as error:
        if fault_of(error, ""):
            raise
        raise _HalfDoneError from error
    if not done:
        raise _HalfDoneError
    return [Outcome(job.future, work.result) for job, work in zip(jobs, works, strict=True)]


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
