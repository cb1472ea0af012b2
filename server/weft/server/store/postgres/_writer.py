"""The connection that commits what happens to executions. Whatever waits shares a commit.

There is no delay on purpose: while one commit is on its way to the disk, the
next batch gathers by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from weft.server.failpoints import failpoint
from weft.server.store.database import DatabaseConfig
from weft.server.store.postgres._batch import Write, arguments
from weft.server.store.postgres._connect import SQL, Connection, connect
from weft.server.store.postgres._faults import Fault, fault_of, is_retryable, unit_error
from weft.server.store.postgres._keeper import Keeper

__all__ = ["Writer", "commit_batch"]

_MAX_WRITES: Final = 500
_MAX_BYTES: Final = 8 * 1024 * 1024
_LOST: Final = "this server was taken for dead, and has lost its lease"


async def commit_batch(connection: Connection, epoch: int, writes: Sequence[Write]) -> set[str] | None:
    """Write what still fits what is stored; return the ids of it, None when the lease is lost."""
    failpoint("commit.before")
    rows = await connection.fetch(SQL["commit_batch"], *arguments(epoch, writes))
    failpoint("commit.after")
    ids: set[str] = {row[0] for row in rows}
    return ids if "" in ids else None


class Writer:
    """Commits in groups.

    Args:
        config: To what.
        keeper: Has the lease, and is told of faults.
    """

    def __init__(self, config: DatabaseConfig, keeper: Keeper) -> None:
        self._config = config
        self._keeper = keeper
        self._connection: Connection | None = None
        self._waiting: list[Write] = []
        self._news = asyncio.Event()
        self._stopping = False
        self._task = asyncio.create_task(self._run(), name="writer of the store")

    def submit(self, write: Write) -> asyncio.Future[bool]:
        """Queue a write."""
        self._waiting.append(write)
        self._news.set()
        return write.future

    async def stop(self) -> None:
        """Finish what waits, then close."""
        self._stopping = True
        self._news.set()
        await self._task
        if self._connection is not None:
            await asyncio.gather(self._connection.close(timeout=2), return_exceptions=True)

    def terminate(self) -> None:
        """Cut the connection, whatever it is amid."""
        if self._connection is not None:
            self._connection.terminate()

    async def _run(self) -> None:
        while True:
            if not self._waiting:
                if self._stopping:
                    return
                self._news.clear()
                await self._news.wait()
                continue
            writes = self._take()
            try:
                await self._commit(writes)
            except Exception as error:
                fault = fault_of(error, self._config.where)
                if fault is None:
                    fault = Fault(f"{self._config.where}: {type(error).__name__}: {error}")
                self._fail(writes, fault)

    def _take(self) -> list[Write]:
        """Take what waits, but one write of each execution: the next one builds on it."""
        taken: list[Write] = []
        left: list[Write] = []
        ids: set[str] = set()
        size = 0
        for write in self._waiting:
            full = len(taken) >= _MAX_WRITES or size >= _MAX_BYTES
            if full or write.execution_id in ids:
                left.append(write)
                continue
            ids.add(write.execution_id)
            size += write.size
            taken.append(write)
        self._waiting = left
        return taken

    async def _commit(self, writes: Sequence[Write]) -> None:
        if not self._keeper.usable:
            self._refuse(writes)
            return
        try:
            await self._write(writes)
        except Exception as error:
            if fault_of(error, self._config.where):
                raise
            # One of them was refused, and all were rolled back.
            for write in writes:
                await self._write_alone(write)

    async def _write_alone(self, write: Write) -> None:
        for attempt in range(5):
            try:
                await self._write([write])
            except Exception as error:
                if fault_of(error, self._config.where):
                    raise
                if not is_retryable(error) or attempt == 4:
                    _reject(write, unit_error(error))
                    return
            else:
                return

    async def _write(self, writes: Sequence[Write]) -> None:
        connection = await self._connect()
        epoch = self._keeper.epoch
        done = await commit_batch(connection, epoch, writes)
        if done is None:
            if epoch == self._keeper.epoch:
                self._keeper.fail(Fault(f"{self._config.where}: {_LOST}"))
            self._refuse(writes)
            return
        for write in writes:
            if not write.future.done():
                write.future.set_result(write.execution_id in done)

    async def _connect(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._config, **self._keeper.settings)
        return self._connection

    def _fail(self, writes: Sequence[Write], fault: Fault) -> None:
        self.terminate()
        self._keeper.fail(fault)
        for write in writes:
            _reject(write, fault.error())

    def _refuse(self, writes: Sequence[Write]) -> None:
        fault = self._keeper.fault or Fault(f"{self._config.where}: {_LOST}")
        for write in writes:
            _reject(write, fault.error())


def _reject(write: Write, error: Exception) -> None:
    if not write.future.done():
        write.future.set_exception(error)
