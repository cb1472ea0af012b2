"""A service is registered again with other schemas: what that breaks, and that it can be refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from tests.support.world import World
from weft.client import Client, PreconditionError, connect
from weft.core.reasons import Reason, Rule

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

NAMED = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
AGED = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
OPEN = {"type": "object", "properties": {"name": {"type": "string"}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def weft(world: World) -> AsyncIterator[Client]:
    async with connect(world.wire.address) as client:
        yield client


def action(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": "greet", "input_schema": schema}


async def registered(weft: Client, service: str, workflow: str) -> None:
    """Register a service, and a workflow that gives it what it takes."""
    await weft.registry.register(service, actions=[action(NAMED)])
    await weft.workflows.create(
        workflow, steps=[{"id": "greet", "service": service, "action": "greet"}], input_schema=NAMED
    )


async def test_the_answer_names_what_is_broken(weft: Client) -> None:
    """Each workflow in its newest version, with what is wrong now, and how many executions are open."""
    await registered(weft, "broken-a", "breaks-a")
    running = await weft.executions.start("breaks-a", {"name": "Ada"})
    answer = await weft.registry.register("broken-a", actions=[action(AGED)], replace=True)
    (broken,) = answer.broken
    assert (broken.workflow, broken.version, broken.latest) == ("breaks-a", 1, True)
    assert broken.open_executions == 1
    assert [(it.path, it.code) for it in broken.problems] == [("steps[0]", Rule.INPUT_MISSING)]
    assert "broken" in answer.to_dict()
    again = await weft.registry.register("broken-a", actions=[action(AGED)], replace=True)
    assert again.broken == ()  # it is broken already
    await weft.executions.cancel(running.id)


async def test_a_change_that_breaks_can_be_refused(weft: Client) -> None:
    """Then nothing is changed, and the error names workflows and counts executions."""
    await registered(weft, "broken-b", "breaks-b")
    with pytest.raises(PreconditionError) as caught:
        await weft.registry.register("broken-b", actions=[action(AGED)], replace=True, reject_breaking=True)
    assert caught.value.reason == Reason.SCHEMA_BREAKS_WORKFLOWS
    assert caught.value.metadata["workflows"] == "breaks-b@1"
    assert caught.value.metadata["open_executions"] == "0"
    with pytest.raises(PreconditionError, match="breaks-b@1"):
        await weft.registry.update("broken-b", actions=[action(AGED)], reject_breaking=True)
    with pytest.raises(PreconditionError, match="breaks-b@1"):
        await weft.registry.update("broken-b", name="broken-bb", reject_breaking=True)
    found = await weft.registry.get("broken-b")
    assert (found.revision, found.actions[0].input_schema) == (1, NAMED)


async def test_a_change_that_breaks_nothing_is_made(weft: Client) -> None:
    """A wider schema, another service, or a second API version beside the first."""
    await registered(weft, "broken-c", "breaks-c")
    wider = await weft.registry.register(
        "broken-c", actions=[action(OPEN)], replace=True, reject_breaking=True
    )
    assert (wider.revision, wider.broken) == (2, ())
    updated = await weft.registry.update("broken-c", actions=[action(NAMED)], reject_breaking=True)
    assert (updated.revision, updated.broken) == (3, ())


async def test_only_what_runs_or_can_be_started_counts(weft: Client) -> None:
    """An older version counts as long as one of its executions is open; an inactive workflow does not."""
    await registered(weft, "broken-d", "breaks-d")
    running = await weft.executions.start("breaks-d", {"name": "Ada"})
    await weft.workflows.update(
        "breaks-d", steps=[{"id": "greet", "service": "texts", "action": "count"}], input_schema={}
    )
    with pytest.raises(PreconditionError, match="breaks-d@1"):
        await weft.registry.update("broken-d", actions=[action(AGED)], reject_breaking=True)
    await weft.executions.cancel(running.id)
    await weft.registry.update("broken-d", actions=[action(AGED)], reject_breaking=True)

    await registered(weft, "broken-e", "breaks-e")
    await weft.workflows.set_state("breaks-e", "INACTIVE")
    await weft.registry.update("broken-e", actions=[action(AGED)], reject_breaking=True)


async def test_what_was_wrong_before_is_no_reason(weft: Client) -> None:
    """Only new errors count."""
    await registered(weft, "broken-f", "breaks-f")
    await weft.registry.update("broken-f", actions=[action(AGED)])
    other = {**AGED, "title": "another"}
    changed = await weft.registry.update("broken-f", actions=[action(other)], reject_breaking=True)
    assert changed.broken == ()
