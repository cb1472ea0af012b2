"""Limits and caches of steps, through the whole engine."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.unit.execution.world import SERVICE, World, eventually, new_world, quiet
from weft.core.errors import ActionFailedError, Code, ServiceUnavailableError
from weft.core.payload import dumps
from weft.server.execution.engine.step_limits import permit_for
from weft.server.execution.history.model import Execution, ExecutionState, StepScheduled, StepWaiting, Waits
from weft.server.execution.orders.attempts import AttemptToken
from weft.server.execution.orders.orders import Pause, Resume
from weft.server.registry.model import Action
from weft.server.store.step_shares import Permit
from weft.server.workflow.kinds import Map
from weft.server.workflow.model import Cache, Exhausted, RetryPolicy, Step, StepLimit

SECOND = timedelta(seconds=1)


async def limited(
    world: World, *, name: str = "flow", retry: RetryPolicy | None = None, **limit: Any
) -> None:
    """Make a workflow of one step with a limit."""
    await world.register(Action(name="a"))
    step = Step(id="a", service=SERVICE, action="a", retry=retry, limit=StepLimit(**limit))
    await world.workflow(step)


async def waits(world: World, of: Execution) -> Waits:
    found = await world.store.get_execution(of.id)
    assert found is not None
    return found.waits


def running(world: World) -> list[str]:
    return [held.call.execution_id for held in world.provider.held]


async def wait_for(world: World, of: Execution, what: Waits = Waits.STEP_LIMIT) -> None:
    """Wait until an execution waits for something."""
    async with asyncio.timeout(10):
        while await waits(world, of) is not what:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.005)


async def test_as_many_calls_run_as_may() -> None:
    """The others wait in the store, belong to nobody, say for what, and come in the order they asked."""
    async with new_world(hold=["a"]) as world:
        await limited(world, concurrency=1)
        made = []
        for number in range(3):
            made.append(await world.start())
            await (world.held("a") if number == 0 else wait_for(world, made[-1]))
        assert running(world) == [made[0].id]
        assert world.engine.open_count == 1
        (step,) = (await world.executions.get(made[1].id, payloads=False)).steps
        assert step.waits is Waits.STEP_LIMIT
        for each in made:
            await eventually(lambda each=each: running(world) == [each.id])  # type: ignore[misc]
            world.provider.held[0].complete()
            await world.ended(each.id)
        bodies = [event.body for event in await world.check(made[2].id)]
        assert [type(body) for body in bodies[1:4]] == [StepScheduled, StepWaiting, StepScheduled]
        assert [body.attempt for body in bodies if isinstance(body, StepScheduled)] == [1, 1]
        assert await world.store.grant_permits(world.clock.now()) == ()


async def test_calls_of_one_key_count_together() -> None:
    """Those of others do not wait for them."""
    async with new_world(hold=["a"]) as world:
        await limited(world, concurrency=1, key="${input.tenant}")
        first = await world.start(value={"tenant": "x"})
        other = await world.start(value={"tenant": "y"})
        await eventually(lambda: len(running(world)) == 2)
        second = await world.start(value={"tenant": "x"})
        await wait_for(world, second)
        assert set(running(world)) == {first.id, other.id}


async def test_items_of_a_map_share_a_limit() -> None:
    """They are beside each other in one execution, and wait in memory."""
    async with new_world(hold=["a"]) as world:
        await world.register(Action(name="a"))
        body = Step(id="a", service=SERVICE, action="a", limit=StepLimit(concurrency=2))
        await world.workflow(Step(id="each", does=Map(items={"from": 0, "to": 7}, steps=(body,))))
        made = await world.start()
        done = 0
        while done < 7:
            await eventually(lambda left=7 - done: len(world.provider.held) == min(2, left))  # type: ignore[misc]
            await quiet()
            assert len(world.provider.held) <= 2
            world.provider.held[0].complete()
            done += 1
        assert (await world.ended(made.id)).execution.state is ExecutionState.COMPLETED
        await world.check(made.id)


async def test_items_that_wait_are_not_asked_about_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait beside each other, a call costs the same few writes."""
    async with new_world() as world:
        count = 0
        acquire = world.store.acquire_permit

        async def counted(permit: Permit, now: datetime) -> datetime | None:
            nonlocal count
            count += 1
            return await acquire(permit, now)

        monkeypatch.setattr(world.store, "acquire_permit", counted)
        await world.register(Action(name="a"))
        body = Step(id="a", service=SERVICE, action="a", limit=StepLimit(concurrency=1))
        await world.workflow(Step(id="each", does=Map(items={"from": 0, "to": 60}, steps=(body,))))
        assert (await world.run()).execution.state is ExecutionState.COMPLETED
        assert len(world.provider.calls) == 60
        assert count == 60


async def test_as_many_calls_begin_in_each_window_as_may() -> None:
    """Each knows from when on it may; until then it waits like for any other time."""
    async with new_world() as world:
        await limited(world, rate=2, per=60 * SECOND)
        made = [await world.start() for _ in range(5)]
        await eventually(lambda: len(world.provider.calls) == 2)
        for each in made[2:]:
            await wait_for(world, each)
        due = {(await world.store.get_execution(each.id)).due_time for each in made[2:]}  # type: ignore[union-attr]
        begin = world.clock.now()
        assert due == {begin + 60 * SECOND, begin + 120 * SECOND}
        await world.restart()
        for calls in (4, 5):
            await world.clock.advance(59)
            await quiet()
            assert len(world.provider.calls) == calls - (2 if calls == 4 else 1)
            await world.clock.advance(1.1)
            await eventually(lambda calls=calls: len(world.provider.calls) == calls)  # type: ignore[misc]
        for each in made:
            await world.ended(each.id)


async def test_a_pause_between_attempts_holds_no_turn() -> None:
    """The next attempt asks anew, and is a further call."""
    async with new_world() as world:
        policy = RetryPolicy(max_attempts=2, initial_backoff=600 * SECOND, exhausted=Exhausted.FAIL)
        await limited(world, concurrency=1, retry=policy)
        world.provider.answers["a"] = ServiceUnavailableError("worker", "busy")
        first = await world.start()
        await eventually(lambda: len(world.provider.calls) == 1)
        await wait_for(world, first, Waits.RETRY)
        world.provider.answers.clear()
        second = await world.start()
        await world.ended(second.id)
        await world.clock.advance(900)
        assert (await world.ended(first.id)).execution.state is ExecutionState.COMPLETED


async def test_who_is_cancelled_gives_its_turn_on() -> None:
    """Whether it ran or waited for it."""
    async with new_world(hold=["a"]) as world:
        await limited(world, concurrency=1)
        first = await world.start()
        await world.held("a")
        second, third = await world.start(), await world.start()
        for each in (second, third):
            await wait_for(world, each)
        await world.executions.cancel(second.id, "")
        await world.executions.cancel(first.id, "")
        await eventually(lambda: running(world) == [third.id])
        for each in (first, second):
            await world.check(each.id)


async def test_an_outcome_that_is_told_later_holds_its_turn_until_then() -> None:
    """Also over a restart: its call still runs somewhere."""
    async with new_world(hold=["b"]) as world:
        await limited(world, concurrency=1)
        world.provider.later.add("a")
        first = await world.start()
        await eventually(lambda: len(world.provider.calls) == 1)
        second = await world.start()
        await wait_for(world, second)
        await world.restart()
        await quiet()
        assert len(world.provider.calls) == 1
        token = AttemptToken(execution_id=first.id, step_id="a", attempt=1)
        await world.executions.reports.complete(token, b"{}")
        await world.ended(first.id)
        await eventually(lambda: len(world.provider.calls) == 2)


async def test_a_crash_loses_no_turn_and_leaks_none() -> None:
    """Who ran runs again, with its turn; who waited waits, and comes after it."""
    async with new_world(hold=["a"]) as world:
        await limited(world, concurrency=1)
        first = await world.start()
        await world.held("a")
        second = await world.start()
        await wait_for(world, second)
        await world.restart()
        await eventually(lambda: running(world) == [first.id])
        world.provider.held[0].complete()
        await world.ended(first.id)
        await eventually(lambda: running(world) == [second.id])
        world.provider.held[0].complete()
        await world.ended(second.id)
        third = await world.start()
        await eventually(lambda: running(world) == [third.id])


async def test_a_paused_execution_does_not_take_its_turn() -> None:
    """It keeps its place, and goes on with it when it is resumed."""
    async with new_world(hold=["a"]) as world:
        await limited(world, concurrency=1)
        first = await world.start()
        await world.held("a")
        second = await world.start()
        await wait_for(world, second)
        await world.executions.order(second.id, Pause(execution_id="", reason=""))
        world.provider.held[0].complete()
        await world.ended(first.id)
        await quiet()
        assert running(world) == []
        await world.executions.order(second.id, Resume(execution_id="", reason=""))
        await eventually(lambda: running(world) == [second.id])


async def test_a_key_without_a_value_fails_the_step() -> None:
    """As an input without one would."""
    async with new_world() as world:
        await limited(world, concurrency=1, key="${input.missing}")
        details = await world.run()
        assert details.execution.state is ExecutionState.FAILED
        assert details.execution.failure is not None
        assert details.execution.failure.reason == "EXPRESSION_FAILED"


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_turns_hold_and_none_is_lost(seed: int) -> None:
    """Through cancellations, failures, pauses, outcomes told later and crashes, all come to an end."""
    chance = random.Random(seed)
    async with new_world(hold=["a", "b"]) as world:
        await world.register(Action(name="a"), Action(name="b"))
        retry = RetryPolicy(max_attempts=9, initial_backoff=SECOND / 100, exhausted=Exhausted.FAIL)
        one = Step(id="a", service=SERVICE, action="a", next="b", limit=StepLimit(concurrency=2))
        two = Step(id="b", service=SERVICE, action="b", retry=retry, limit=StepLimit(concurrency=1))
        await world.workflow(one, two)
        made = [await world.start() for _ in range(12)]
        left = {each.id for each in made}
        for _ in range(400):
            await quiet(5)
            held = Counter(it.call.step_id for it in world.provider.held)
            assert held["a"] <= 2
            assert held["b"] <= 1
            left = {each for each in left if not (await world.state(each)).final}
            if not left:
                break
            await disturb(world, chance, sorted(left))
        assert not left
        await world.store.grant_permits(world.clock.now())
        assert [dict(await world.store.permits_of(each.id)) for each in made] == [{}] * 12
        for each in made:
            await world.check(each.id)


async def disturb(world: World, chance: random.Random, left: list[str]) -> None:
    """Have one thing happen: mostly a call ends."""
    match chance.randrange(12):
        case 0:
            await world.restart()
        case 1 if len(left) > 3:
            await world.executions.cancel(chance.choice(left), "")
        case 2:
            each = chance.choice(left)
            await world.executions.order(each, Pause(execution_id="", reason=""))
            await quiet(5)
            await world.executions.order(each, Resume(execution_id="", reason=""))
        case 3 if world.provider.held:
            chance.choice(world.provider.held).fail(ServiceUnavailableError("worker", "busy"))
        case 4:
            await world.clock.advance(6)
        case _ if world.provider.held:
            chance.choice(world.provider.held).complete()
        case _:
            await world.clock.advance(1)


# ---- outputs that are kept


async def kept(world: World, key: str = "", **more: Any) -> None:
    await world.register(Action(name="a"))
    step = Step(id="a", service=SERVICE, action="a", cache=Cache(key=key, ttl=60 * SECOND), **more)
    await world.workflow(step)
    world.provider.answers["a"] = lambda _: {"call": len(world.provider.calls)}


async def test_an_output_is_used_again_by_later_executions() -> None:
    """For the same input, until its time is over; a history tells it like any other output."""
    async with new_world() as world:
        await kept(world)
        results = [(await world.run(value={"x": x})).result for x in (1, 1, 2, 1)]
        assert results == [dumps({"call": n}) for n in (1, 1, 2, 1)]
        assert len(world.provider.calls) == 2
        await world.clock.advance(61)
        assert (await world.run(value={"x": 1})).result == dumps({"call": 3})


async def test_a_key_of_its_own_stands_for_the_input() -> None:
    """Whatever else the input has."""
    async with new_world() as world:
        await kept(world, key="${input.customer}")
        first = (await world.run(value={"customer": "x", "n": 1})).result
        assert (await world.run(value={"customer": "x", "n": 2})).result == first
        assert (await world.run(value={"customer": "y", "n": 1})).result != first


async def test_what_fails_is_not_kept() -> None:
    """The next execution tries anew."""
    async with new_world() as world:
        await kept(world)
        answer = world.provider.answers["a"]
        world.provider.answers["a"] = ActionFailedError("no", code=Code.FAILED_PRECONDITION, reason="NO")
        assert (await world.run()).execution.state is ExecutionState.FAILED
        world.provider.answers["a"] = answer
        assert (await world.run()).result == dumps({"call": 2})


@pytest.mark.parametrize("limit", [StepLimit(concurrency=1), StepLimit(rate=100)])
async def test_a_step_may_have_both(limit: StepLimit) -> None:
    """An output that is kept gives the turn back, too."""
    async with new_world() as world:
        await kept(world, limit=limit)
        for _ in range(3):
            assert (await world.run()).result == dumps({"call": 1})


@pytest.mark.parametrize("key", ["a\0b", "x" * 257])
def test_a_limit_may_have_any_key(key: str) -> None:
    """PostgreSQL takes no U+0000: such a call failed with INTERNAL there. Other keys count apart."""
    limit = StepLimit(concurrency=1)
    step = Step(id="a", service=SERVICE, action="a", limit=limit)
    scopes = [
        permit_for(step, limit, each, workflow_id="wf", execution_id="exe", path="a").scope
        for each in (key, key, key + "b")
    ]
    assert scopes[0] == scopes[1] != scopes[2]
    assert "\0" not in scopes[0]
    assert len(scopes[0]) < 300
