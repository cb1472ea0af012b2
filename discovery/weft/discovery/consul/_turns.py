"""Many blocking queries over few connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

__all__ = ["Turns"]


class Turns:
    """Lets a bounded number of waits run at once, and each watch in its turn.

    While there are places for all, a wait may be long. Once watches queue, waits
    get short enough that each has its turn within the rotation, and the long
    ones that still run are cut.

    Args:
        places: How many may run at once.
        longest: How long a wait may be.
        rotation: In which time every watch should have its turn.
    """

    def __init__(self, places: int, *, longest: timedelta, rotation: timedelta) -> None:
        self._free = asyncio.Semaphore(places)
        self._places = places
        self._longest = longest.total_seconds()
        self._rotation = rotation.total_seconds()
        self._watches = 0
        self._running: dict[asyncio.Timeout, float] = {}

    @property
    def wait(self) -> float:
        """Seconds that a wait may take now; never less than one."""
        if self._watches <= self._places:
            return self._longest
        return min(self._longest, max(1.0, self._rotation * self._places / self._watches))

    def enter(self) -> None:
        """Count a watch."""
        self._watches += 1

    def leave(self) -> None:
        """Count it no more."""
        self._watches -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """Wait for a place, and give the seconds that the wait may take.

        Raises:
            TimeoutError: The wait was cut, as others queue.
        """
        if self._free.locked():
            self._cut()
        async with self._free, asyncio.timeout(None) as scope:
            self._running[scope] = asyncio.get_running_loop().time()
            try:
                yield self.wait
            finally:
                del self._running[scope]

    def _cut(self) -> None:
        """End the waits that began when there was room for longer ones."""
        wait = self.wait + 1.0
        for scope, began in self._running.items():
            when = scope.when()
            if not scope.expired() and (when is None or when > began + wait):
                scope.reschedule(began + wait)
