"""Where a rerun can begin: what is refused has a reason of its own, and says what can be asked instead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.execution.language import call, language_world
from tests.unit.execution.world import World
from weft.core.errors import ValidationError
from weft.core.reasons import Rule
from weft.server.execution.history.model import ExecutionState
from weft.server.execution.starting.start_commands import RerunCommand
from weft.server.workflow.kinds import Branch, Case, Child, Map, Parallel, Switch
from weft.server.workflow.model import Compensation, Step

UNDO = Compensation(action="undo")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with language_world() as world:
        yield world


async def _ended(world: World) -> str:
    """Run something of every kind that has steps inside; it fails at its last step, and undoes the first."""
    await world.workflow(call("inner"), name="part")
    await world.workflow(
        call("first", compensate=UNDO, next="fan"),
        Step(
            id="fan",
            does=Parallel(
                branches=(
                    Branch(name="left", steps=(call("pay"),)),
                    Branch(
                        name="right", steps=(Step(id="each", does=Map(items=[1, 2], steps=(call("pack"),))),)
                    ),
                )
            ),
            next="all",
        ),
        Step(
            id="all",
            does=Map(items=[{}], workflow=Child(name="part")),
            next="way",
        ),
        Step(id="way", does=Switch(cases=(Case(when="false", next="other"),), default="last")),
        call("other", next="last"),
        call("last", "bad"),
        finally_steps=(call("close"),),
    )
    execution = (await world.run()).execution
    assert execution.state is ExecutionState.FAILED
    return execution.id


ALL = "first, fan, all, way, other, last"
INSIDE = {
    "pay": ("'pay' is inside of 'fan', which runs again as a whole: begin with 'fan'"),
    "fan[0]/pay": ("'fan[0]/pay' is inside of 'fan', which runs again as a whole: begin with 'fan'"),
    "each": ("'each' is inside of 'fan', which runs again as a whole: begin with 'fan'"),
    "fan[1]/each[0]/pack": (
        "'fan[1]/each[0]/pack' is inside of 'fan', which runs again as a whole: begin with 'fan'"
    ),
    "all[0]/all.run": "'all[0]/all.run' is inside of 'all', which runs again as a whole: begin with 'all'",
    "close": f"'close' runs at the end of every execution; a rerun begins with one of {ALL}",
    "finally/close": f"'finally/close' runs at the end of every execution; a rerun begins with one of {ALL}",
    "undo/first": "'undo/first' undid 'first': begin with 'first'",
    "undo/fan[0]/pay": "'undo/fan[0]/pay' undid 'fan[0]/pay': begin with 'fan'",
}


@pytest.mark.parametrize("from_step", INSIDE)
async def test_a_step_inside_of_another_one_is_no_start(world: World, from_step: str) -> None:
    """Whether it is named by its id or by its path, as histories show it; the one to name instead is told."""
    ended = await _ended(world)
    assert await _refusal(world, ended, from_step) == (Rule.STEP_NOT_A_START, INSIDE[from_step])


@pytest.mark.parametrize("from_step", ["whisper", "inner", "fan[0]/whisper", "fan[0]/last", "finally/first"])
async def test_a_step_that_there_is_not_is_unknown(world: World, from_step: str) -> None:
    """Also one of a child, which is an execution of its own. Those that there are, are listed."""
    ended = await _ended(world)
    text = f"the workflow has no step {from_step!r}; a rerun begins with one of {ALL}"
    assert await _refusal(world, ended, from_step) == (Rule.STEP_UNKNOWN, text)


async def test_a_step_whose_past_is_not_there_is_no_start(world: World) -> None:
    """As it was undone, or as another way was taken."""
    ended = await _ended(world)
    undone = "step 'first', which comes before 'fan', was undone: begin with 'first'"
    assert await _refusal(world, ended, "fan") == (Rule.STEP_NOT_A_START, undone)
    again = await world.executions.rerun(_command(ended, ""))
    assert again.origin.from_step == "first"


async def test_a_step_of_another_way_is_no_start(world: World) -> None:
    """The way that was taken is told."""
    await world.workflow(
        call("one", next="way"),
        Step(id="way", does=Switch(cases=(Case(when="false", next="other"),), default="last")),
        call("other", next="last"),
        call("last"),
    )
    ended = (await world.run()).execution.id
    text = "'other' was not on the way that was taken; a rerun begins with one of one, way, last"
    assert await _refusal(world, ended, "other") == (Rule.STEP_NOT_A_START, text)


async def _refusal(world: World, ended: str, from_step: str) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        await world.executions.rerun(_command(ended, from_step))
    (violation,) = caught.value.violations
    assert violation.field == "from_step"
    return str(violation.reason), violation.description


def _command(execution: str, from_step: str) -> RerunCommand:
    return RerunCommand(execution=execution, from_step=from_step, version=0, text=None, key=None)
