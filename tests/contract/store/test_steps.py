"""What every store promises of what steps share: outputs that are kept, and turns."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tests.contract.store.samples import NOW, ended, execution, first_events
from weft.server.execution.history.model import Event, Execution, ExecutionCompleted, Waits
from weft.server.store.base import Store
from weft.server.store.step_shares import Permit

SECOND = timedelta(seconds=1)
MOMENT = timedelta(microseconds=1)


async def start(store: Store, **changes: Any) -> Execution:
    made = execution(**changes)
    return await store.insert_execution(made, first_events(made))


async def finish(store: Store, of: Execution) -> None:
    last = replace(ended(of), due_time=None)
    await store.append_events(last, [Event(3, NOW, ExecutionCompleted(result=b"{}"))], 2)


def permit(of: Execution, path: str = "a", scope: str = "wf/a/", **limits: Any) -> Permit:
    return Permit(scope=scope, execution_id=of.id, path=path, **limits)


# ---- outputs that are kept


async def test_an_output_is_kept_for_its_time(store: Store) -> None:
    """Byte by byte, until its time is over; a newer one takes its place."""
    assert await store.cached_output("k", NOW) is None
    await store.cache_output("k", b'{ "a": 1 }', NOW + SECOND)
    assert await store.cached_output("k", NOW) == b'{ "a": 1 }'
    assert await store.cached_output("k", NOW + SECOND) is None
    await store.cache_output("k", b"{}", NOW + 3 * SECOND)
    assert await store.cached_output("k", NOW + 2 * SECOND) == b"{}"
    assert await store.cached_output("other", NOW) is None


async def test_outputs_whose_time_is_over_go_in_small_steps(store: Store) -> None:
    """As many as asked for at once; the others stay."""
    for number in range(5):
        await store.cache_output(f"k{number}", b"{}", NOW + number * SECOND)
    made = await start(store)
    await store.acquire_permit(permit(made, rate=1, per=SECOND), NOW)  # its window goes as well
    now = NOW + 3 * SECOND
    assert [await store.sweep_shares(now, 3) for _ in range(3)] == [4, 1, 0]
    assert await store.cached_output("k4", now) == b"{}"


# ---- how many at the same time


async def test_as_many_hold_a_permit_as_may(store: Store) -> None:
    """The others stand in a queue; each that is given back goes to the one that waits longest."""
    made = [await start(store) for _ in range(4)]
    asked = [permit(each, concurrency=2) for each in made]
    assert [await store.acquire_permit(each, NOW) for each in asked] == [NOW, NOW, None, None]
    later = NOW + SECOND
    assert await store.release_permit(asked[1], later) == (made[2].id,)
    assert [await store.acquire_permit(each, later) for each in asked[2:]] == [later, None]
    assert await store.release_permit(asked[0], later) == (made[3].id,)
    assert await store.release_permit(asked[2], later) == ()


async def test_who_asks_again_is_told_the_same(store: Store) -> None:
    """Neither a place in the queue nor a permit is counted twice."""
    first, second = [await start(store) for _ in range(2)]
    for _ in range(3):
        assert await store.acquire_permit(permit(first, concurrency=1), NOW) == NOW
        assert await store.acquire_permit(permit(second, concurrency=1), NOW + SECOND) is None
    assert await store.release_permit(permit(first), NOW) == (second.id,)
    assert await store.release_permit(permit(second), NOW) == ()


async def test_it_is_told_what_an_execution_asked_for(store: Store) -> None:
    """From when on each call may begin, or that it waits."""
    first, second = [await start(store) for _ in range(2)]
    assert await store.permits_of(first.id) == {}
    for path in ("a", "b"):
        await store.acquire_permit(permit(first, path, concurrency=1), NOW)
    await store.acquire_permit(permit(second, concurrency=1), NOW)
    assert await store.permits_of(first.id) == {"a": NOW, "b": None}
    await store.release_permit(permit(first, "a"), NOW + SECOND)
    assert await store.permits_of(first.id) == {"b": NOW + SECOND}


async def test_a_crowd_shares_the_places(store: Store) -> None:
    """However many ask at the same moment, and whoever gives back meanwhile."""
    made = await start(store)
    asked = [permit(made, f"each[{number}]/a", concurrency=3) for number in range(24)]
    begun = await asyncio.gather(*(store.acquire_permit(each, NOW) for each in asked))
    holding = [each for each, begin in zip(asked, begun, strict=True) if begin is not None]
    assert len(holding) == 3
    seen = {each.path for each in holding}
    while holding:
        granted = await asyncio.gather(*(store.release_permit(each, NOW) for each in holding))
        again = await asyncio.gather(
            *(store.acquire_permit(each, NOW) for each in asked if each.path not in seen)
        )
        left = [each for each in asked if each.path not in seen]
        holding = [each for each, begin in zip(left, again, strict=True) if begin is not None]
        assert sum(map(len, granted)) == len(holding) <= 3
        seen |= {each.path for each in holding}
    assert len(seen) == 24


async def test_scopes_do_not_wait_for_each_other(store: Store) -> None:
    """Another step, or another key of the same one, has places of its own."""
    first, second = [await start(store) for _ in range(2)]
    assert await store.acquire_permit(permit(first, concurrency=1), NOW) == NOW
    assert await store.acquire_permit(permit(second, scope="wf/a/x", concurrency=1), NOW) == NOW


async def test_who_leaves_the_queue_is_passed_over(store: Store) -> None:
    """Given up by its execution, or left behind by one that has ended."""
    made = [await start(store) for _ in range(4)]
    asked = [permit(each, concurrency=1) for each in made]
    for each in asked:
        await store.acquire_permit(each, NOW)
    await store.release_permit(asked[1], NOW)
    await finish(store, made[2])
    assert await store.release_permit(asked[0], NOW) == (made[3].id,)


async def test_an_execution_that_has_ended_holds_nothing(store: Store) -> None:
    """Its permit counts no more, and is given on when it is looked for."""
    first, second, third = [await start(store) for _ in range(3)]
    assert await store.grant_permits(NOW) == ()
    await store.acquire_permit(permit(first, concurrency=1), NOW)
    assert await store.acquire_permit(permit(second, concurrency=1), NOW) is None
    assert await store.grant_permits(NOW) == ()
    await finish(store, first)
    assert await store.grant_permits(NOW) == (second.id,)
    await finish(store, second)
    assert await store.acquire_permit(permit(third, concurrency=1), NOW) == NOW


async def test_all_that_an_execution_holds_is_given_back(store: Store) -> None:
    """But what is to be kept; waiting places as well."""
    first, second = [await start(store) for _ in range(2)]
    for path in ("a", "b", "c"):
        await store.acquire_permit(permit(first, path, f"wf/{path}/", concurrency=1), NOW)
        await store.acquire_permit(permit(second, path, f"wf/{path}/", concurrency=1), NOW)
    assert await store.release_permits(first.id, {"b"}, NOW) == (second.id, second.id)
    assert await store.release_permits(first.id, {"b"}, NOW) == ()
    assert await store.acquire_permit(permit(second, "b", "wf/b/", concurrency=1), NOW) is None
    assert await store.release_permits(first.id, (), NOW) == (second.id,)


# ---- how often


async def test_as_many_begin_in_each_window_as_may(store: Store) -> None:
    """Places are given in the order in which they are asked for, each in the first window that has one."""
    made = await start(store)
    begun = [
        await store.acquire_permit(permit(made, f"each[{number}]/a", rate=2, per=SECOND), NOW)
        for number in range(5)
    ]
    assert begun == [NOW, NOW, NOW + SECOND, NOW + SECOND, NOW + 2 * SECOND]
    late = NOW + timedelta(seconds=2.5)
    assert await store.acquire_permit(permit(made, "x", rate=2, per=SECOND), late) == late
    idle = NOW + timedelta(minutes=1)
    again = [await store.acquire_permit(permit(made, f"y{n}", rate=2, per=SECOND), idle) for n in range(3)]
    assert again == [idle, idle, idle + SECOND]


async def test_a_rate_holds_in_a_crowd(store: Store) -> None:
    """However many ask at the same moment."""
    made = await start(store)
    begun = await asyncio.gather(
        *(
            store.acquire_permit(permit(made, f"each[{number}]/a", rate=4, per=SECOND), NOW)
            for number in range(20)
        )
    )
    assert Counter(begun) == {NOW + number * SECOND: 4 for number in range(5)}


async def test_a_place_in_time_is_taken_when_the_turn_comes(store: Store) -> None:
    """With both limits a call waits for its turn first, so that no window is over before it may begin."""
    made = [await start(store) for _ in range(3)]
    asked = [permit(each, concurrency=1, rate=1, per=10 * SECOND) for each in made]
    assert [await store.acquire_permit(each, NOW) for each in asked] == [NOW, None, None]
    later = NOW + SECOND
    assert await store.release_permit(asked[0], later) == (made[1].id,)
    assert await store.acquire_permit(asked[1], later) == NOW + 10 * SECOND
    much_later = NOW + 60 * SECOND
    assert await store.release_permit(asked[1], much_later) == (made[2].id,)
    assert await store.acquire_permit(asked[2], much_later) == much_later


# ---- executions that wait in the store


async def parked(store: Store, made: Execution, due_time: datetime | None = None) -> Execution:
    waiting = replace(made, waits=Waits.STEP_LIMIT, due_time=due_time)
    await store.append_events(waiting, (), made.last_event, release=True)
    return waiting


async def test_an_execution_is_due_when_its_turn_comes(store: Store) -> None:
    """From when its call may begin; nobody has to look for it before."""
    first, second = [await start(store) for _ in range(2)]
    limits: dict[str, Any] = {"concurrency": 1, "rate": 1, "per": 10 * SECOND}
    await store.acquire_permit(permit(first, **limits), NOW)
    await store.acquire_permit(permit(second, **limits), NOW)
    await parked(store, second, NOW + timedelta(days=1))
    assert await store.next_due() == NOW + timedelta(days=1)
    await store.release_permit(permit(first), NOW)
    assert await store.next_due() == NOW + 10 * SECOND
    assert await store.claim_due(NOW + 10 * SECOND - MOMENT, 9) == ()
    (claimed,) = await store.claim_due(NOW + 10 * SECOND, 9)
    assert claimed.id == second.id


async def test_a_turn_that_came_before_it_was_let_go_of_is_not_lost(store: Store) -> None:
    """Whoever lets go of an execution looks once more; a sweep finds it as well."""
    first, second, third = [await start(store) for _ in range(3)]
    await store.acquire_permit(permit(first, concurrency=2), NOW)
    await store.acquire_permit(permit(second, concurrency=2), NOW)
    assert await store.acquire_permit(permit(third, concurrency=2), NOW) is None
    await store.release_permit(permit(first), NOW)
    await parked(store, third)
    assert await store.next_due() is None
    assert await store.wake_permitted(third.id)
    assert not await store.wake_permitted(third.id)
    assert await store.next_due() == NOW
    await parked(store, second)
    assert await store.grant_permits(NOW) == ()
    assert {each.id for each in await store.claim_due(NOW, 9)} == {second.id, third.id}


async def test_what_waits_for_something_else_is_not_woken(store: Store) -> None:
    """A turn that comes is kept, until the execution asks for it."""
    first, second = [await start(store) for _ in range(2)]
    await store.acquire_permit(permit(first, concurrency=1), NOW)
    await store.acquire_permit(permit(second, concurrency=1), NOW)
    waiting = replace(second, waits=Waits.RESUME, due_time=None)
    await store.append_events(waiting, (), second.last_event, release=True)
    assert await store.release_permit(permit(first), NOW) == (second.id,)
    assert not await store.wake_permitted(second.id)
    assert await store.next_due() is None
