"""Who gets a turn to run a step, and that no turn is lost."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest

from weft.server.execution.engine.limits import EngineLimits, Turns


def turns(every: int = 10, service: int = 2) -> Turns:
    return Turns(EngineLimits(running_steps=every, service_steps=service))


class Steps:
    """Steps that run until they are told to end."""

    def __init__(self, of: Turns) -> None:
        self.running: list[str] = []
        self._turns = of
        self._tasks: list[asyncio.Task[None]] = []
        """Kept, as the loop alone does not keep a task that waits from being collected."""

    async def run(self, name: str, service: str, end: asyncio.Event) -> None:
        async with self._turns.turn(service):
            self.running.append(name)
            try:
                await end.wait()
            finally:
                self.running.remove(name)

    def start(self, name: str, service: str) -> tuple[asyncio.Task[None], asyncio.Event]:
        end = asyncio.Event()
        task = asyncio.create_task(self.run(name, service, end))
        self._tasks.append(task)
        return task, end


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_service_that_hangs_holds_up_no_other() -> None:
    """Its own further steps wait, in the order they came; those of others run."""
    steps = Steps(turns())
    ends = [steps.start(name, "slow")[1] for name in "abcd"]
    steps.start("x", "other")
    await settle()
    assert steps.running == ["a", "b", "x"]
    ends[1].set()
    await settle()
    assert steps.running == ["a", "x", "c"]


async def test_who_waits_for_its_service_holds_no_turn_of_all() -> None:
    """With three turns in all, two steps of a service and one of another run, however many wait."""
    steps = Steps(turns(every=3))
    for name in "abcd":
        steps.start(name, "slow")
    steps.start("x", "other")
    await settle()
    assert steps.running == ["a", "b", "x"]


@pytest.mark.parametrize("late", [False, True], ids=["waiting", "given in the same moment"])
async def test_who_gives_up_waiting_loses_no_turn(late: bool) -> None:  # noqa: FBT001 - a parameter
    """Its turn goes to the next one, also when it came as it gave up."""
    steps = Steps(turns(service=1))
    _, end = steps.start("a", "s")
    second, _ = steps.start("b", "s")
    _, third = steps.start("c", "s")
    await settle()
    if late:
        end.set()
        await asyncio.sleep(0)
    second.cancel()
    end.set()
    await settle()
    assert steps.running == ["c"]
    third.set()
    await settle()
    steps.start("d", "s")
    await settle()
    assert steps.running == ["d"]


async def test_nothing_is_kept_of_a_service_without_steps() -> None:
    """However its steps ended, also while they waited for a turn of all."""
    of = turns(every=1)
    steps = Steps(of)
    _, end = steps.start("a", "one")
    waiting, _ = steps.start("b", "two")
    await settle()
    waiting.cancel()
    end.set()
    await settle()
    assert (of.services, of.all.free) == ({}, 1)


async def test_any_order_of_steps_and_cancellations_keeps_the_limits() -> None:
    """Never more than the limits, and in the end every turn is back."""
    of, chance = turns(every=5, service=3), random.Random(4)
    running = {"one": 0, "two": 0, "three": 0}

    async def step(service: str) -> None:
        async with of.turn(service):
            running[service] += 1
            assert running[service] <= 3
            assert sum(running.values()) <= 5
            try:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            finally:
                running[service] -= 1

    tasks: list[asyncio.Task[None]] = []
    for _ in range(2_000):
        tasks.append(asyncio.create_task(step(chance.choice(list(running)))))
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
        if chance.random() < 0.3:
            await asyncio.sleep(0)
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    assert (of.services, of.all.free) == ({}, 5)
