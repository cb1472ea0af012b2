"""What a schedule does when it is due: overlaps, catching up, pauses, limits, and crashes in between."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from tests.contract.store.samples import CONTEXT, execution
from weft.core.errors import PreconditionError, ServiceUnavailableError
from weft.core.reasons import Reason
from weft.core.testing import ManualClock
from weft.server.execution.history.model import Execution, ExecutionState
from weft.server.schedule.model import (
    MAX_PENDING,
    Action,
    Counts,
    Overlap,
    Plan,
    Policies,
    Run,
    RunKind,
    RunState,
    Schedule,
    ScheduleState,
)
from weft.server.schedule.runner import ScheduleRunner
from weft.server.schedule.spec import CronEntry, IntervalEntry, Spec
from weft.server.schedule.starts import start_command
from weft.server.schedule.times import times_of
from weft.server.store.base import Page
from weft.server.store.sqlite import SqliteStore

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY_MINUTE = Spec(intervals=(IntervalEntry(every=MINUTE),))
ALL = Page(size=1_000)


class Fake:
    """Executions that end when they are told to."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.all: dict[str, Execution] = {}
        self.keys: dict[str, str] = {}
        self.ended: list[tuple[str, bool]] = []
        self.fault: Exception | None = None
        self.slow_to_end = False
        self._numbers = count(1)

    async def recall(self, schedule: Schedule, run: Run) -> Execution | None:
        found = self.keys.get(f"{schedule.id}/{run.key}")
        return self.all[found] if found else None

    async def start(self, schedule: Schedule, run: Run) -> Execution:
        if self.fault:
            raise self.fault
        known = await self.recall(schedule, run)
        if known:
            return known
        made = execution(id=f"exe_{next(self._numbers)}", create_time=self.clock.now())
        self.all[made.id] = made
        self.keys[f"{schedule.id}/{run.key}"] = made.id
        return made

    async def find(self, execution_ids: Sequence[str]) -> dict[str, Execution]:
        return {each: self.all[each] for each in execution_ids if each in self.all}

    async def end(self, execution_ids: Sequence[str], reason: str, *, at_once: bool) -> None:
        assert reason == "schedule nightly starts anew"
        for each in execution_ids:
            self.ended.append((each, at_once))
            if not self.slow_to_end:
                self.finish(each, ExecutionState.CANCELLED)

    def finish(self, execution_id: str, state: ExecutionState = ExecutionState.COMPLETED) -> None:
        self.all[execution_id] = replace(self.all[execution_id], state=state)

    def finish_all(self) -> None:
        for each in self.all:
            self.finish(each)


class Bench:
    """A schedule in a store, and what works on it."""

    def __init__(self, store: SqliteStore, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.executions = Fake(clock)
        self.runner = ScheduleRunner(store, self.executions, clock)

    async def make(self, spec: Spec = EVERY_MINUTE, **policies: Any) -> Schedule:
        limit = policies.get("max_runs") or None
        now = self.clock.now()
        made = Schedule(
            id="sch_1",
            name="nightly",
            spec=spec,
            action=Action(workflow="orders"),
            policies=Policies(**policies),
            workflow_id="wf_1",
            plan=Plan(next_time=times_of(spec).after(now), remaining=limit),
            create_time=now,
            update_time=now,
        )
        return await self.store.insert_schedule(made, now)

    async def go(self, seconds: float = 0) -> None:
        """Let time pass, working all the while."""
        end = self.clock.now() + timedelta(seconds=seconds)
        while True:
            while (rest := await self.runner.look()) == 0:
                pass
            left = (end - self.clock.now()).total_seconds()
            if left <= 0:
                return
            await self.clock.advance(min(rest, left))

    async def sleep(self, seconds: float) -> None:
        """Let time pass while no server runs."""
        await self.clock.advance(seconds)

    async def add(self, kind: RunKind, overlap: Overlap, *keys: str) -> None:
        now = self.clock.now()
        runs = [Run(kind=kind, key=key, planned_time=now, overlap=overlap) for key in keys]
        await self.store.add_schedule_runs("sch_1", runs, now, "")

    async def runs(self) -> list[tuple[str, str]]:
        """Return what came of each run, oldest first, and which execution."""
        found = await self.store.list_schedule_runs("sch_1", None, ALL)
        return [(run.state.value, run.execution_id) for run in found.items[::-1]]

    async def schedule(self) -> Schedule:
        found = await self.store.get_schedule("sch_1")
        assert found is not None
        return found


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    clock = ManualClock(BEGIN)
    store = SqliteStore(None, clock)
    await store.open()
    yield Bench(store, clock)
    await store.close()


async def test_each_time_starts_one(bench: Bench) -> None:
    """At its time, with what tells where it comes from."""
    made = await bench.make(overlap=Overlap.ALLOW_ALL)
    await bench.go(59)
    assert await bench.runs() == []
    await bench.go(121)
    assert await bench.runs() == [("STARTED", f"exe_{n}") for n in (1, 2, 3)]
    found = (await bench.store.list_schedule_runs(made.id, None, ALL)).items[0]
    assert (found.planned_time, found.time) == (BEGIN + 3 * MINUTE, BEGIN + 3 * MINUTE)
    schedule = await bench.schedule()
    assert (schedule.counts, schedule.state) == (Counts(started=3, open=3), ScheduleState.ACTIVE)
    assert schedule.plan == Plan(next_time=BEGIN + 4 * MINUTE, last_time=BEGIN + 3 * MINUTE)
    assert schedule.etag == made.etag
    command = start_command(replace(made, action=replace(made.action, context=CONTEXT)), found)
    assert command.attributes == {"schedule": "nightly", "scheduled_time": "2026-01-01T00:03:00Z"}
    assert command.context.values == {**CONTEXT.values, **command.attributes}


async def test_skip(bench: Bench) -> None:
    """While one is open, times are left out, each saying why."""
    made = await bench.make()
    await bench.go(120)
    bench.executions.finish("exe_1")
    await bench.go(60)
    assert await bench.runs() == [("ENDED", "exe_1"), ("SKIPPED", ""), ("STARTED", "exe_2")]
    skipped = (await bench.store.list_schedule_runs(made.id, RunState.SKIPPED, ALL)).items[0]
    assert skipped.failure is not None
    assert (skipped.failure.reason, skipped.failure.message) == (Reason.SCHEDULE_OVERLAP, "exe_1 is open")
    assert (await bench.schedule()).counts == Counts(started=2, skipped=1, open=1)


async def test_buffer_one(bench: Bench) -> None:
    """One waits, and starts a second after the other's end at the latest; others are left out meanwhile."""
    await bench.make(overlap=Overlap.BUFFER_ONE)
    await bench.go(190)
    assert await bench.runs() == [("STARTED", "exe_1"), ("PENDING", ""), ("SKIPPED", "")]
    bench.executions.finish("exe_1")
    await bench.go(1)
    assert await bench.runs() == [("ENDED", "exe_1"), ("STARTED", "exe_2"), ("SKIPPED", "")]
    await bench.go(60)
    assert (await bench.runs())[-1] == ("PENDING", "")


async def test_buffer_all(bench: Bench) -> None:
    """All wait, and start in order, one after the other."""
    await bench.make(overlap=Overlap.BUFFER_ALL)
    await bench.go(180)
    assert await bench.runs() == [("STARTED", "exe_1"), ("PENDING", ""), ("PENDING", "")]
    bench.executions.finish("exe_1")
    await bench.go(10)
    assert await bench.runs() == [("ENDED", "exe_1"), ("STARTED", "exe_2"), ("PENDING", "")]
    bench.executions.finish("exe_2")
    await bench.go(10)
    assert (await bench.runs())[2] == ("STARTED", "exe_3")
    found = (await bench.store.list_schedule_runs("sch_1", None, ALL)).items
    assert [run.planned_time for run in found] == [BEGIN + n * MINUTE for n in (3, 2, 1)]


async def test_the_buffer_has_an_end(bench: Bench) -> None:
    """What finds it full is left out."""
    await bench.make(overlap=Overlap.BUFFER_ALL)
    await bench.go(60)
    keys = [f"b{number}" for number in range(MAX_PENDING)]
    await bench.add(RunKind.BACKFILLED, Overlap.BUFFER_ALL, *keys)
    await bench.go(60)
    newest = (await bench.store.list_schedule_runs("sch_1", None, Page(size=1))).items[0]
    assert newest.failure is not None
    assert (newest.state, newest.failure.reason) == (RunState.SKIPPED, Reason.SCHEDULE_BUFFER_FULL)


async def test_cancel_other(bench: Bench) -> None:
    """The open one is cancelled, and the new one starts when it has ended; the newest wins."""
    await bench.make(overlap=Overlap.CANCEL_OTHER)
    await bench.go(120)
    assert await bench.runs() == [("STARTED", "exe_1"), ("STARTED", "exe_2")]
    assert bench.executions.ended == [("exe_1", False)]
    bench.executions.slow_to_end = True
    await bench.go(120)
    assert (await bench.runs())[1:] == [("STARTED", "exe_2"), ("SKIPPED", ""), ("PENDING", "")]
    bench.executions.finish("exe_2", ExecutionState.CANCELLED)
    await bench.go(1)
    assert (await bench.runs())[1:] == [("ENDED", "exe_2"), ("SKIPPED", ""), ("STARTED", "exe_3")]


@pytest.mark.parametrize("overlap", [Overlap.CANCEL_OTHER, Overlap.TERMINATE_OTHER, Overlap.SKIP])
async def test_a_crowd_is_ended_before_it_starts(bench: Bench, overlap: Overlap) -> None:
    """However many are open, such as after another policy: none is overlooked."""
    made = await bench.make(overlap=overlap)
    await bench.add(RunKind.TRIGGERED, Overlap.ALLOW_ALL, *(f"t{number}" for number in range(250)))
    await bench.go(59)
    if overlap is Overlap.SKIP:
        for number in range(1, 250):
            bench.executions.finish(f"exe_{number}")
    await bench.go(10)
    newest = (await bench.store.list_schedule_runs(made.id, None, Page(size=1))).items[0]
    if overlap is Overlap.SKIP:
        assert (newest.state, len(bench.executions.all)) == (RunState.SKIPPED, 250)
    else:
        assert newest.state is RunState.STARTED
        assert {each for each, _ in bench.executions.ended} == {f"exe_{number}" for number in range(1, 251)}


async def test_terminate_other(bench: Bench) -> None:
    """It does not wait for their end."""
    await bench.make(overlap=Overlap.TERMINATE_OTHER)
    bench.executions.slow_to_end = True
    await bench.go(120)
    assert bench.executions.ended == [("exe_1", True)]
    assert (await bench.runs())[1] == ("STARTED", "exe_2")


async def test_what_was_missed_is_started_within_the_window(bench: Bench) -> None:
    """What is older is not, and counted once."""
    await bench.make(overlap=Overlap.ALLOW_ALL, catch_up_window=timedelta(minutes=3))
    await bench.sleep(600)
    await bench.go()
    found = (await bench.store.list_schedule_runs("sch_1", None, ALL)).items[::-1]
    assert [(run.state, run.planned_time, run.count) for run in found] == [
        (RunState.MISSED, BEGIN + MINUTE, 6),
        *((RunState.STARTED, BEGIN + n * MINUTE, 1) for n in (7, 8, 9, 10)),
    ]
    assert (await bench.schedule()).counts == Counts(started=4, missed=6, open=4)


async def test_a_long_time_is_passed_over(bench: Bench) -> None:
    """Years of seconds take no years."""
    await bench.make(Spec(crons=(CronEntry(expression="* * * * * *"),)))
    await bench.sleep(3 * 365 * 86_400)
    await bench.go()
    schedule = await bench.schedule()
    assert schedule.counts.missed >= 10_000
    assert schedule.plan.next_time == bench.clock.now() + timedelta(seconds=1)


async def test_a_server_that_dies_in_between(bench: Bench) -> None:
    """What it started and did not record is found again, also when it is too late to start it."""
    made = await bench.make()
    planned = made.plan.next_time
    assert planned is not None
    await bench.sleep(60)
    (claimed,) = await bench.store.claim_schedules(bench.clock.now(), 9)
    due = Run(kind=RunKind.SCHEDULED, key="", planned_time=planned, overlap=Overlap.SKIP)
    await bench.executions.start(claimed, replace(due, key="20260101T000100.000000"))
    await bench.sleep(90)
    bench.executions.finish("exe_1")
    await bench.go()
    assert await bench.runs() == [("ENDED", "exe_1"), ("STARTED", "exe_2")]
    assert len(bench.executions.all) == 2


async def test_what_cannot_be_started_now_is_tried_again(bench: Bench) -> None:
    """Until the window is over."""
    await bench.make(catch_up_window=timedelta(seconds=20))
    bench.executions.fault = ServiceUnavailableError("engine")
    await bench.go(70)
    assert await bench.runs() == []
    bench.executions.fault = None
    await bench.go(1)
    assert await bench.runs() == [("STARTED", "exe_1")]
    bench.executions.finish("exe_1")
    bench.executions.fault = ServiceUnavailableError("engine")
    await bench.go(80)
    assert (await bench.runs())[1:] == [("MISSED", "")]


async def test_what_cannot_be_started_at_all_says_why(bench: Bench) -> None:
    """And the schedule goes on."""
    await bench.make()
    bench.executions.fault = PreconditionError("it is inactive", reason=Reason.WORKFLOW_INACTIVE)
    await bench.go(60)
    bench.executions.fault = None
    await bench.go(60)
    assert await bench.runs() == [("FAILED", ""), ("STARTED", "exe_1")]
    found = (await bench.store.list_schedule_runs("sch_1", RunState.FAILED, ALL)).items[0]
    assert found.failure is not None
    assert found.failure.reason == Reason.WORKFLOW_INACTIVE


@pytest.mark.parametrize("fails", ["at the start", "at the end"])
async def test_pause_on_failure(bench: Bench, fails: str) -> None:
    """With a note that says why; nothing is started any more."""
    made = await bench.make(pause_on_failure=True)
    if fails == "at the start":
        bench.executions.fault = PreconditionError("it is inactive", reason=Reason.WORKFLOW_INACTIVE)
    await bench.go(60)
    if fails == "at the end":
        bench.executions.finish("exe_1", ExecutionState.FAILED)
    await bench.go(300)
    schedule = await bench.schedule()
    assert (schedule.state, schedule.plan.next_time) == (ScheduleState.PAUSED, None)
    assert schedule.note.startswith("paused on failure: ")
    assert ("exe_1 is FAILED" if fails == "at the end" else "inactive") in schedule.note
    assert schedule.etag != made.etag
    assert len(await bench.runs()) == 1


async def test_a_number_of_runs(bench: Bench) -> None:
    """Only those by the clock that were started count; then it is over."""
    await bench.make(max_runs=2)
    await bench.add(RunKind.TRIGGERED, Overlap.ALLOW_ALL, "t1")
    await bench.go(120)
    assert [state for state, _ in await bench.runs()] == ["STARTED", "SKIPPED", "SKIPPED"]
    assert (await bench.schedule()).plan.remaining == 2
    bench.executions.finish_all()
    await bench.go(60)
    bench.executions.finish_all()
    await bench.go(300)
    schedule = await bench.schedule()
    assert (schedule.state, schedule.plan.remaining) == (ScheduleState.COMPLETED, 0)
    assert schedule.counts.started == 3
    bench.executions.finish_all()
    await bench.go(600)
    assert (await bench.schedule()).counts.open == 0
    assert await bench.store.next_schedule_time() is None


async def test_the_last_time_completes_it(bench: Bench) -> None:
    """When nothing waits any more; it can still be triggered."""
    spec = replace(EVERY_MINUTE, end_time=BEGIN + 2 * MINUTE)
    await bench.make(spec, overlap=Overlap.BUFFER_ALL)
    await bench.go(150)
    assert (await bench.schedule()).state is ScheduleState.ACTIVE
    bench.executions.finish("exe_1")
    await bench.go(1)
    assert (await bench.schedule()).state is ScheduleState.COMPLETED
    await bench.add(RunKind.TRIGGERED, Overlap.ALLOW_ALL, "t1")
    await bench.go()
    assert (await bench.runs())[-1] == ("STARTED", "exe_3")


async def test_paused_it_starts_what_people_ask_for(bench: Bench) -> None:
    """What waits by the clock goes on waiting."""
    await bench.make(overlap=Overlap.BUFFER_ALL)
    await bench.go(120)
    schedule = await bench.schedule()
    paused = replace(schedule, state=ScheduleState.PAUSED, revision=2, plan=Plan())
    await bench.store.update_schedule(paused, 1, bench.clock.now())
    bench.executions.finish("exe_1")
    await bench.add(RunKind.TRIGGERED, Overlap.SKIP, "t1")
    await bench.go(300)
    assert await bench.runs() == [("ENDED", "exe_1"), ("PENDING", ""), ("STARTED", "exe_2")]
    bench.executions.finish("exe_2")
    await bench.go(600)
    assert await bench.runs() == [("ENDED", "exe_1"), ("PENDING", ""), ("ENDED", "exe_2")]
    assert await bench.store.next_schedule_time() is None


async def test_a_backfill_is_worked_off_in_order(bench: Bench) -> None:
    """One after the other beside the clock, each key once."""
    await bench.make(overlap=Overlap.SKIP)
    await bench.add(RunKind.BACKFILLED, Overlap.BUFFER_ALL, "a", "b", "a")
    for number in range(1, 4):
        await bench.go(2)
        bench.executions.finish(f"exe_{min(number, 2)}")
    await bench.go(2)
    assert await bench.runs() == [("ENDED", "exe_1"), ("ENDED", "exe_2"), ("ENDED", "exe_1")]
    assert len(bench.executions.all) == 2


async def test_jitter_puts_off(bench: Bench) -> None:
    """The planned time stays what it is."""
    made = await bench.make(replace(EVERY_MINUTE, jitter=timedelta(seconds=50)))
    planned = made.plan.next_time
    assert planned is not None
    due = times_of(made.spec).due(planned, made.id)
    await bench.go((due - BEGIN).total_seconds() - 0.01)
    assert await bench.runs() == []
    await bench.go(0.02)
    (run,) = (await bench.store.list_schedule_runs(made.id, None, ALL)).items
    assert run.planned_time == planned
    assert run.time is not None
    assert timedelta() <= run.time - due < timedelta(seconds=0.02)


async def test_a_broken_one_does_not_stop_the_others(bench: Bench) -> None:
    """Such as one whose zone only another machine knows; it is tried again, seldom."""
    bad = Spec(crons=(CronEntry(expression="* * * * *", time_zone="Mars/Olympus"),))
    now = bench.clock.now()
    good = await bench.make()
    await bench.store.insert_schedule(replace(good, id="sch_2", name="bad", spec=bad), now)
    await bench.go(60)
    assert await bench.runs() == [("STARTED", "exe_1")]
    assert (await bench.store.next_schedule_time() or now) > bench.clock.now()


async def test_a_window_of_a_year_is_worked_off_in_small_parts(bench: Bench) -> None:
    """Also when each time is left out: others have their turn in between."""
    await bench.make(catch_up_window=timedelta(days=365))
    await bench.sleep(60 * 250)
    await bench.runner.look()
    assert len(await bench.runs()) == 100
    await bench.go()
    assert (await bench.schedule()).counts == Counts(started=1, skipped=249, open=1)


async def test_a_turn_that_takes_long_holds_up_nobody(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Such as one that waits for the owner of what it has to cancel. That is no defect to log."""
    stuck = asyncio.Event()

    async def never(execution_ids: Sequence[str], reason: str, *, at_once: bool) -> None:
        assert (execution_ids, at_once) == (["exe_1"], False), reason
        await stuck.wait()

    first = await bench.make(overlap=Overlap.CANCEL_OTHER)
    await bench.go(60)
    bench.executions.end = never  # type: ignore[method-assign]
    policies = Policies(overlap=Overlap.ALLOW_ALL)
    made = replace(first, id="sch_2", name="other", policies=policies)
    await bench.store.insert_schedule(made, bench.clock.now())
    task = asyncio.create_task(bench.runner.run())
    for _ in range(40):
        await asyncio.sleep(0.002)
        await bench.clock.advance(3)
    assert len(await bench.runs()) == 1
    other = await bench.store.get_schedule("sch_2")
    assert other is not None
    assert other.counts.started >= 2
    stuck.set()
    for _ in range(10):
        await asyncio.sleep(0.002)
        await bench.clock.advance(3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(await bench.runs()) >= 2
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def test_the_runner_waits_for_what_is_next(bench: Bench) -> None:
    """It sleeps until something is due, and is woken by news."""
    task = asyncio.create_task(bench.runner.run())
    await bench.clock.advance(1)
    await bench.make()
    bench.runner.wake()
    await bench.clock.advance(0)
    for _ in range(130):
        await asyncio.sleep(0.001)
        await bench.clock.advance(0.5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await bench.runs() == [("STARTED", "exe_1")]
