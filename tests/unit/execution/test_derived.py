"""What a workflow says of its executions and steps: search attributes, retention, defaults."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.execution.world import SERVICE, World, new_world
from weft.core.context import CallContext
from weft.core.errors import ValidationError
from weft.core.reasons import Rule
from weft.server.execution.history.model import Execution
from weft.server.registry.model import Action
from weft.server.workflow.defaults import with_defaults
from weft.server.workflow.kinds import Wait
from weft.server.workflow.model import RetryPolicy, Step, StepDefaults

ATTRIBUTES = {
    "customer": "${input.customer}",
    "total": "${double(input.total)}",
    "vip": "${input.total > 100}",
    "project": "of ${context.project_id}",
    "note": "${has(input.note) ? input.note : null}",
}


async def found_by(world: World, value: dict[str, Any], **more: Any) -> Execution:
    await world.register(Action(name="a"))
    await world.workflow(Step(id="a", service=SERVICE, action="a"), search_attributes=ATTRIBUTES)
    return await world.start(value=value, context=CallContext(project_id="p-1"), **more)


async def test_a_workflow_makes_its_executions_findable() -> None:
    """By what their input and context say; an expression that gives null adds nothing."""
    async with new_world() as world:
        made = await found_by(world, {"customer": "acme", "total": 250})
        assert made.attributes == {"customer": "acme", "total": 250.0, "vip": True, "project": "of p-1"}
        stored = await world.store.get_execution(made.id)
        assert stored is not None
        assert stored.attributes == made.attributes


async def test_what_the_starter_gives_wins() -> None:
    """Its expression is not even looked at."""
    async with new_world() as world:
        given = {"customer": "other", "mine": True}
        made = await found_by(world, {"total": 1}, attributes=given)
        assert made.attributes == {**given, "total": 1.0, "vip": False, "project": "of p-1"}


async def test_a_start_is_refused_when_they_cannot_be_worked_out() -> None:
    """Every expression that fails, or gives something else, is named with its place; nothing is stored."""
    async with new_world() as world:
        with pytest.raises(ValidationError) as refused:
            await found_by(world, {"customer": ["a"], "total": "none", "note": "x" * 3_000})
        faults = {fault.field: fault.reason for fault in refused.value.violations}
        where = "workflow.search_attributes"
        assert faults == {
            f"{where}.customer": Rule.TYPE_MISMATCH,
            f"{where}.total": Rule.INVALID,
            f"{where}.vip": Rule.INVALID,
        }
        (large, *_) = [it for it in refused.value.violations if it.field.endswith(".vip")]
        assert large.description.startswith("'input.total > 100': No such overload")
        with pytest.raises(ValidationError) as refused:
            await world.start(value={"customer": "a", "total": 1, "note": "x" * 3_000})
        assert [fault.field for fault in refused.value.violations] == [f"{where}.note"]
        assert len(world.engine._room) == 0


async def test_how_long_it_is_kept_is_settled_at_the_start() -> None:
    """By the version that runs; a later version changes nothing of it."""
    async with new_world() as world:
        flow = await world.chain("a", retention=timedelta(days=3))
        made = await world.start()
        assert made.retention == timedelta(days=3)
        await world.ended(made.id)
        stored = await world.store.get_execution(made.id)
        assert stored is not None
        assert stored.retention == timedelta(days=3)
        assert flow.definition.retention == timedelta(days=3)


def test_a_step_has_the_defaults_where_it_says_nothing() -> None:
    """Only one that calls an action; what it says itself stays."""
    retry, own = RetryPolicy(max_attempts=7), RetryPolicy(max_attempts=1)
    seconds = [timedelta(seconds=number) for number in (1, 2, 3)]
    defaults = StepDefaults(
        retry=retry, timeout=seconds[0], heartbeat_timeout=seconds[1], schedule_to_close_timeout=seconds[2]
    )
    bare = with_defaults(Step(id="a", service="s", action="b"), defaults)
    assert (bare.retry, bare.timeout) == (retry, seconds[0])
    assert (bare.heartbeat_timeout, bare.schedule_to_close_timeout) == tuple(seconds[1:])
    said = Step(
        id="a",
        retry=own,
        timeout=seconds[2],
        heartbeat_timeout=seconds[2],
        schedule_to_close_timeout=seconds[0],
    )
    assert with_defaults(said, defaults) == said
    wait = Step(id="w", does=Wait(duration="1h"))
    assert with_defaults(wait, defaults) is wait
    assert with_defaults(bare, None) is bare
