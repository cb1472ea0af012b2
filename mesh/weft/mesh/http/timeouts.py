"""The four time limits of an HTTP exchange, on one timer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from weft.mesh.http.faults import Phase, TimedOutError

__all__ = ["HttpTimeouts", "Timer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTimeouts:
    """How long an HTTP call may take, as a whole and in each of its phases (B9)."""

    connect: timedelta = timedelta(seconds=5)
    """For making a connection: name lookup, TCP and TLS."""
    read: timedelta = timedelta(seconds=10)
    """For the first byte of the answer, and between any two."""
    write: timedelta = timedelta(seconds=10)
    """For the peer to take the next piece of the request."""
    total: timedelta = timedelta(seconds=30)
    """For everything: waiting for an instance, every attempt, the body."""

    def __post_init__(self) -> None:
        wrong = [name for name in ("connect", "read", "write", "total") if getattr(self, name) <= timedelta()]
        if wrong:
            raise ValueError(f"timeouts must be longer than zero: {', '.join(wrong)}")


class Timer:
    """Counts down the phase that an exchange is in, and its total time.

    Args:
        timeouts: How long each phase may take.
        total: Seconds for everything.
    """

    def __init__(self, timeouts: HttpTimeouts, total: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = {
            Phase.CONNECT: timeouts.connect.total_seconds(),
            Phase.WRITE: timeouts.write.total_seconds(),
            Phase.READ: timeouts.read.total_seconds(),
            Phase.TOTAL: total,
        }
        self._end = self._loop.time() + total
        self._scope: asyncio.Timeout | None = None
        self._ended_by = Phase.TOTAL

    @asynccontextmanager
    async def running(self, phase: Phase = Phase.TOTAL) -> AsyncIterator[None]:
        """Bound the block, which may enter further phases.

        Raises:
            TimedOutError: The phase that it was in, or all of it, took too long.
        """
        scope = asyncio.timeout_at(self._end)
        try:
            async with scope:
                self._scope = scope
                self.enter(phase)
                try:
                    yield
                finally:
                    self._scope = None
        except TimeoutError:
            if not scope.expired():
                raise
            raise TimedOutError(self._ended_by, self._limits[self._ended_by]) from None

    def enter(self, phase: Phase) -> None:
        """Begin a phase, or the same one anew."""
        if self._scope is None or self._scope.expired():
            return
        end = self._loop.time() + self._limits[phase]
        self._ended_by = phase if end < self._end else Phase.TOTAL
        self._scope.reschedule(min(end, self._end))
