"""How fast watches that failed ask again, all of one agent together."""

from __future__ import annotations

import asyncio
from typing import Final

from weft.core.clock import Clock

__all__ = ["Pace"]

_RATE: Final = 20.0
"""Repeats a second of an agent that fails every time."""
_FOR_EACH_ANSWER: Final = 4.0
"""Further repeats for each answer that is good: they multiply when an agent is back."""
_SHORTEST: Final = 0.001
"""Seconds of a pause: a shorter one may be none to a clock."""
_MOST: Final = 40.0
"""Repeats that may come at once."""


class Pace:
    """Spares an agent that fails a thousand watches: each of them pauses, but all together would not.

    Watches that do not fail are never held.
    """

    def __init__(self) -> None:
        self._allowed = _MOST
        self._since: float | None = None
        self._queue = asyncio.Lock()

    def answered(self) -> None:
        """Take note of a good answer."""
        self._allowed = min(_MOST, self._allowed + _FOR_EACH_ANSWER)

    async def repeat(self, clock: Clock) -> None:
        """Wait until a watch that failed may ask again; first come, first served."""
        async with self._queue:
            while (seconds := self._missing(clock.monotonic())) > 0:
                await clock.sleep(seconds)
            self._allowed -= 1

    def _missing(self, now: float) -> float:
        """Return the seconds until one is allowed."""
        passed = 0.0 if self._since is None else now - self._since
        self._since = now
        self._allowed = min(_MOST, self._allowed + passed * _RATE)
        return max(_SHORTEST, (1 - self._allowed) / _RATE) if self._allowed < 1 else 0.0
