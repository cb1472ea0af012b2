"""Outputs that are kept, and turns of steps, as the engine uses them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.store.samples import execution, first_events
from weft.core.testing import ManualClock
from weft.server.execution.engine.step_cache import MAX_OUTPUT_BYTES, StepCache, cache_key
from weft.server.execution.engine.step_limits import StepLimits, permit_for
from weft.server.store.rates import Window, place_in
from weft.server.store.sqlite import SqliteStore
from weft.server.store.step_shares import Permit
from weft.server.workflow.model import Step, StepLimit

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(None, clock)
    await opened.open()
    yield opened
    await opened.close()


def test_a_key_is_of_one_step_and_one_input() -> None:
    """The order of members does not count; an own key stands for the input, and is never taken for one."""
    one = cache_key("wf_1", "a", "", {"x": 1, "y": [2]})
    assert one == cache_key("wf_1", "a", "", {"y": [2], "x": 1})
    others = [
        cache_key("wf_2", "a", "", {"x": 1, "y": [2]}),
        cache_key("wf_1", "b", "", {"x": 1, "y": [2]}),
        cache_key("wf_1", "a", "", {"x": 1, "y": [3]}),
        cache_key("wf_1", "a", "k", {"x": 1, "y": [2]}),
        cache_key("wf_1", "a", "l", {"x": 1, "y": [2]}),
        cache_key("wf_1", "a", "[2]", {}),
    ]
    assert len({one, *others}) == 7
    assert cache_key("wf_1", "a", "k", {"x": 1}) == cache_key("wf_1", "a", "k", {"x": 2})


async def test_an_output_is_used_again_until_its_time_is_over(store: SqliteStore, clock: ManualClock) -> None:
    """The very text that was given; one that is too large is not kept."""
    cache = StepCache(store, clock)
    assert await cache.get("k") is None
    await cache.put("k", b'{"a":1}', MINUTE)
    assert await cache.get("k") == b'{"a":1}'
    await clock.advance(60)
    assert await cache.get("k") is None
    await cache.put("k", b" " * (MAX_OUTPUT_BYTES + 1), MINUTE)
    assert await cache.get("k") is None


async def test_a_step_does_not_fail_for_the_cache(clock: ManualClock) -> None:
    """What cannot be read is not there, what cannot be written is not kept."""
    store = SqliteStore(None, clock)
    cache = StepCache(store, clock)  # it is not open
    assert await cache.get("k") is None
    await cache.put("k", b"{}", MINUTE)


def test_calls_of_one_key_count_together() -> None:
    """Over all executions and versions of the workflow, and wherever in them the step runs."""
    limit = StepLimit(key="${input.x}", concurrency=2, rate=3, per=MINUTE)

    def scope(step: str, key: str) -> str:
        wanted = permit_for(
            Step(id=step), limit, key, workflow_id="wf_1", execution_id="exe_1", path=f"each[3]/{step}"
        )
        assert (wanted.concurrency, wanted.rate, wanted.per) == (2, 3, MINUTE)
        assert (wanted.execution_id, wanted.path) == ("exe_1", f"each[3]/{step}")
        return wanted.scope

    scopes = [scope("a", ""), scope("a", "x"), scope("b", "x"), scope("a", "x" * 5_000)]
    assert len(set(scopes)) == 4
    assert max(map(len, scopes)) < 400


async def test_who_waits_is_told_when_the_turn_comes(store: SqliteStore, clock: ManualClock) -> None:
    """Given back, given up, swept, or found after letting go: each turn is told to one execution."""
    told: list[str] = []
    limits = StepLimits(store, clock, told.append)
    made = [execution() for _ in range(4)]
    for each in made:
        await store.insert_execution(each, first_events(each))
    asked = [Permit(scope="s", execution_id=each.id, path="a", concurrency=1) for each in made]
    assert await limits.begin(asked[0]) == clock.now()
    assert [await limits.begin(each) for each in asked[1:]] == [None, None, None]
    await limits.end(asked[0])
    assert told == [made[1].id]
    await limits.end_all(made[1].id, keep=("a",))
    assert told == [made[1].id]
    await limits.end_all(made[1].id)
    assert told == [made[1].id, made[2].id]
    await limits.sweep()
    assert told[2:] == []
    await limits.parked(made[2].id)  # it is here, and was not let go of
    assert told[2:] == []


@given(
    rate=st.integers(1, 5),
    per=st.integers(1, 50),
    pauses=st.lists(st.integers(0, 60), max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_a_rate_is_kept_whenever_calls_come(rate: int, per: int, pauses: list[int]) -> None:
    """No call begins before it asked or before the one in front of it, and no window has more than it may."""
    now, last = 0, None
    begun: list[int] = []
    windows: dict[int, int] = {}
    for pause in pauses:
        now += pause
        begin, last = place_in(last, rate, per, now)
        begun.append(begin)
        windows[last.start] = windows.get(last.start, 0) + 1
        assert begin >= now
        assert last.start <= begin < last.start + per
        assert windows[last.start] == last.used <= rate
    assert begun == sorted(begun)
    starts = sorted(windows)
    assert all(after - before >= per for before, after in pairwise(starts))


def test_the_first_window_begins_with_the_first_call() -> None:
    """There is no grid of windows that a burst could straddle before."""
    assert place_in(None, 2, 10, 7) == (7, Window(7, 1))
