"""Whatever is imported does in Weft what its language says."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import orjson
import pytest

from tests.unit.execution.world import SERVICE, World, new_world, quiet
from tests.unit.importing.machines import FailsError, TooLongError, machine, play
from tests.unit.importing.tasklists import Player, workflow
from tests.unit.importing.test_valid import definition_of
from weft.cli._files.definitions import Definition as Written
from weft.cli._files.workflow_shape import WORKFLOW
from weft.cli.importing.asl import import_asl
from weft.cli.importing.cncf import import_cncf
from weft.cli.importing.notes import Imported
from weft.core.errors import ActionFailedError, ValidationError
from weft.core.payload import JsonObject
from weft.server.execution.history.model import ExecutionState
from weft.server.registry.model import Action
from weft.server.workflow.model import Workflow

CASES = 8
"""Of each seed."""
INPUT: JsonObject = {"a": {"k": 1, "x": "in"}, "k": 5}


class Answers:
    """What functions answer: always the same for the same calls in the same order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __call__(self, name: str, value: Any) -> Any:
        self.calls.append((name, value))
        count = len(self.calls)
        if count % 3 == 2:
            raise FailsError(f"BROKEN_{count}")
        return {"a": {"x": name, "k": count}, "k": count * 2, "own": count}


class SteadyAnswers(Answers):
    """What functions answer when some run at the same time: always the same for the same input."""

    def __call__(self, name: str, value: Any) -> Any:
        self.calls.append((name, value))
        if value["k"] % 5 == 4:
            raise FailsError(f"BROKEN_{value['k']}")
        return {"a": name, "k": value["k"] + 2}


@pytest.mark.parametrize("seed", range(4))
async def test_machines_do_what_the_states_language_says(seed: int) -> None:
    """The same calls with the same inputs in the same order, and the same result."""
    chance = random.Random(seed)
    names = [f"S{number}" for number in range(8)]
    mapping = {f"*:{name}": {"service": SERVICE, "action": name} for name in names}
    compared = number = 0
    async with new_world() as world:
        await world.register(*(Action(name=name) for name in names))
        while compared < CASES:
            number += 1
            document, answers = machine(chance), Answers()
            try:
                wanted = play(document, INPUT, answers)
            except (FailsError, TooLongError):
                continue
            made = import_asl(document, f"m-{number}", mapping)
            actual = await _outcome(world, made, names, Answers())
            assert actual in (None, (wanted, answers.calls)), orjson.dumps(document).decode()
            compared += actual is not None


@pytest.mark.parametrize("seed", range(4))
async def test_tasks_do_what_serverless_workflow_says(seed: int) -> None:
    """The same calls with the same inputs, and the same result; some run at the same time."""
    chance = random.Random(seed)
    names = [f"T{number}" for number in range(60)]
    mapping = {name: {"service": SERVICE, "action": name} for name in names}
    compared = number = 0
    async with new_world() as world:
        await world.register(*(Action(name=name) for name in names))
        while compared < CASES:
            number += 1
            document, answers = workflow(chance), SteadyAnswers()
            try:
                wanted = Player(answers).play(document, INPUT)
            except (FailsError, TooLongError):
                continue
            made = import_cncf(document, f"m-{number}", mapping)
            actual = await _outcome(world, made, names, SteadyAnswers())
            text = orjson.dumps(document).decode()
            if actual is not None:
                assert actual[0] == wanted, text
                assert b"fork" in text.encode() or actual[1] == answers.calls, text
                compared += 1


async def _outcome(
    world: World, imported: Imported, names: list[str], answers: Answers
) -> tuple[Any, list[tuple[str, Any]]] | None:
    """Run what was imported; None: it has no counterpart, or always fails somewhere."""
    if any(note.lost for note in imported.notes):
        return None
    (made,) = imported.definitions
    values = {key: value for key, value in WORKFLOW.read(made, "").items() if key != "name"}
    definition = definition_of(Written(source="", label="", name=made["name"], values=values))
    now = world.clock.now()
    draft = Workflow(
        id="",
        name=made["name"],
        definition=definition,
        create_time=now,
        update_time=now,
        version_create_time=now,
    )
    try:
        await world.workflows.create(draft, None)
    except ValidationError as error:
        if {fault.reason for fault in error.violations} <= {"INPUT_UNKNOWN", "INPUT_MISSING"}:
            return None  # somewhere it always fails, as the source does: no way there has that member
        raise
    return await _ran(world, made["name"], names, answers)


async def _ran(
    world: World, name: str, names: list[str], answers: Answers
) -> tuple[Any, list[tuple[str, Any]]]:
    def answer(action: str) -> Any:
        def told(value: JsonObject) -> JsonObject:
            try:
                found: JsonObject = answers(action, value)
            except FailsError as error:
                raise ActionFailedError(str(error), reason=str(error)) from None
            return found

        return told

    world.provider.answers.update({action: answer(action) for action in names})
    execution = await world.start(name, INPUT)
    async with asyncio.timeout(20):
        while not (await world.state(execution.id)).final:
            await quiet(2)
            await world.clock.advance(60)
    details = await world.ended(execution.id)
    assert details.execution.state is ExecutionState.COMPLETED, details.execution.failure
    assert details.result is not None
    return orjson.loads(details.result), answers.calls
