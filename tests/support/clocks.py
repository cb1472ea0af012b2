"""Clocks that turn themselves."""

from __future__ import annotations

import asyncio
from datetime import datetime

from weft.core.testing import ManualClock

__all__ = ["SteppingClock"]


class SteppingClock:
    """A manual clock that each sleeper turns itself, and that keeps the waits."""

    def __init__(self) -> None:
        self._clock = ManualClock()
        self.waits: list[float] = []

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        sleeper = asyncio.ensure_future(self._clock.sleep(seconds))
        await self._clock.advance(seconds)
        await sleeper

    async def advance(self, seconds: float) -> None:
        await self._clock.advance(seconds)
