"""What is noticed at once: the end of a child, whenever it comes, and the number of an iteration."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest

from tests.unit.execution.world import World, new_world
from weft.server.execution.history.model import ExecutionState
from weft.server.workflow.kinds import Child, Loop, SetVariables, Wait
from weft.server.workflow.model import Step


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with new_world() as made:
        yield made


@pytest.mark.parametrize("children", [1, 5])
async def test_a_child_that_ends_at_once_is_noticed_at_once(world: World, children: int) -> None:
    """Also when its parent is just being let go of: no clock has to turn."""
    await world.workflow(Step(id="s", does=SetVariables(values={"done": True})), name="kid")
    ids = [f"c{number}" for number in range(children)]
    steps = [
        Step(id=one, does=Child(name="kid"), next=following)
        for one, following in zip(ids, [*ids[1:], ""], strict=True)
    ]
    await world.workflow(*steps)
    details = await world.run()
    assert details.execution.state is ExecutionState.COMPLETED
    assert orjson.loads(details.result or b"") == {"done": True}


@pytest.mark.parametrize(("condition", "count"), [("iteration < 3", 3), ("iteration < 0", 0)])
async def test_while_is_asked_about_the_iteration_that_would_follow(
    world: World, condition: str, count: int
) -> None:
    """The first one is number 0, and may not come at all."""
    body = (Step(id="n", does=SetVariables(values={"n": "${iteration}"})),)
    await world.workflow(Step(id="l", does=Loop(while_=condition, steps=body)))
    details = await world.run()
    assert orjson.loads(details.result or b"")["iterations"] == count


async def test_until_is_asked_about_the_iteration_that_was(world: World) -> None:
    """So that 2 is the third one."""
    body = (Step(id="n", does=Wait(duration="0s")),)
    await world.workflow(Step(id="l", does=Loop(until="iteration == 2", steps=body)))
    details = await world.run()
    assert orjson.loads(details.result or b"")["iterations"] == 3
