"""Any schedule of starts, ends, cancellations, time, outages and crashes keeps every promise of a history."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.execution.flaky import Fault, FlakyStore
from tests.unit.execution.world import FINAL, World, eventually, new_world, open_executions
from weft.core.errors import ActionFailedError, WeftError
from weft.server.execution.history.model import Event, ExecutionState

STEPS = ("a", "b", "c")

number = st.integers(0, 7)
operation = st.one_of(
    st.tuples(st.just("start"), number),
    st.tuples(st.just("start"), number),
    st.tuples(st.just("complete"), number),
    st.tuples(st.just("complete"), number),
    st.tuples(st.just("complete"), number),
    st.tuples(st.just("fail"), number),
    st.tuples(st.just("cancel"), number),
    st.tuples(st.just("advance"), number),
    st.tuples(st.just("break"), st.sampled_from(list(Fault))),
    st.tuples(st.just("heal"), number),
    st.tuples(st.just("restart"), number),
    st.tuples(st.just("pass"), number),
    st.tuples(st.just("settle"), number),
)


@dataclass
class Story:
    """Plays a schedule, and remembers what callers were told."""

    world: World
    store: FlakyStore
    serial: int = 0
    acked: dict[str, str] = field(default_factory=dict)
    """Request ids that were answered, with the execution they led to."""
    cancelled: set[str] = field(default_factory=set)
    calls: set[asyncio.Task[Any]] = field(default_factory=set)
    seen: dict[str, list[Event]] = field(default_factory=dict)
    """What each execution's watcher saw, over all lives of the server."""
    watchers: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.calls.add(asyncio.create_task(work))

    async def play(self, schedule: list[tuple[str, Any]]) -> None:
        for name, argument in schedule:
            await getattr(self, name)(argument)
            self.watch_all()
        await self.finish()

    # ---- operations

    async def start(self, n: int) -> None:
        self.serial += 1
        request_id = f"r-{self.serial if n else max(1, self.serial - 1)}"
        timeout = timedelta(seconds=n) if n > 4 else None
        self.spawn(self._start(request_id, timeout))

    async def _start(self, request_id: str, timeout: timedelta | None) -> None:
        with suppress(WeftError):
            execution = await self.world.start(request_id=request_id, timeout=timeout)
            assert self.acked.setdefault(request_id, execution.id) == execution.id

    async def complete(self, n: int) -> None:
        held = self.world.provider.held
        if held:
            held[n % len(held)].complete({"n": n})

    async def fail(self, n: int) -> None:
        held = self.world.provider.held
        if held:
            held[n % len(held)].fail(ActionFailedError("no", reason="NO"))

    async def cancel(self, n: int) -> None:
        if self.acked:
            known = list(self.acked.values())
            self.spawn(self._cancel(known[n % len(known)]))

    async def _cancel(self, execution_id: str) -> None:
        with suppress(WeftError):
            ended = await self.world.executions.cancel(execution_id, "why not")
            assert ended.state is ExecutionState.CANCELLED
            self.cancelled.add(execution_id)

    async def advance(self, n: int) -> None:
        await self.world.clock.advance(n)

    async def break_(self, fault: Fault) -> None:
        self.store.plan.append(fault)

    async def heal(self, _: int) -> None:
        self.store.heal()

    async def restart(self, _: int) -> None:
        """Kill the server with all calls to it; the disk is whole again when it comes back."""
        tasks = [*self.calls, *self.watchers.values()]
        self.calls, self.watchers = set(), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.store.plan.clear()
        self.store.broken = False
        await self.world.restart()

    async def pass_(self, n: int) -> None:
        for _ in range(n):
            await asyncio.sleep(0)

    async def settle(self, _: int) -> None:
        for _ in range(4):
            await asyncio.sleep(0.0005)
        for execution_id in list(self.acked.values()):
            await self._check_ahead(execution_id)

    # ---- what is looked at

    def watch_all(self) -> None:
        for execution_id in self.acked.values():
            task = self.watchers.get(execution_id)
            if task is None or (task.done() and task.exception() is not None):
                self.watchers[execution_id] = asyncio.create_task(self._watch(execution_id))

    async def _watch(self, execution_id: str) -> None:
        seen = self.seen.setdefault(execution_id, [])
        async for event, state in self.world.executions.watch(execution_id, len(seen)):
            seen.append(event)
            assert state.final == (type(event.body).__name__ in FINAL)

    async def _check_ahead(self, execution_id: str) -> None:
        """Memory never knows more than the disk; what was read once begins what is read later."""
        run = self.world.engine.owned(execution_id)
        known = run.execution.last_event if run is not None else 0
        seen = tuple(self.seen.get(execution_id, ()))
        events = await self.world.events(execution_id)
        assert len(events) >= known
        assert events[: len(seen)] == seen

    async def finish(self) -> None:
        """Let everything end, and look at all of it."""
        self.store.plan.clear()
        self.store.heal()
        self.world.provider.hold.clear()
        while self.world.provider.held or self.calls:
            for held in list(self.world.provider.held):
                held.complete()
            done = {call for call in self.calls if call.done()}
            for call in done:
                call.result()
            self.calls -= done
            self.store.heal()
            await asyncio.sleep(0.0005)
        stored = [execution.id for execution in await open_executions(self.world.store)]
        for execution_id in {*stored, *self.acked.values()}:
            await asyncio.wait_for(self.world.ended(execution_id), 5)
            await self._check(execution_id)
        await eventually(lambda: self.world.engine.open_count == 0)
        await eventually(lambda: not self.world.engine._room)
        assert self.world.engine.held_bytes == 0
        assert self.world.engine.hub.followed == 0
        assert self.world.provider.twice == []

    async def _check(self, execution_id: str) -> None:
        events = await self.world.check(execution_id)
        state = await self.world.state(execution_id)
        assert state.final
        if execution_id in self.cancelled:
            assert state is ExecutionState.CANCELLED
        if execution_id in self.acked.values():
            self.watch_all()
            await asyncio.wait_for(self.watchers[execution_id], 5)
            assert tuple(self.seen[execution_id]) == events


async def tell(schedule: list[tuple[str, Any]]) -> None:
    store = FlakyStore()
    async with new_world(store, hold=STEPS) as world:
        await world.chain(*STEPS)
        await Story(world, store).play(
            [(f"{name}_" if name in {"break", "pass"} else name, argument) for name, argument in schedule]
        )


LIMIT = 20.0
"""Seconds of one story, which takes some tenths of one: where it hangs, this says in which."""


@pytest.mark.timeout(300)  # the usual one is meant for one story; on a machine that is busy 120 take longer
@settings(
    max_examples=120,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
@given(st.lists(operation, min_size=4, max_size=40))
def test_every_schedule_keeps_the_promises(schedule: list[tuple[str, Any]]) -> None:
    """Every promise at once.

    One final event, and it is last; numbers without gaps; each step recorded once; no acked start lost;
    nothing runs twice at a time; watchers see exactly the history; memory, summary and history agree.
    """
    asyncio.run(asyncio.wait_for(tell(schedule), LIMIT))
