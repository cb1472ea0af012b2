"""An execution that a newer release has had: this one neither runs nor ends it, and takes it when it can."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from tests.support.newer import LaterWaits, Noted, know, write_as_newer
from tests.unit.execution.world import World, eventually, new_world, quiet
from weft.server.execution.history.model import Event, Execution, ExecutionState, Parent
from weft.server.execution.orders.order_forms import ORDER_KINDS, read_order
from weft.server.execution.orders.orders import Cancel, Pause
from weft.server.forms import NewerReleaseError
from weft.server.store.base import Command
from weft.server.workflow.kinds import Child, Signal
from weft.server.workflow.model import Step

NOTED = Noted(step_id="a", type="note", data=b"{}")


async def noted(world: World, monkeypatch: pytest.MonkeyPatch) -> Execution:
    """Return an execution that the newer release has begun, and died with."""
    await world.chain("a", "b")
    started = await world.start()
    await world.held("a")
    await world.crash()
    write_as_newer(monkeypatch)
    found = await world.store.get_execution(started.id)
    assert found is not None
    after = replace(found, last_event=found.last_event + 1)
    event = Event(after.last_event, world.clock.now(), NOTED)
    await world.store.append_events(after, [event], found.last_event)
    return after


async def stored(world: World, execution_id: str) -> Execution:
    found = await world.store.get_execution(execution_id)
    assert found is not None
    return found


async def test_it_is_left_alone_and_goes_on_where_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is nobody's again, due in five seconds, with nothing added; a server that knows it finishes it."""
    async with new_world(hold=["a"]) as world:
        before = await noted(world, monkeypatch)
        await world.restart()
        await eventually(lambda: world.engine.open_count == 0)
        await quiet()
        left = await stored(world, before.id)
        assert (left.state, left.last_event) == (ExecutionState.RUNNING, before.last_event)
        assert left.due_time == world.clock.now() + timedelta(seconds=5)
        know(monkeypatch)
        world.provider.hold.clear()
        await world.clock.advance(5.1)
        assert (await world.ended(before.id)).execution.state is ExecutionState.COMPLETED


async def test_others_are_not_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due beside it runs."""
    async with new_world(hold=["a"]) as world:
        before = await noted(world, monkeypatch)
        world.boot()
        world.provider.hold.clear()
        other = await world.start()
        assert (await world.ended(other.id)).execution.state is ExecutionState.COMPLETED
        assert (await stored(world, before.id)).state is ExecutionState.RUNNING


async def test_children_of_it_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parent that cannot be read is not taken for one that has ended, and holds nobody up."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        parent, other = await world.start(), await world.start()
        child = await world.start(parent=Parent(execution_id=parent.id, step_id="a"))
        await eventually(lambda: len(world.provider.held) == 3)
        await world.crash()
        waiting: Any = LaterWaits.MOON
        await world.store.append_events(
            replace(await stored(world, parent.id), waits=waiting), (), parent.last_event, release=True
        )
        world.provider.hold.clear()
        await world.restart()
        for each in (child, other):
            assert (await world.ended(each.id)).execution.state is ExecutionState.COMPLETED


async def test_children_of_others_are_ended_past_one_of_it() -> None:
    """Who looks for children whose parents have ended does not stop at one that it cannot read."""
    async with new_world() as world:
        await world.workflow(Step(id="s", does=Signal(name="never")), name="kid")
        await world.workflow(Step(id="c", does=Child(name="kid")))
        parents = [await world.start() for _ in range(2)]
        await eventually(lambda: world.engine.open_count == 0)
        shown = [await world.executions.get(parent.id, payloads=False) for parent in parents]
        newer, ours = sorted(each.steps[0].child for each in shown)
        world.engine.family = None  # nobody is told anything
        for parent in parents:
            await world.executions.cancel(parent.id, "enough")
        claimed = await world.store.claim_execution(newer)
        assert claimed is not None
        waiting: Any = LaterWaits.MOON
        moved = replace(claimed.execution, waits=waiting)
        await world.store.append_events(moved, (), moved.last_event, release=True)
        await world.executions.orphans.look()
        assert (await world.ended(ours)).execution.state is ExecutionState.CANCELLED


async def test_an_order_about_it_is_refused_as_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is recorded of it, and it is not taken for ended or lost."""
    async with new_world(hold=["a"]) as world:
        before = await noted(world, monkeypatch)
        await world.restart(recover=False)
        with pytest.raises(NewerReleaseError):
            await world.executions.cancel(before.id, "enough")
        left = await stored(world, before.id)
        assert (left.state, left.last_event) == (ExecutionState.RUNNING, before.last_event)


def test_orders_of_a_newer_release_are_not_guessed_at() -> None:
    """Neither their kinds, nor members that say something; what says nothing is passed over."""
    body = orjson.dumps({"reason": "x", "at_once": False, "politely": False})
    assert read_order(Command(execution_id="exe_a", kind="cancel", body=body)) == Cancel(
        execution_id="exe_a", reason="x"
    )
    body = orjson.dumps({"reason": "x", "at_once": False, "politely": True})
    with pytest.raises(NewerReleaseError, match=r"Cancel\.politely"):
        read_order(Command(execution_id="exe_a", kind="cancel", body=body))
    with pytest.raises(NewerReleaseError, match="order 'halt'"):
        read_order(Command(execution_id="exe_a", kind="halt", body=b"{}"))
    assert Pause.kind in ORDER_KINDS


async def test_an_order_that_cannot_be_read_is_left_again() -> None:
    """It was taken by its kind; it is there again a moment later, and when this server stops."""
    async with new_world(hold=["a"]) as world:
        await world.chain("a")
        started = await world.start()
        await world.held("a")
        odd = Command(execution_id=started.id, kind="cancel", body=b'{"politely":true}')
        await world.store.post_command(odd)
        world.engine.claims.commands_left()
        await eventually(lambda: bool(world.engine.claims._left))
        assert await world.store.take_commands() == ()
        ((first, _),) = world.engine.claims._left
        await world.clock.advance(5.1)
        world.engine.claims.commands_left()  # nobody else has the execution, so it is taken again
        await eventually(lambda: any(moment > first for moment, _ in world.engine.claims._left))
        await world.engine.claims.stop()
        assert await world.store.take_commands() == (odd,)
        assert await world.state(started.id) is ExecutionState.RUNNING
