"""What is undone because the action was registered with what undoes it: the workflow says nothing of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.unit.execution.language import same_when_read
from tests.unit.execution.world import SERVICE, World, new_world, quiet
from weft.core.errors import ActionFailedError
from weft.server.execution.history.model import ExecutionState, StepCompleted
from weft.server.execution.orders.attempts import AttemptToken
from weft.server.execution.orders.orders import Resolve
from weft.server.registry.model import Action
from weft.server.workflow.model import Compensation, Step


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with new_world() as made:
        await made.register(
            Action(name="book", compensation="unbook"),
            Action(name="pay", compensation="refund"),
            *(Action(name=name) for name in ("ship", "unbook", "refund", "other")),
        )
        made.provider.answers["book"] = lambda value: {"booking": value["order"] * 10}
        made.provider.answers["pay"] = lambda _: {"payment": "p1"}
        made.provider.answers["ship"] = ActionFailedError("no van", reason="NO_VAN")
        yield made


def call(step_id: str, **more: Any) -> Step:
    return Step(id=step_id, service=SERVICE, action=step_id, **more)


def flat(**of_pay: Any) -> tuple[Step, ...]:
    """Three calls, one after the other; nothing is said of undoing."""
    return call("book", next="pay"), call("pay", next="ship", **of_pay), call("ship")


async def undone(world: World, execution_id: str) -> list[tuple[str, str, str]]:
    plan = await world.executions.interactions.compensation_plan(execution_id)
    return [(it.step_id, it.action, str(it.state or "")) for it in plan]


async def test_a_flat_workflow_is_undone_newest_first(world: World) -> None:
    """With what each action gave, and what the execution knows; each is recorded once."""
    await world.workflow(*flat())
    details = await world.run(value={"order": 4})
    assert details.execution.state is ExecutionState.FAILED
    assert world.provider.steps() == ["book", "pay", "ship", "undo/pay", "undo/book"]
    refund, unbook = (orjson.loads(it.input) for it in world.provider.calls[-2:])
    assert (refund["payment"], unbook["booking"], unbook["order"]) == ("p1", 40, 4)
    bodies = [event.body for event in await world.events(details.execution.id)]
    assert [(it.step_id, it.undo) for it in bodies if isinstance(it, StepCompleted)] == [
        ("book", "unbook"),
        ("pay", "refund"),
        ("undo/pay", ""),
        ("undo/book", ""),
    ]
    assert await undone(world, details.execution.id) == [
        ("pay", "refund", "COMPLETED"),
        ("book", "unbook", "COMPLETED"),
    ]
    await same_when_read(world, details)


async def test_one_that_completes_is_not_undone(world: World) -> None:
    """Though the plan says what would be."""
    world.provider.answers["ship"] = lambda _: {}
    await world.workflow(*flat())
    details = await world.run(value={"order": 4})
    assert details.execution.state is ExecutionState.COMPLETED
    assert world.provider.steps() == ["book", "pay", "ship"]
    assert await undone(world, details.execution.id) == [("pay", "refund", ""), ("book", "unbook", "")]


async def test_what_the_step_says_itself_comes_first(world: World) -> None:
    """Its ``compensate`` is run instead of what was registered."""
    await world.workflow(*flat(compensate=Compensation(action="other")))
    details = await world.run(value={"order": 4})
    assert [it.action for it in world.provider.calls[-2:]] == ["other", "unbook"]
    await same_when_read(world, details)


async def test_what_a_cancellation_finds_done_is_undone(world: World) -> None:
    """The step that runs is stopped, and was not done."""
    world.provider.hold = {"pay"}
    await world.workflow(*flat())
    execution = await world.start(value={"order": 4})
    await world.held("pay")
    await world.executions.cancel(execution.id, "enough")
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.CANCELLED
    assert world.provider.steps() == ["book", "pay", "undo/book"]
    assert [it.step_id for it in world.provider.cancelled] == ["pay"]
    await same_when_read(world, details)


async def test_what_was_told_later_is_undone_too_and_may_be_told_later_itself(world: World) -> None:
    """An action that answers with ``pending``, and the one that undoes it."""
    world.provider.later = {"pay", "refund"}
    await world.workflow(*flat())
    execution = await world.start(value={"order": 4})
    await told(world, execution.id, "pay", b'{"payment":"p2"}')
    await told(world, execution.id, "undo/pay", b"{}")
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.FAILED
    assert world.provider.steps() == ["book", "pay", "ship", "undo/pay", "undo/book"]
    assert orjson.loads(world.provider.calls[3].input)["payment"] == "p2"
    await same_when_read(world, details)


async def told(world: World, execution_id: str, path: str, output: bytes) -> None:
    """Tell an outcome, once the attempt was taken on."""

    async def accepted() -> bool:
        return (await world.kinds(execution_id))[-1] == "StepAccepted" and path in world.provider.steps()

    while not await accepted():
        pass
    await world.executions.reports.complete(AttemptToken(execution_id, path, 1), output)


async def test_undoing_goes_on_after_a_crash_as_it_was_recorded(world: World) -> None:
    """Also when the action is registered by now with nothing that undoes it."""
    world.provider.hold = {"unbook"}
    await world.workflow(*flat())
    execution = await world.start(value={"order": 4})
    await world.held("undo/book")
    world.provider.hold = set()
    await world.register(*(Action(name=name) for name in ("book", "pay", "ship", "unbook", "refund")))
    await world.restart()
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.FAILED
    assert world.provider.steps().count("undo/pay") == 1
    assert world.provider.steps().count("undo/book") == 2
    await same_when_read(world, details)


async def test_what_cannot_be_undone_is_an_incident(world: World) -> None:
    """After ten attempts; resolved, it goes on with the next."""
    world.provider.answers["refund"] = ActionFailedError("closed", reason="CLOSED")
    await world.workflow(*flat())
    execution = await world.start(value={"order": 4})
    while await world.state(execution.id) is not ExecutionState.INCIDENT:
        await world.clock.advance(600)
        await quiet(2)
    assert world.provider.steps().count("undo/pay") == 10
    await world.executions.order(execution.id, Resolve(execution_id="", resolution="FAIL"))
    details = await world.ended(execution.id)
    assert details.execution.failure is not None
    assert details.execution.failure.reason == "NO_VAN"
    assert await undone(world, execution.id) == [("pay", "refund", "FAILED"), ("book", "unbook", "COMPLETED")]
