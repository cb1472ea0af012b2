"""What every store promises of executions and their histories."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.contract.store.samples import (
    ALL_BODIES,
    FAILURE,
    NOW,
    advanced,
    ended,
    execution,
    first_events,
    key,
    output,
)
from weft.core.errors import AlreadyExistsError
from weft.core.names import EXECUTION_PREFIX, new_id
from weft.core.reasons import Reason
from weft.server.execution.history.model import (
    Event,
    Execution,
    ExecutionCompleted,
    ExecutionStarted,
    ExecutionState,
    StepCompleted,
    Waits,
)
from weft.server.store.base import ExecutionFilter, KeyTakenError, Page, StaleWriteError, Store

ANY = ExecutionFilter()

Before = Callable[[Execution], Execution | None]


async def start(store: Store, **changes: object) -> Execution:
    made = execution(**changes)
    return await store.insert_execution(made, first_events(made))


@pytest.fixture(params=[lambda _: None, lambda stored: stored], ids=["untold", "told"])
def before(request: pytest.FixtureRequest) -> Before:
    """Return what the store is told that it has: nothing, or what is there, which it need not write again."""
    told: Before = request.param
    return told


async def test_an_execution_comes_back_as_it_was(store: Store) -> None:
    """Its summary and its history, field by field."""
    made = execution()
    events = first_events(made)
    assert await store.insert_execution(made, events) == made
    assert await store.get_execution(made.id) == made
    assert await store.read_events(made.id) == tuple(events)


async def test_every_kind_of_event_comes_back_as_it_was(store: Store) -> None:
    """Payloads byte by byte, times to the microsecond."""
    made = execution(last_event=len(ALL_BODIES))
    events = [Event(number, NOW, body) for number, body in enumerate(ALL_BODIES, start=1)]
    await store.insert_execution(made, events)
    assert await store.read_events(made.id) == tuple(events)


async def test_an_unknown_execution_is_none(store: Store) -> None:
    """And it has no history."""
    assert await store.get_execution("exe_00000000000000000000000000") is None
    assert await store.read_events("exe_00000000000000000000000000") == ()


async def test_a_repeated_start_returns_the_execution_as_it_stands(store: Store) -> None:
    """Nothing is written; the first request's execution may have moved on."""
    made = execution()
    await store.insert_execution(made, first_events(made), key())
    moved = advanced(made)
    await store.append_events(moved, [output(3)], 2)
    second = execution()
    assert await store.insert_execution(second, first_events(second), key()) == moved
    assert await store.recall_execution(key()) == moved
    assert await store.get_execution(second.id) is None
    assert await store.read_events(second.id) == ()


async def test_a_key_with_other_content_is_refused(store: Store) -> None:
    """By the insert and by the recall; nothing is written."""
    made = execution()
    await store.insert_execution(made, first_events(made), key())
    second = execution()
    with pytest.raises(AlreadyExistsError) as refused:
        await store.insert_execution(second, first_events(second), key(content=b"second"))
    assert refused.value.reason == Reason.REQUEST_ID_REUSED
    with pytest.raises(AlreadyExistsError) as refused:
        await store.recall_execution(key(content=b"second"))
    assert refused.value.reason == Reason.REQUEST_ID_REUSED
    assert await store.get_execution(second.id) is None


async def test_an_unknown_key_recalls_nothing(store: Store) -> None:
    """Also when only the method differs."""
    made = execution()
    await store.insert_execution(made, first_events(made), key())
    assert await store.recall_execution(key("r-2")) is None
    assert await store.recall_execution(key(method="other")) is None


async def test_concurrent_starts_with_one_key_are_one(store: Store) -> None:
    """Fifty at once give one execution, and all callers get it."""
    tries = [execution() for _ in range(50)]
    results = await asyncio.gather(
        *(store.insert_execution(each, first_events(each), key()) for each in tries)
    )
    assert len({result.id for result in results}) == 1
    assert (await store.list_executions(ANY, Page(size=100))).total == 1


async def test_a_key_outlives_the_request_keys(store: Store) -> None:
    """It is kept as long as the execution, whatever is forgotten."""
    made = execution()
    await store.insert_execution(made, first_events(made), key())
    await store.forget_requests(NOW.replace(year=2999))
    assert await store.recall_execution(key()) == made


async def test_events_are_appended(store: Store, before: Before) -> None:
    """The history grows and the summary is the new one."""
    made = await start(store)
    moved = advanced(made, 2)
    more = [output(3, b'{"text":"x"}'), output(4)]
    await store.append_events(moved, more, 2, before=before(made))
    assert await store.get_execution(made.id) == moved
    assert await store.read_events(made.id) == (*first_events(made), *more)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"state": ExecutionState.PAUSED},
        {"waits": Waits.RETRY},
        {"due_time": NOW.replace(year=2999)},
        {"due_time": None},
        {"failure": FAILURE},
        {"state": ExecutionState.CANCELLED, "end_time": NOW},
    ],
    ids=lambda changes: "+".join(changes) or "nothing",
)
async def test_whatever_changes_is_written(store: Store, before: Before, changes: dict[str, Any]) -> None:
    """Also when the store is told what was there, and back again."""
    made = await start(store)
    moved = replace(advanced(made), **changes)
    await store.append_events(moved, [output(3)], 2, before=before(made))
    assert await store.get_execution(made.id) == moved
    if moved.state.final:
        return
    back = replace(made, last_event=4)
    await store.append_events(back, [output(4)], 3, before=before(moved))
    assert await store.get_execution(made.id) == back
    assert len(await store.read_events(made.id)) == 4


async def test_an_append_needs_the_newest_event(store: Store, before: Before) -> None:
    """One that builds on an older or unknown event leaves no trace."""
    made = await start(store)
    moved = advanced(made)
    await store.append_events(moved, [output(3)], 2, before=before(made))
    for expected in (1, 2, 4):
        late = replace(made, last_event=expected + 1, workflow_name="late")
        with pytest.raises(StaleWriteError):
            await store.append_events(
                late, [output(expected + 1, b'{"late":1}')], expected, before=before(moved)
            )
    assert await store.get_execution(made.id) == moved
    assert await store.read_events(made.id) == (*first_events(made), output(3))
    unknown = execution()
    with pytest.raises(StaleWriteError):
        await store.append_events(advanced(unknown), [output(3)], 2)


async def test_of_concurrent_appends_one_wins(store: Store, before: Before) -> None:
    """All others learn that they were late, and the history has one event more."""
    made = await start(store)
    tries = [
        store.append_events(advanced(made), [output(3, b'{"n":%d}' % n)], 2, before=before(made))
        for n in range(30)
    ]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert results.count(None) == 1
    assert sum(isinstance(result, StaleWriteError) for result in results) == 29
    history = await store.read_events(made.id)
    assert [event.number for event in history] == [1, 2, 3]
    body = history[2].body
    assert isinstance(body, StepCompleted)
    assert body.output == b'{"n":%d}' % results.index(None)


@pytest.mark.parametrize("state", [state for state in ExecutionState if state.final])
async def test_an_ended_execution_takes_nothing_more(store: Store, state: ExecutionState) -> None:
    """Not even what builds on its newest event."""
    made = await start(store)
    last = ended(made, state)
    await store.append_events(last, [Event(3, NOW, ExecutionCompleted(result=b"{}"))], 2)
    with pytest.raises(StaleWriteError):
        await store.append_events(advanced(made, 2), [output(4)], 3)
    assert await store.get_execution(made.id) == last
    assert len(await store.read_events(made.id)) == 3


async def test_a_failed_unit_does_not_harm_its_neighbours(store: Store, before: Before) -> None:
    """In a crowd of good and bad appends, every good one is there and no bad one is."""
    made = [await start(store) for _ in range(20)]
    good = [store.append_events(advanced(each), [output(3)], 2, before=before(each)) for each in made]
    # The event's number is taken: it fails after the summary was written.
    bad = [store.append_events(advanced(each, 0, failure=FAILURE), [output(2)], 3) for each in made]
    results = await asyncio.gather(
        *(x for pair in zip(good, bad, strict=True) for x in pair), return_exceptions=True
    )
    assert results[::2] == [None] * 20
    assert all(isinstance(result, Exception) for result in results[1::2])
    for each in made:
        assert await store.get_execution(each.id) == advanced(each)
        assert [event.number for event in await store.read_events(each.id)] == [1, 2, 3]


async def test_executions_are_listed_newest_first(store: Store) -> None:
    """In pages, by key or by number, with the total of all pages."""
    made = sorted([await start(store) for _ in range(5)], key=lambda each: each.id, reverse=True)
    first = await store.list_executions(ANY, Page(size=2))
    assert (first.items, first.more, first.total) == (tuple(made[:2]), True, 5)
    second = await store.list_executions(ANY, Page(size=3, after=made[1].id))
    assert (second.items, second.more, second.total) == (tuple(made[2:]), False, 5)
    skipped = await store.list_executions(ANY, Page(size=2, skip=2))
    assert (skipped.items, skipped.more) == (tuple(made[2:4]), True)
    both = await store.list_executions(ANY, Page(size=2, skip=1, after=made[1].id))
    assert (both.items, both.more, both.total) == (tuple(made[3:]), False, 5)


async def test_executions_are_filtered(store: Store) -> None:
    """By workflow, by state, by both; page and total count only what fits."""
    for workflow_id in ("wf_a", "wf_b"):
        for finish in (False, True, True):
            made = await start(store, workflow_id=workflow_id)
            if finish:
                await store.append_events(ended(made), [Event(3, NOW, ExecutionCompleted(result=b"{}"))], 2)
    done = ExecutionState.COMPLETED
    for wanted, total in (
        (ExecutionFilter(workflow_id="wf_a"), 3),
        (ExecutionFilter(state=done), 4),
        (ExecutionFilter(workflow_id="wf_b", state=done), 2),
        (ExecutionFilter(workflow_id="wf_c"), 0),
        (ExecutionFilter(state=ExecutionState.FAILED), 0),
    ):
        found = await store.list_executions(wanted, Page(size=2))
        rest = await store.list_executions(wanted, Page(size=9, skip=2))
        items = (*found.items, *rest.items)
        assert (found.more, found.total, len(items)) == (total > 2, total, total)
        assert list(items) == sorted(items, key=lambda each: each.id, reverse=True)
        for each in items:
            assert wanted.workflow_id in {None, each.workflow_id}
            assert wanted.state in {None, each.state}


async def test_events_are_read_from_a_number(store: Store) -> None:
    """Those above it, at most as many as asked for."""
    made = execution(last_event=10)
    history = [output(number) for number in range(1, 11)]
    await store.insert_execution(made, history)
    assert await store.read_events(made.id, after=4) == tuple(history[4:])
    assert await store.read_events(made.id, after=4, limit=3) == tuple(history[4:7])
    assert await store.read_events(made.id, after=10) == ()


async def test_events_are_read_up_to_a_size(store: Store) -> None:
    """A part ends before it is too large, but has at least one event; the parts make the whole."""
    made = execution(last_event=5)
    big = b'{"t":"' + b"x" * 10_000 + b'"}'
    history = [output(number, big) for number in range(1, 6)]
    await store.insert_execution(made, history)
    part = await store.read_events(made.id, max_bytes=25_000)
    assert part == tuple(history[:2])
    assert await store.read_events(made.id, after=2, max_bytes=1) == (history[2],)
    assert await store.read_events(made.id, after=2, max_bytes=10_000_000) == tuple(history[2:])


async def test_events_are_read_without_payloads(store: Store) -> None:
    """Inputs, outputs and results are empty objects and count for nothing; the rest is there."""
    made = execution(last_event=4)
    big = b'{"t":"' + b"x" * 100_000 + b'"}'
    started = ExecutionStarted(input=big, context=made.context, workflow_id="wf_a", workflow_version=1)
    history = [Event(1, NOW, started), *(output(number, big) for number in (2, 3))]
    last = Event(4, NOW, ExecutionCompleted(result=big))
    await store.insert_execution(made, [*history, last])
    found = await store.read_events(made.id, payloads=False, max_bytes=10_000)
    assert found == (
        Event(1, NOW, replace(started, input=b"{}")),
        output(2),
        output(3),
        Event(4, NOW, ExecutionCompleted(result=b"{}")),
    )


async def test_a_key_means_the_open_execution_else_the_newest(store: Store) -> None:
    """Also when the open one has the smaller id, as servers' clocks differ."""
    assert await store.get_execution_by_key("k") is None
    older, newer = sorted((new_id(EXECUTION_PREFIX), new_id(EXECUTION_PREFIX)))
    first = execution(id=newer, key="k")
    await store.insert_execution(first, first_events(first))
    assert await store.get_execution_by_key("k") == first
    with pytest.raises(KeyTakenError) as caught:
        await store.insert_execution(execution(key="k"), first_events(first), reuse_key=True)
    assert caught.value.execution == first
    done = ended(first)
    await store.append_events(done, [Event(3, NOW, ExecutionCompleted(result=b"{}"))], 2)
    assert await store.get_execution_by_key("k") == done
    second = execution(id=older, key="k")
    with pytest.raises(KeyTakenError) as caught:
        await store.insert_execution(second, first_events(second))
    assert caught.value.execution == done
    await store.insert_execution(second, first_events(second), reuse_key=True)
    assert await store.get_execution_by_key("k") == second
