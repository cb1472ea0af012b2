"""Workflows of the whole language in a ``World``: how they are written, run and looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from tests.unit.execution.world import SERVICE, World, new_world
from weft.core.errors import ActionFailedError
from weft.core.payload import JsonObject
from weft.server.admin.histories import history_findings
from weft.server.execution.history.model import Execution, ExecutionState
from weft.server.execution.history.run import ExecutionDetails, Run
from weft.server.registry.model import Action
from weft.server.store.execution_codec import encode_execution
from weft.server.store.seal import seal_event
from weft.server.workflow.model import Step


@asynccontextmanager
async def language_world() -> AsyncIterator[World]:
    """Run a world with actions that answer, one that undoes, and ``bad``, which fails with SOLD_OUT."""
    async with new_world() as made:
        await made.register(*(Action(name=name) for name in ("a", "b", "c", "undo", "bad")))
        made.provider.answers["bad"] = ActionFailedError("no", reason="SOLD_OUT")
        yield made


def call(step_id: str, action: str = "a", **more: Any) -> Step:
    return Step(id=step_id, service=SERVICE, action=action, **more)


def result(details: ExecutionDetails) -> JsonObject:
    assert details.execution.state is ExecutionState.COMPLETED, details.execution.failure
    assert details.result is not None
    value: JsonObject = orjson.loads(details.result)
    return value


async def outcome(
    world: World, *steps: Step, value: JsonObject | None = None, **definition: Any
) -> JsonObject:
    await world.workflow(*steps, **definition)
    details = await world.run(value=value)
    await world.check(details.execution.id)
    await same_when_read(world, details)
    return result(details)


async def same_when_read(world: World, details: ExecutionDetails) -> None:
    """What memory held is what the history adds up to."""
    read = await world.executions.get(details.execution.id, payloads=True)
    assert read == details
    execution = details.execution
    plan = await world.executions.find_plan(execution.workflow_id, execution.workflow_version)
    events = await world.events(execution.id)
    assert Run(execution, plan, events).details() == details
    await is_sound(world, execution)


async def is_sound(world: World, execution: Execution) -> None:
    """``weft admin verify`` finds nothing."""
    events = await world.events(execution.id)
    rows = [(execution.id, *seal_event(execution.id, event)) for event in events]
    assert not list(history_findings(execution.id, encode_execution(execution), rows, []))
