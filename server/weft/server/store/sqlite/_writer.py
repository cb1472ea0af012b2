"""The one thread that writes. Whatever waits shares a commit.

There is no delay on purpose: while one commit is on its way to the disk, the
next batch gathers by itself.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

from weft.server.store.sqlite._commit import commit, read
from weft.server.store.sqlite._database import SQL, Database, rollback
from weft.server.store.sqlite._faults import Fault, fault_of
from weft.server.store.sqlite._jobs import Job, Outcome, Work, deliver, take

__all__ = ["Writer"]

logger = logging.getLogger("weft.store")

T = TypeVar("T")

_MAX_BATCH = 500
_FIRST_BACKOFF = 0.05
_MAX_BACKOFF = 2.0


class Writer:
    """Runs units of work one after the other, and commits them in groups.

    When the database fails it connects again, until a probe can be written.

    Args:
        database: Where to write.
        on_change: Called in the event loop when ``fault`` has changed, with the new one.

    Attributes:
        fault: Why nothing can be written, as far as the event loop was told.
        generation: Counts the times that the database came back.
    """

    def __init__(self, database: Database, on_change: Callable[[Fault | None], None]) -> None:
        self.fault: Fault | None = None
        self.generation = 0
        self._database = database
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._stopped: asyncio.Future[None] = self._loop.create_future()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        # What follows belongs to the thread.
        self._connection: sqlite3.Connection | None = None
        self._broken: Fault | None = None
        self._backoff = _FIRST_BACKOFF

    async def start(self) -> None:
        """Open the database, in the thread that will write.

        Raises:
            StoreInUseError: Another process has it.
            StoreUnavailableError: It cannot be opened.
        """
        threading.Thread(target=self._run, name="weft-store-writer", daemon=True).start()
        try:
            await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            self._queue.put(None)
            raise

    def submit(self, work: Work[T], *, reads: bool = False) -> asyncio.Future[T]:
        """Queue a unit of work; a write to a broken store fails at once."""
        if self.fault is not None and not reads:
            raise self.fault.error()
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(Job(work, future, reads))
        return future

    async def stop(self) -> None:
        """Finish what waits, then close the database and give it up."""
        self._queue.put(None)
        await asyncio.shield(self._stopped)

    def _run(self) -> None:
        try:
            self._connection = self._database.open()
        except Exception as error:
            self._database.release()
            deliver(self._loop, [Outcome(self._opened, error=error)])
            return
        deliver(self._loop, [Outcome(self._opened)])
        while self._turn():
            pass
        self._close()

    def _turn(self) -> bool:
        """Do what waits; tell whether to go on."""
        if self._broken is None:
            taken = take(self._queue, _MAX_BATCH)
            self._commit([job for job in taken if job is not None])
        else:
            taken = take(self._queue, _MAX_BATCH, self._backoff)
            self._refuse([job for job in taken if job is not None], self._broken)
            if not taken:
                self._recover()
        return None not in taken

    def _commit(self, jobs: list[Job]) -> None:
        connection = self._connection
        assert connection is not None
        writes = [job for job in jobs if not job.reads]
        try:
            outcomes = commit(connection, writes) if writes else []
            if writes:
                self._database.acknowledge()
            if len(writes) < len(jobs):
                outcomes += [read(connection, job) for job in jobs if job.reads]
        except Exception as error:
            fault = self._fault(error)
            self._break(fault)
            self._refuse(jobs, fault)
        else:
            deliver(self._loop, outcomes)

    def _refuse(self, jobs: Sequence[Job], fault: Fault) -> None:
        """Fail writes; reads are tried as long as there is a connection."""
        outcomes: list[Outcome] = []
        for job in jobs:
            outcome = Outcome(job.future, error=fault.error())
            if job.reads and self._connection is not None:
                with suppress(sqlite3.Error):
                    outcome = read(self._connection, job)
            outcomes.append(outcome)
        if outcomes:
            deliver(self._loop, outcomes)

    def _fault(self, error: Exception) -> Fault:
        where = self._database.where
        return fault_of(error, where) or Fault(f"{where}: {error}", full=False)

    def _break(self, fault: Fault) -> None:
        logger.warning("the store is broken: %s", fault.message)
        self._broken = fault
        self._let_go(fault)
        deliver(self._loop, (), partial(self._announce, fault))

    def _let_go(self, fault: Fault) -> None:
        """Undo; and leave the connection, unless the fault is not its own or it holds everything."""
        if self._connection is None:
            return
        rollback(self._connection)
        if not fault.full and self._database.path is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _recover(self) -> None:
        """Try to write again; on failure, later."""
        assert self._broken is not None
        try:
            self._probe(space=self._broken.full)
        except Exception as error:
            self._broken = self._fault(error)
            self._let_go(self._broken)
            self._backoff = min(self._backoff * 2, _MAX_BACKOFF)
            deliver(self._loop, (), partial(self._announce, self._broken))
            return
        logger.info("the store is healthy again: %s", self._database.where)
        self._broken = None
        self._backoff = _FIRST_BACKOFF
        self.generation += 1
        deliver(self._loop, (), partial(self._announce, None))

    def _probe(self, *, space: bool) -> None:
        if self._connection is None:
            self._connection = self._database.reopen()
        self._connection.execute("BEGIN IMMEDIATE")
        self._database.probe(self._connection, space=space)
        self._database.take_over(self._connection)
        self._connection.execute("COMMIT")
        if space:
            self._connection.execute(SQL["empty_health"])

    def _announce(self, fault: Fault | None) -> None:
        self.fault = fault
        self._on_change(fault)

    def _close(self) -> None:
        """Write everything back to the database file, so that it is whole by itself."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._database.write_back(self._connection)
        self._database.release()
        late = [job for job in take(self._queue, _MAX_BATCH, 0) if job is not None]
        self._refuse(late, Fault(f"{self._database.where} is closed", full=False))
        deliver(self._loop, [Outcome(self._stopped)])
