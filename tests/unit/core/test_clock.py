"""Time: the machine's own, and one that tests turn."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from weft.core.clock import SystemClock
from weft.core.testing import ManualClock


async def test_the_system_clock_goes_on() -> None:
    """Wall-clock time is in UTC, monotonic time never goes back, and sleeping takes its time."""
    clock = SystemClock()
    before = clock.monotonic()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert clock.now().tzinfo is UTC
    await clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.009


async def test_a_manual_clock_stands_still_until_it_is_turned() -> None:
    """Both of its times go on together, by exactly what it was turned."""
    clock = ManualClock(datetime(2030, 1, 1, tzinfo=UTC))
    await asyncio.sleep(0.01)
    assert (clock.now(), clock.monotonic()) == (datetime(2030, 1, 1, tzinfo=UTC), 0.0)
    await clock.advance(90.5)
    assert (clock.now(), clock.monotonic()) == (datetime(2030, 1, 1, 0, 1, 30, 500_000, tzinfo=UTC), 90.5)


async def test_sleepers_wake_at_their_own_moment_in_order() -> None:
    """Each sees its own time, those of the same moment in the order they came; later ones sleep on."""
    clock = ManualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    tasks = [
        asyncio.create_task(sleeper(name, seconds))
        for name, seconds in (("late", 3), ("first", 1), ("second", 1), ("far", 10))
    ]
    await clock.advance(5)
    assert woken == [("first", 1), ("second", 1), ("late", 3)]
    assert not tasks[3].done()
    await clock.advance(5)
    assert woken[3] == ("far", 10)


async def test_who_sleeps_again_is_woken_again_in_the_same_turn() -> None:
    """A loop that sleeps a second runs ten times in ten seconds."""
    clock = ManualClock()
    ticks: list[float] = []

    async def loop() -> None:
        while True:
            await clock.sleep(1)
            ticks.append(clock.monotonic())

    task = asyncio.create_task(loop())
    await clock.advance(10)
    assert ticks == [float(second) for second in range(1, 11)]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    """Turning the clock past it does nothing."""
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await clock.advance(2)
    assert task.cancelled()


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_at_all_is_over_at_once(seconds: float) -> None:
    """Others may run in between, but nobody has to turn the clock."""
    async with asyncio.timeout(1):
        await ManualClock().sleep(seconds)
