"""Executions that leave the store, and that come into it as a whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.contract.store.samples import NOW, ended, execution, first_events, output, workflow
from weft.server.execution.history.model import Event, Execution, ExecutionCompleted, ExecutionState
from weft.server.store.base import ExecutionFilter, Page, StaleWriteError, Store

DONE = ExecutionState.COMPLETED
ANY = ExecutionFilter()


async def start(store: Store, **changes: Any) -> Execution:
    made = execution(workflow_id="wf_a", **changes)
    return await store.insert_execution(made, first_events(made))


async def finish(store: Store, end_time: datetime = NOW, *, outputs: int = 0, **changes: Any) -> Execution:
    made = await start(store, **changes)
    events = [output(number) for number in range(3, 3 + outputs)]
    last = replace(ended(made), last_event=3 + outputs, end_time=end_time)
    closing = Event(3 + outputs, NOW, ExecutionCompleted(result=b"{}"))
    await store.append_events(last, [*events, closing], 2)
    return last


async def discard(store: Store, before: datetime, limit: int = 100) -> int:
    return await store.discard_executions("wf_a", DONE, before, limit)


async def test_what_ended_before_a_time_is_gone(store: Store) -> None:
    """With its history, its attributes and its place in lists; open ones and newer ones stay."""
    old = [await finish(store, attributes={"customer": "acme"}) for _ in range(3)]
    newer = await finish(store, NOW + timedelta(seconds=1))
    open_one = await start(store)
    assert await discard(store, NOW + timedelta(seconds=1)) == 3
    assert await discard(store, NOW + timedelta(seconds=1)) == 0
    while await store.empty_trash(100):
        pass
    for each in old:
        assert await store.get_execution(each.id) is None
        assert await store.read_events(each.id) == ()
    left = await store.list_executions(ANY, Page(size=9))
    assert {each.id for each in left.items} == {newer.id, open_one.id}
    assert len(await store.read_events(newer.id)) == 3
    assert await store.discard_executions("wf_a", ExecutionState.RUNNING, NOW + timedelta(days=999), 9) == 0
    assert await store.get_execution(open_one.id) is not None


async def test_only_that_workflow_and_state_are_taken(store: Store) -> None:
    """The oldest first, as many as asked for."""
    times = [NOW + timedelta(seconds=second) for second in (2, 0, 1)]
    made = [await finish(store, time) for time in times]
    later = NOW + timedelta(days=1)
    assert await store.discard_executions("wf_b", DONE, later, 9) == 0
    assert await store.discard_executions("wf_a", ExecutionState.FAILED, later, 9) == 0
    assert await discard(store, later, limit=2) == 2
    left = await store.list_executions(ANY, Page(size=9))
    assert left.items == (made[0],)


async def test_what_says_itself_how_long_it_is_kept(store: Store) -> None:
    """No policy takes it away, and its own time does; it is told by the end, the longest over first."""
    hour, day = timedelta(hours=1), timedelta(days=1)
    long, short, plain = [await finish(store, retention=span) for span in (day, hour, None)]
    open_one = await start(store, retention=hour)
    assert await store.discard_kept(NOW + hour, 9) == 0
    assert await store.discard_kept(NOW + day, 9) == 1
    assert await store.get_execution(short.id) is None
    assert await store.get_execution(long.id) == long
    assert await discard(store, NOW + 9 * day) == 1
    assert await store.get_execution(plain.id) is None
    assert await store.discard_kept(NOW + 9 * day, 9) == 1
    assert await store.get_execution(long.id) is None
    assert await store.get_execution(open_one.id) == open_one
    while await store.empty_trash(100):
        pass
    assert await store.read_events(short.id) == ()


async def test_a_long_history_goes_in_small_steps(store: Store) -> None:
    """Its execution is gone at once; no step deletes more events than asked for."""
    made = await finish(store, outputs=25)
    assert await discard(store, NOW + timedelta(seconds=1)) == 1
    assert await store.get_execution(made.id) is None
    counts = [len(await store.read_events(made.id))]
    while await store.empty_trash(10):
        counts.append(len(await store.read_events(made.id)))
    assert counts[:3] == [28, 18, 8]
    assert counts[-1] == 0


async def test_all_workflows_are_named(store: Store) -> None:
    """Also those that are deleted: their executions are still there."""
    kept, gone = workflow("kept"), workflow("gone")
    await store.insert_workflow(kept)
    await store.insert_workflow(gone)
    await store.delete_workflow(gone, gone.revision)
    assert await store.all_workflow_ids() == tuple(sorted([kept.id, gone.id]))


def closed(**changes: Any) -> tuple[Execution, list[Event]]:
    made = execution(attributes={"customer": "acme"}, key="order-1", **changes)
    last = Event(3, NOW, ExecutionCompleted(result=b'{"n": 1}'))
    return ended(made), [*first_events(made), last]


async def test_an_execution_is_imported_as_a_whole(store: Store) -> None:
    """It is found like one that ran here; a second import changes nothing."""
    made, events = closed()
    assert await store.import_execution(made, events)
    assert await store.get_execution(made.id) == made
    assert await store.read_events(made.id) == tuple(events)
    assert not await store.import_execution(replace(made, workflow_name="other"), events)
    assert (await store.list_executions(ANY, Page(size=9))).items == (made,)
    claim = await store.claim_execution(made.id)
    assert claim is not None
    assert not claim.granted


async def test_what_is_being_deleted_is_not_imported(store: Store) -> None:
    """Not before the last of its old events is gone."""
    made, events = closed(workflow_id="wf_a")
    await store.import_execution(made, events)
    assert made.end_time is not None
    assert await discard(store, made.end_time + timedelta(seconds=1)) == 1
    with pytest.raises(StaleWriteError):
        await store.import_execution(made, events)
    while await store.empty_trash(100):
        pass
    assert await store.import_execution(made, events)
    assert await store.read_events(made.id) == tuple(events)
