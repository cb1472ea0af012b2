"""Runs imported examples by the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import orjson

from tests.unit.execution.world import SERVICE, World, quiet
from tests.unit.importing.examples import HERE, golden
from tests.unit.importing.test_valid import definition_of
from weft.cli._files.definitions import read_workflows
from weft.core.errors import WeftError
from weft.core.payload import JsonObject
from weft.server.execution.history.model import ExecutionState
from weft.server.execution.history.run import ExecutionDetails
from weft.server.registry.model import Action
from weft.server.workflow.kinds import Kind, Loop, Map, Parallel
from weft.server.workflow.model import Definition, Step, Workflow

Answer = Callable[[JsonObject], JsonObject]


async def import_example(world: World, file: str) -> str:
    """Create the workflows of an example, children first; return the name of the one it is about."""
    found = read_workflows([str(golden(HERE / file))])
    definitions = {written.name: _at_one_service(definition_of(written)) for written in reversed(found)}
    called = {step.action for it in definitions.values() for step in it.every_step() if step.service}
    await world.register(*(Action(name=name) for name in sorted(called)))
    now = world.clock.now()
    for name, definition in definitions.items():
        draft = Workflow(
            id="",
            name=name,
            definition=definition,
            create_time=now,
            update_time=now,
            version_create_time=now,
        )
        await world.workflows.create(draft, None)
    return found[0].name


def _at_one_service(definition: Definition) -> Definition:
    """Let one service answer for all: its actions are called as theirs, such as ``shop.price``."""
    return replace(definition, steps=tuple(_moved(step) for step in definition.steps))


def _moved(step: Step) -> Step:
    if step.service:
        return replace(step, service=SERVICE, action=f"{step.service}.{step.action}")
    does: Kind | None = step.does
    match does:
        case Parallel(branches=branches):
            moved = tuple(replace(it, steps=tuple(map(_moved, it.steps))) for it in branches)
            return replace(step, does=replace(does, branches=moved))
        case Map(steps=steps) | Loop(steps=steps):
            return replace(step, does=replace(does, steps=tuple(map(_moved, steps))))
        case _:
            return step


async def run(
    world: World, file: str, value: JsonObject, answers: dict[str, Answer | WeftError]
) -> ExecutionDetails:
    """Run an example to its end; time goes on as fast as it can."""
    name = await import_example(world, file)
    world.provider.answers.update(answers)
    execution = await world.start(name, value)
    async with asyncio.timeout(20):
        while not (await world.state(execution.id)).final:
            await quiet(3)
            await world.clock.advance(60)
    return await world.ended(execution.id)


async def result(
    world: World, file: str, value: JsonObject, answers: dict[str, Answer | WeftError] | None = None
) -> JsonObject:
    details = await run(world, file, value, answers or {})
    assert details.execution.state is ExecutionState.COMPLETED, details.execution.failure
    assert details.result is not None
    found: JsonObject = orjson.loads(details.result)
    return found


async def reason(
    world: World, file: str, value: JsonObject, answers: dict[str, Answer | WeftError] | None = None
) -> tuple[str, str]:
    details = await run(world, file, value, answers or {})
    failure = details.execution.failure
    assert failure is not None
    return failure.reason, failure.message


def one_after_the_other(*values: JsonObject) -> Answer:
    following: Iterator[JsonObject] = iter(values)
    return lambda _: next(following)


def inputs(world: World, action: str) -> list[JsonObject]:
    return [orjson.loads(call.input) for call in world.provider.calls if call.action == action]
