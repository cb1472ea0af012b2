"""Helpers for tests, ours and our users'."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta

__all__ = ["ManualClock"]


class ManualClock:
    """A clock that stands still until a test turns it.

    Args:
        start: Its first wall-clock time; by default the beginning of 2026.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._serial = 0

    def now(self) -> datetime:
        """Return the wall-clock time it stands at."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Return the seconds it was turned so far."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was turned that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._serial += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._serial, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Turn the clock, waking every sleeper at its own moment, in order."""
        target = self._elapsed + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            moment, _, woken = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, moment)
            if not woken.done():
                woken.set_result(None)
            await _settle()
        self._elapsed = target
        await _settle()


async def _settle() -> None:
    """Let everything that can run now run."""
    for _ in range(20):
        await asyncio.sleep(0)
