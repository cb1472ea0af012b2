"""Keeps this server one of the servers: its session, its lease, and what it is told by the others."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

import asyncpg

from weft.core.clock import Clock
from weft.server.store.base import StoreUnavailableError
from weft.server.store.database import DatabaseConfig
from weft.server.store.postgres._connect import SQL, Connection, connect
from weft.server.store.postgres._deadline import Deadline
from weft.server.store.postgres._faults import Fault, fault_of, words_of
from weft.server.store.postgres._hints import Hint, Hints, channel
from weft.server.store.postgres._locks import session_class
from weft.server.store.postgres._reaper import Reaper
from weft.server.store.postgres._schema import About, inspect, prepare

__all__ = ["Counts", "Keeper"]

logger = logging.getLogger("weft.store")

PLANS: Final = {
    # All statements find rows by keys. A plan made while a table was small must not outlive that.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}

_FIRST_BACKOFF: Final = 0.05
_MAX_BACKOFF: Final = 1.0
_TICKS_PER_LEASE: Final = 6
_LONGEST_TICK: Final = 1.0

_GONE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What asyncpg says of a connection that was cut in the middle of an answer.
    asyncpg.InternalClientError,
    OSError,
)
"""What a session raises that is not there any more."""
_TROUBLE: Final = (*_GONE, asyncpg.PostgresError, TimeoutError)
"""What the database, or the way to it, is to blame for."""


class Counts(Protocol):
    """Is told how often others have changed what servers keep in memory."""

    def __call__(self, *, registry: int, instances: int) -> None:
        """Take note."""


class Keeper:
    """Holds the lease, and takes a new one when it is lost.

    The lease runs by the database's clock. Here a deadline stands beside it that
    began when the renewal was *asked for*, so it never ends later than the lease
    does. After it nothing is written, whoever may have the lease by then.

    Args:
        config: Which database.
        clock: Dates migrations.
        on_fault: Called when ``fault`` has changed, with the new one.
        on_hint: Called with what other servers tell.
        on_counts: Called with what was counted, about once a second.

    Attributes:
        fault: Why nothing can be written.
        epoch: Tells this server's leases apart; grows.
        alone: Whether no other server is alive, as far as is known.
        settings: What connections need that write, beside what all have.
    """

    def __init__(
        self,
        config: DatabaseConfig,
        clock: Clock,
        on_fault: Callable[[Fault | None], None],
        on_hint: Callable[[Hint], None],
        on_counts: Counts,
    ) -> None:
        self.fault: Fault | None = None
        self.epoch = 0
        self.alone = True
        self.settings: dict[str, str] = dict(PLANS)
        self._config = config
        self._clock = clock
        self._on_fault = on_fault
        self._on_hint = on_hint
        self._on_counts = on_counts
        self._about = About(early=False, unsafe=False)
        self._connection: Connection | None = None
        self._using = asyncio.Lock()
        self._deadline = Deadline(config.lease, self._expired)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._hints = Hints(self._send)
        self._reaper = Reaper(config.lease / 3)

    @property
    def usable(self) -> bool:
        """Whether something may be written now."""
        return self.fault is None and not self._deadline.passed

    async def open(self) -> None:
        """Connect, migrate, and become one of the servers.

        Raises:
            StoreUnavailableError: It cannot be; the message says why.
        """
        where = self._config.where
        try:
            await self._begin()
        except StoreUnavailableError:
            raise
        except Exception as error:
            if isinstance(error, _TROUBLE):
                text = self._config.hide(words_of(error))
                raise StoreUnavailableError(f"cannot open the store: {where}: {text}") from None
            raise
        if self._about.unsafe:
            logger.warning("%s has fsync = off: a crash of its machine loses what was answered", where)
        self._task = asyncio.create_task(self._run(), name="lease of the store")

    async def close(self) -> None:
        """Be no server any more: others take over at once what this one had."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._hints.close()
        self._deadline.stop()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.fault is None:
            with suppress(*_TROUBLE):
                async with asyncio.timeout(5):
                    await self._leave(connection, (self.epoch,))
                    await self._tell(connection, [Hint("freed")])
        with suppress(*_TROUBLE):
            await connection.close(timeout=2)
        connection.terminate()

    def fail(self, fault: Fault) -> None:
        """Stop writing, and begin anew: whether what was on its way is there is not known."""
        if self.fault is not None:
            return
        logger.warning("the store is broken: %s", fault.message)
        self.fault = fault
        self._deadline.stop()
        self._cut()
        self._on_fault(fault)
        self._wake.set()

    def suspect(self) -> None:
        """Look at once whether the database works."""
        self._wake.set()

    def tell(self, hint: Hint) -> None:
        """Give a hint to the other servers, soon; when there are none, nothing happens."""
        if not self.alone:
            self._hints.add(hint)

    # ---- its life

    async def _run(self) -> None:
        backoff = _FIRST_BACKOFF
        while True:
            try:
                if self.fault is None:
                    await self._pause(
                        min(self._config.lease.total_seconds() / _TICKS_PER_LEASE, _LONGEST_TICK)
                    )
                    await self._tick_or_fail()
                    backoff = _FIRST_BACKOFF
                else:
                    await asyncio.sleep(backoff)
                    backoff = min(backoff * 2, _MAX_BACKOFF)
                    await self._recover()
            except Exception as error:  # nobody waits for this task, so nobody else would tell
                logger.exception("keeping the lease failed")
                self.fail(Fault(f"{self._config.where}: {type(error).__name__}"))

    async def _pause(self, seconds: float) -> None:
        self._wake.clear()
        if self.fault is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()

    async def _recover(self) -> None:
        try:
            await self._begin()
        except Exception as error:
            fault = fault_of(error, self._config.where)
            if fault is None:
                raise
            logger.debug("the store is still broken: %s", self._config.hide(fault.message))
            self._cut()
            return
        logger.info("the store is healthy again: %s", self._config.where)
        self.fault = None
        self._wake.clear()
        self._on_fault(None)

    async def _begin(self) -> None:
        """Connect, and take a new lease; what the one before had is free."""
        self._cut()
        connection = self._connection = await connect(self._config, statement_timeout="0")
        self._about = await inspect(connection, self._config)
        if self._about.early:
            self.settings["synchronous_commit"] = "on"
            await connection.execute(SQL["commit_durably"])
        if self.epoch:
            # The tables are not looked at again: a newer release may have added to them meanwhile.
            await self._leave(connection, (self.epoch,))
        else:
            await prepare(connection, self._config, self._clock)
        name = self._config.server or f"{socket.gethostname()}:{os.getpid()}"
        began = time.monotonic()
        self.epoch = await connection.fetchval(SQL["join_servers"], name, self._config.lease)
        self._deadline.extend(began)
        # What follows may be lost with the database's power: a lease is renewed again, and all that
        # others build on somebody's end comes later in the same log, and is waited for.
        await connection.execute(SQL["commit_early"])
        await self._show_session(connection)
        await self._tick(connection)
        await self._tell(connection, [Hint("joined"), Hint("freed")])

    async def _show_session(self, connection: Connection) -> None:
        """Have others see that this session is there, and hear what they tell."""
        await connection.execute(SQL["show_session"], session_class(self._config.schema), self.epoch)
        await connection.add_listener(channel(self._config.schema), self._heard)
        connection.add_termination_listener(lambda _: self._wake.set())

    # ---- the lease

    async def _tick_or_fail(self) -> None:
        if self.fault is not None:
            return
        try:
            async with asyncio.timeout(self._deadline.left):
                await self._renew()
        except Exception as error:
            fault = fault_of(error, self._config.where)
            if fault is None:
                raise
            self.fail(fault)

    async def _renew(self) -> None:
        """Renew the lease; over a new connection when the old one is gone, which costs no lease."""
        connection = self._connection
        if connection is not None and not connection.is_closed():
            try:
                async with self._using:
                    await self._tick(connection)
            except _GONE:
                connection.terminate()
            else:
                return
        connection = self._connection = await connect(self._config, synchronous_commit="off")
        async with self._using:
            await self._show_session(connection)
            await self._tick(connection)

    async def _tick(self, connection: Connection) -> None:
        began = time.monotonic()
        unsigned = session_class(self._config.schema) & 0xFFFF_FFFF
        row = await connection.fetchrow(SQL["tick"], self.epoch, self._config.lease, unsigned)
        if row is None:
            raise StoreUnavailableError("this server was taken for dead, and has lost its lease")
        self._deadline.extend(began)
        self.alone = row["alive"] < 2
        self._on_counts(registry=row["registry"], instances=row["instances"])
        dead = self._reaper.dead(row["silent"], time.monotonic())
        if row["expired"] or dead:
            await self._reap(connection, dead)

    async def _reap(self, connection: Connection, dead: Sequence[int]) -> None:
        """Free what servers had that are gone."""
        async with connection.transaction():
            gone = await connection.fetch(SQL["reap_servers"], dead)
            if not gone:
                return
            freed = await connection.fetchval(SQL["free_owned"], [row["epoch"] for row in gone])
        names = ", ".join(row["name"] for row in gone)
        logger.warning("server %s is gone; %d executions are free", names, freed)
        self._on_hint(Hint("freed"))
        await self._tell(connection, [Hint("freed")])

    async def _leave(self, connection: Connection, epochs: Sequence[int]) -> None:
        async with connection.transaction():
            # What was sent before it was cut off is committed or refused before this goes on.
            await connection.execute(SQL["leave_servers"], epochs)
            await connection.fetchval(SQL["free_owned"], epochs)

    def _expired(self) -> None:
        self.fail(Fault(f"{self._config.where}: the lease could not be renewed in time"))

    def _cut(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    # ---- hints

    def _heard(self, _: object, __: int, ___: str, payload: object) -> None:
        sender, hint = Hint.read(str(payload))
        if sender == self.epoch:
            return
        if hint.kind == "joined":
            self.alone = False
        else:
            self._on_hint(hint)

    async def _send(self, hints: Sequence[Hint]) -> None:
        connection = self._connection
        if connection is None or self.fault is not None:
            return
        with suppress(*_TROUBLE):
            async with self._using, asyncio.timeout(1):
                await self._tell(connection, hints)

    async def _tell(self, connection: Connection, hints: Sequence[Hint]) -> None:
        texts = [hint.write(self.epoch) for hint in hints]
        await connection.execute(SQL["notify"], channel(self._config.schema), texts)
