"""Who follows an execution sees all of it, in order, and is told when the server stops."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.unit.execution.world import FINAL, World, eventually, new_world, quiet
from weft.core.errors import ResourceNotFoundError, ServiceUnavailableError
from weft.core.names import new_id
from weft.core.reasons import Reason
from weft.server.execution.history.model import Event, ExecutionState


async def follow(world: World, execution_id: str, after: int = 0) -> list[tuple[Event, ExecutionState]]:
    return [seen async for seen in world.executions.watch(execution_id, after)]


async def test_a_watcher_sees_past_and_coming_events_and_ends_with_the_last() -> None:
    """The stream is the history; it ends by itself after the final event."""
    async with new_world(hold=["b"]) as world:
        await world.chain("a", "b", "c")
        execution = await world.start()
        held = await world.held("b")
        watching = asyncio.create_task(follow(world, execution.id))
        await quiet(3)
        assert not watching.done()
        held.complete()
        seen = await asyncio.wait_for(watching, 5)
        assert tuple(event for event, _ in seen) == await world.check(execution.id)


async def test_a_watch_resumes_from_any_number() -> None:
    """What was seen already is not sent again; beyond the end there is nothing, and no wait."""
    async with new_world() as world:
        await world.chain("a", "b")
        details = await world.run()
        events = await world.check(details.execution.id)
        for after in range(len(events) + 3):
            seen = await asyncio.wait_for(follow(world, details.execution.id, after), 5)
            assert tuple(event for event, _ in seen) == events[after:]


async def test_the_state_beside_an_event_is_the_state_after_it() -> None:
    """Each event but the last is shown with RUNNING, the last one with how it ended: for every watcher."""
    async with new_world(hold=["a", "b"]) as world:
        await world.chain("a", "b")
        execution = await world.start()
        watching = [asyncio.create_task(follow(world, execution.id)) for _ in range(8)]
        for step in "ab":
            (await world.held(step)).complete()
        for seen in await asyncio.gather(*watching):
            for event, state in seen:
                final = type(event.body).__name__ in FINAL
                assert state is (ExecutionState.COMPLETED if final else ExecutionState.RUNNING)


async def test_a_final_event_read_ahead_of_the_summary_is_shown_as_final(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Events that were recorded after the summary was read have their own state, not the summary's."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        execution = await world.start()
        held = await world.held("a")
        read_events = world.store.read_events

        async def late(execution_id: str, *, after: int = 0) -> tuple[Event, ...]:
            if not held.future.done():
                held.complete()
                await world.executions.wait(execution)
            return await read_events(execution_id, after=after)

        monkeypatch.setattr(world.store, "read_events", late)
        seen = await asyncio.wait_for(follow(world, execution.id), 5)
        assert seen[-1][1] is ExecutionState.COMPLETED


async def test_many_watchers_see_the_same() -> None:
    """A hundred followers of one execution get one and the same history."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a", "b", "c")
        execution = await world.start()
        held = await world.held("a")
        watching = [asyncio.create_task(follow(world, execution.id, number % 3)) for number in range(100)]
        await quiet(3)
        held.complete()
        events = await world.check((await world.ended(execution.id)).execution.id)
        for number, seen in enumerate(await asyncio.gather(*watching)):
            assert tuple(event for event, _ in seen) == events[number % 3 :]


async def test_watchers_are_told_that_the_server_stops() -> None:
    """A watch of an execution that is not over ends with SERVER_DRAINING, after all that was recorded."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a", "b")
        execution = await world.start()
        held = await world.held("a")
        seen: list[Event] = []

        async def watch() -> None:
            async for event, _ in world.executions.watch(execution.id, 0):
                seen.append(event)

        watching = asyncio.create_task(watch())
        await quiet(3)
        draining = asyncio.create_task(world.engine.drain(timedelta(seconds=5)))
        await quiet(3)
        held.complete()
        await draining
        with pytest.raises(ServiceUnavailableError) as caught:
            await asyncio.wait_for(watching, 5)
        assert caught.value.reason == Reason.SERVER_DRAINING
        assert tuple(seen) == await world.check(execution.id)


async def test_a_watcher_outlives_a_crash_of_the_engine_by_asking_again() -> None:
    """From the last number it saw, with the next process, without a gap and without a repeat."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        execution = await world.start()
        await world.held("a")
        stream = world.executions.watch(execution.id, 0)
        first = [(await anext(stream))[0] for _ in range(2)]
        await world.restart()
        (await world.held("a")).complete()
        rest = [event for event, _ in await follow(world, execution.id, first[-1].number)]
        assert tuple(first + rest) == await world.check(execution.id)


async def test_watching_what_does_not_exist() -> None:
    """There is nothing to wait for: EXECUTION_NOT_FOUND at once."""
    async with new_world() as world:
        with pytest.raises(ResourceNotFoundError):
            await follow(world, new_id("exe"))


async def test_nothing_is_kept_of_watches_that_are_over() -> None:
    """Ended and unknown executions leave no trace, nor do followers who leave in the middle."""
    async with new_world(hold=["b"]) as world:
        await world.chain("a")
        details = await world.run()
        await world.chain("b", name="long")
        running = await world.start("long")
        for _ in range(20):
            await follow(world, details.execution.id)
            with pytest.raises(ResourceNotFoundError):
                await follow(world, new_id("exe"))
        watching = [asyncio.create_task(follow(world, running.id)) for _ in range(20)]
        await eventually(lambda: world.engine.hub.followed == 1)
        await quiet(3)
        for each in watching:
            each.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await eventually(lambda: world.engine.hub.followed == 0)
