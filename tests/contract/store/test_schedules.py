"""Schedules: claimed when they are due, by one server; what people change wins."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.contract.store.samples import FAILURE, NOW, key
from tests.contract.store.schedules import LATER, run, schedule, turn
from weft.core.errors import AlreadyExistsError
from weft.server.schedule.model import Counts, Overlap, Plan, RunKind, RunState, Schedule, ScheduleState
from weft.server.schedule.spec import Spec
from weft.server.store.base import Page, StaleWriteError, Store
from weft.server.store.schedules import KEPT_RUNS

ALL = Page(size=100)


async def claim(store: Store, **changes: Any) -> Schedule:
    made = await store.insert_schedule(schedule(**changes), NOW)
    assert await store.claim_schedules(NOW, 9) == (made,)
    return made


async def test_a_schedule_is_stored_as_it_is(store: Store) -> None:
    """Found by id and by name; its name is its own."""
    made = schedule()
    assert await store.insert_schedule(made, LATER, key()) == made
    assert await store.get_schedule(made.id) == made
    assert await store.get_schedule("nightly") == made
    assert await store.get_schedule("weekly") is None
    assert await store.insert_schedule(schedule("other"), LATER, key()) == made
    assert await store.recall_schedule(key()) == made.id
    with pytest.raises(AlreadyExistsError) as taken:
        await store.insert_schedule(schedule(), None)
    assert taken.value.reason == "SCHEDULE_EXISTS"
    with pytest.raises(AlreadyExistsError):
        await store.insert_schedule(schedule("other"), None, key(content=b"other"))


async def test_a_change_is_based_on_a_revision(store: Store) -> None:
    """Another one, or none, is refused; a deleted schedule leaves nothing."""
    made = await store.insert_schedule(schedule(), NOW)
    changed = replace(
        made, note="why", state=ScheduleState.PAUSED, revision=2, plan=Plan(), spec=Spec(), workflow_id="wf_2"
    )
    assert await store.update_schedule(changed, 1, None, key()) == changed
    assert await store.update_schedule(made, 1, None, key()) == changed
    with pytest.raises(StaleWriteError):
        await store.update_schedule(changed, 1, None)
    assert await store.next_schedule_time() is None
    await store.add_schedule_runs(made.id, [run()], NOW, "")
    with pytest.raises(StaleWriteError):
        await store.delete_schedule(made.id, 1)
    await store.delete_schedule(made.id, 2, key("d"))
    await store.delete_schedule(made.id, 2, key("d"))
    assert await store.get_schedule(made.id) is None
    assert (await store.list_schedule_runs(made.id, None, ALL)).total == 0
    with pytest.raises(StaleWriteError):
        await store.add_schedule_runs(made.id, [run()], NOW, "")
    with pytest.raises(StaleWriteError):
        await store.insert_schedule(schedule("again"), NOW, key())


async def test_schedules_are_listed_by_name(store: Store) -> None:
    """In pages, of a workflow, in a state."""
    made = [schedule("a"), schedule("b", workflow_id="wf_2"), schedule("c", state=ScheduleState.PAUSED)]
    for each in made:
        await store.insert_schedule(each, None)
    found = await store.list_schedules("", None, Page(size=2))
    assert (found.items, found.more, found.total) == (tuple(made[:2]), True, 3)
    found = await store.list_schedules("", None, Page(size=2, after="b"))
    assert (found.items, found.more) == ((made[2],), False)
    assert (await store.list_schedules("wf_2", None, ALL)).items == (made[1],)
    assert (await store.list_schedules("wf_1", ScheduleState.PAUSED, ALL)).items == (made[2],)
    assert (await store.list_schedules("wf_2", ScheduleState.PAUSED, ALL)).total == 0


async def test_what_is_due_is_claimed(store: Store) -> None:
    """The longest due first, never what is not due; what was claimed and not recorded comes again."""
    late = await store.insert_schedule(schedule("a"), NOW)
    later = await store.insert_schedule(schedule("b"), NOW + timedelta(seconds=1))
    await store.insert_schedule(schedule("c"), LATER)
    await store.insert_schedule(schedule("d"), None)
    assert await store.next_schedule_time() == NOW
    assert await store.claim_schedules(NOW - timedelta(seconds=1), 9) == ()
    assert await store.claim_schedules(NOW + timedelta(seconds=1), 1) == (late,)
    assert await store.claim_schedules(NOW + timedelta(seconds=1), 9) == (late, later)
    await store.record_turn(turn(late), NOW)
    assert await store.claim_schedules(NOW + timedelta(seconds=1), 9) == (later,)


async def test_a_turn_is_stored_with_its_runs(store: Store) -> None:
    """They are numbered, counted, and read back by what they need."""
    made = await claim(store)
    runs = (
        run(state=RunState.STARTED, execution_id="exe_1", time=NOW),
        run(state=RunState.MISSED, count=7, failure=FAILURE, time=NOW),
        run(overlap=Overlap.BUFFER_ALL),
        run(overlap=Overlap.BUFFER_ONE, key="t1", kind=RunKind.TRIGGERED),
        run(state=RunState.SKIPPED),
    )
    plan = Plan(next_time=LATER, last_time=LATER, remaining=1)
    await store.record_turn(
        turn(made, *runs, plan=plan, note="n", revision=2, state=ScheduleState.PAUSED), NOW
    )
    found = await store.get_schedule(made.id)
    assert found is not None
    assert (found.plan, found.note, found.revision, found.state) == (plan, "n", 2, ScheduleState.PAUSED)
    assert (found.last_run, found.counts) == (5, Counts(started=1, missed=7, skipped=1, pending=2, open=1))
    stored = tuple(replace(each, number=number) for number, each in enumerate(runs, start=1))
    assert (await store.list_schedule_runs(made.id, None, ALL)).items == stored[::-1]
    assert (await store.list_schedule_runs(made.id, RunState.MISSED, ALL)).items == (stored[1],)
    page = await store.list_schedule_runs(made.id, None, Page(size=2, after="4"))
    assert (page.items, page.more, page.total) == ((stored[2], stored[1]), True, 5)
    todo = await store.schedule_runs_to_do(made.id, 9)
    assert (todo.pending, todo.open) == ((stored[3], stored[2]), (stored[0],))
    assert (await store.schedule_runs_to_do(made.id, 1)).pending == (stored[3],)
    assert await store.get_schedule_run(made.id, 2) == stored[1]
    assert await store.get_schedule_run(made.id, 6) is None
    assert await store.next_schedule_time() == LATER


async def test_a_run_that_changes_is_counted_once(store: Store) -> None:
    """When it is started; that its execution ended is no start."""
    made = await claim(store)
    await store.record_turn(turn(made, run()), NOW)
    (again,) = await store.claim_schedules(LATER, 9)
    started = run(1, state=RunState.STARTED, execution_id="exe_1")
    await store.record_turn(turn(again, started), NOW)
    (again,) = await store.claim_schedules(LATER, 9)
    assert again.counts == Counts(started=1, open=1)
    ended = replace(started, state=RunState.ENDED)
    await store.record_turn(turn(again, ended), NOW)
    found = await store.get_schedule(made.id)
    assert found is not None
    assert found.counts == Counts(started=1)
    assert (await store.list_schedule_runs(made.id, None, ALL)).items == (ended,)


async def test_only_its_owner_records_a_turn(store: Store) -> None:
    """Once."""
    made = await store.insert_schedule(schedule(), NOW)
    with pytest.raises(StaleWriteError):
        await store.record_turn(turn(made, run()), NOW)
    await store.claim_schedules(NOW, 9)
    await store.record_turn(turn(made), NOW)
    with pytest.raises(StaleWriteError):
        await store.record_turn(turn(made, run()), NOW)
    assert (await store.list_schedule_runs(made.id, None, ALL)).total == 0


async def test_what_people_change_meanwhile_wins(store: Store) -> None:
    """The runs of the turn are stored, its plan is not."""
    made = await claim(store)
    changed = await store.update_schedule(replace(made, revision=2, plan=Plan(), note="mine"), 1, LATER)
    await store.record_turn(turn(made, run(state=RunState.STARTED), note="not this"), NOW)
    expected = replace(changed, last_run=1, counts=Counts(started=1, open=1))
    assert await store.get_schedule(made.id) == expected
    assert await store.next_schedule_time() == LATER


async def test_runs_that_are_added_make_it_due(store: Store) -> None:
    """Also when they come while it is being worked on; a repeat adds nothing."""
    made = await claim(store)
    added = [run(kind=RunKind.BACKFILLED, key=str(number)) for number in range(3)]
    assert await store.add_schedule_runs(made.id, added, NOW, "3 of them", key()) == 1
    assert await store.add_schedule_runs(made.id, added, NOW, "3 of them", key()) == 1
    assert await store.recall_schedule(key()) == "1 3 of them"
    await store.record_turn(turn(made, run(state=RunState.SKIPPED)), NOW)
    assert await store.next_schedule_time() == NOW
    (again,) = await store.claim_schedules(NOW, 9)
    assert (again.last_run, again.counts) == (4, Counts(skipped=1, pending=3))
    found = await store.list_schedule_runs(made.id, None, ALL)
    assert [(each.number, each.state) for each in found.items] == [
        (4, RunState.SKIPPED),
        *((number, RunState.PENDING) for number in (3, 2, 1)),
    ]


async def test_old_runs_are_forgotten(store: Store) -> None:
    """Those that are over; the newest are kept."""
    made = await claim(store)
    runs = [run(), *(run(state=RunState.SKIPPED) for _ in range(KEPT_RUNS + 20))]
    await store.record_turn(turn(made, *runs), NOW)
    found = await store.list_schedule_runs(made.id, None, Page(size=KEPT_RUNS + 50))
    assert [each.number for each in found.items] == [*range(KEPT_RUNS + 21, 21, -1), 1]
