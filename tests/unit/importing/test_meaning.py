"""Any machine does in Weft what its language says."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import orjson
import pytest

from tests.unit.execution.world import SERVICE, World, new_world, quiet
from tests.unit.importing.machines import FailsError, TooLongError, machine, play
from tests.unit.importing.test_valid import definition_of
from weft.cli._definitions import Definition as Written
from weft.cli._workflow_shape import WORKFLOW
from weft.cli.importing.asl import import_asl
from weft.core.errors import ActionFailedError, ValidationError
from weft.core.payload import JsonObject
from weft.server.execution.model import ExecutionState
from weft.server.registry.model import Action
from weft.server.workflow.model import Workflow

MACHINES = int(os.environ.get("MACHINES", "8"))
INPUT: JsonObject = {"a": {"k": 1, "x": "in"}, "k": 5}


class Answers:
    """What functions answer: always the same for the same calls in the same order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __call__(self, name: str, value: Any) -> Any:
        self.calls.append((name, value))
        count = len(self.calls)
        if count % 5 == 4:
            raise FailsError("BROKEN")
        return {"a": {"x": name, "k": count}, "k": count * 2, "own": count}


@pytest.mark.parametrize("seed", range(4))
async def test_what_the_language_says_is_what_weft_does(seed: int) -> None:
    """The same calls with the same inputs in the same order, and the same result."""
    chance = random.Random(seed)
    compared = number = 0
    async with new_world() as world:
        await world.register(*(Action(name=f"S{number}") for number in range(8)))
        while compared < MACHINES:
            number += 1
            compared += await _compared(world, f"m-{seed}-{number}", machine(chance))


async def _compared(world: World, name: str, document: dict[str, Any]) -> bool:
    """Tell whether there was something to compare: a machine that ends, and has a counterpart."""
    expected = Answers()
    try:
        wanted = play(document, INPUT, expected)
    except (FailsError, TooLongError):
        return False
    mapping = {f"*:S{number}": {"service": SERVICE, "action": f"S{number}"} for number in range(8)}
    imported = import_asl(document, name, mapping)
    if any(note.lost for note in imported.notes):
        return False
    (made,) = imported.definitions
    values = {key: value for key, value in WORKFLOW.read(made, "").items() if key != "name"}
    definition = definition_of(Written(source="", label="", name=name, values=values))
    now = world.clock.now()
    draft = Workflow(
        id="", name=name, definition=definition, create_time=now, update_time=now, version_create_time=now
    )  # fmt: skip
    try:
        await world.workflows.create(draft, None)
    except ValidationError as error:
        if {fault.reason for fault in error.violations} <= {"INPUT_UNKNOWN", "INPUT_MISSING"}:
            return False  # somewhere it always fails, as the source does: no way there has that member
        raise
    actual = await _ran(world, name)
    assert actual == (wanted, expected.calls), orjson.dumps(document).decode()
    return True


async def _ran(world: World, name: str) -> tuple[Any, list[tuple[str, Any]]]:
    answers = Answers()

    def answer(action: str) -> Any:
        def told(value: JsonObject) -> JsonObject:
            try:
                found: JsonObject = answers(action, value)
            except FailsError as error:
                raise ActionFailedError(str(error), reason=str(error)) from None
            return found

        return told

    world.provider.answers.update({f"S{number}": answer(f"S{number}") for number in range(8)})
    execution = await world.start(name, INPUT)
    async with asyncio.timeout(20):
        while not (await world.state(execution.id)).final:
            await quiet(2)
            await world.clock.advance(60)
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.COMPLETED, details.execution.failure
    assert details.result is not None
    return orjson.loads(details.result), answers.calls
