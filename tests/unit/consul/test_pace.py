"""Watches that failed, and ask again: few for an agent that fails, all for one that is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from weft.core.testing import ManualClock
from weft.discovery.consul._pace import Pace


@asynccontextmanager
async def waiting(pace: Pace, clock: ManualClock, many: int) -> AsyncIterator[list[int]]:
    """Let so many watches want to repeat, over and over; give the list of those that did."""
    done: list[int] = []

    async def one(number: int) -> None:
        while True:
            await pace.repeat(clock)
            done.append(number)
            await clock.sleep(1)

    tasks = [asyncio.create_task(one(number)) for number in range(many)]
    await clock.advance(0)
    yield done
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _run(clock: ManualClock, seconds: float) -> None:
    for _ in range(int(seconds * 20)):
        await clock.advance(0.05)


async def test_an_agent_that_fails_is_asked_twenty_times_a_second() -> None:
    """However many watches there are; and each of them in its turn."""
    clock = ManualClock()
    async with waiting(Pace(), clock, 100) as done:
        await _run(clock, 3)
        done.clear()
        await _run(clock, 4)
        assert 76 <= len(done) <= 84
        assert len(set(done)) == len(done)


async def test_few_watches_are_not_held() -> None:
    """What fails here and there repeats as soon as its own pause is over."""
    clock = ManualClock()
    async with waiting(Pace(), clock, 10) as done:
        await _run(clock, 5)
        assert len(done) >= 50


async def test_an_agent_that_is_back_is_asked_by_all_at_once() -> None:
    """Each good answer lets more of them go: a thousand lists are whole again in a moment."""
    clock, pace = ManualClock(), Pace()
    async with waiting(pace, clock, 300) as done:
        await _run(clock, 3)
        done.clear()
        answers = 0
        for _ in range(20):
            while answers < len(done):
                pace.answered()
                answers += 1
            await clock.advance(0.05)
        assert len(set(done)) > 250
