"""Definitions are checked against a saved registry as a server checks them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from tests.support.world import World
from weft.client import Client, ValidationError, connect
from weft.client.snapshot import definition_message, problems_of, read_snapshot, take_snapshot
from weft.core.payload import JsonObject
from weft.server.offline import validate

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

NAMED = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
AGED = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def call(service: str, action: str, step_id: str = "a", **rest: Any) -> JsonObject:
    return {"id": step_id, "service": service, "action": action, **rest}


def run(name: str, **rest: Any) -> JsonObject:
    return {"id": "run", "workflow": {"name": name, **rest}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def weft(world: World) -> AsyncIterator[Client]:
    async with connect(world.wire.address) as client:
        actions = [{"name": "greet", "input_schema": NAMED, "output_schema": AGED, "timeout": 90}]
        await client.registry.register("saved", actions=actions, version="1.2.0")
        newer = [{"name": "greet", "input_schema": AGED}]
        await client.registry.register("saved", actions=newer, version="2.0.0", replace=True)
        await client.registry.register("saved-old", actions=actions)
        await client.registry.set_state("saved-old", "DEPRECATED")
        await client.workflows.create("saved-child", steps=[call("saved", "greet")], input_schema=AGED)
        await client.workflows.update("saved-child", input_schema={**AGED, "additionalProperties": False})
        await client.workflows.set_alias("saved-child", "stable", 1)
        yield client


CASES: dict[str, Mapping[str, Any]] = {
    "fine": {"steps": [call("saved", "greet", service_version="^1", input={"name": "Ada"})]},
    "the newest version": {"steps": [call("saved", "greet", input={"name": "Ada"})]},
    "no such version": {"steps": [call("saved", "greet", service_version="^3")]},
    "deprecated": {"steps": [call("saved-old", "greet", input={"name": "Ada"})]},
    "no such service": {"steps": [call("savd", "greet")]},
    "a child": {"steps": [{**run("saved-child"), "input": {"age": "x", "more": 1}}]},
    "an alias": {"steps": [{**run("saved-child", alias="stable"), "input": {"age": 1, "more": 1}}]},
    "no such alias": {"steps": [run("saved-child", alias="stabel")]},
    "no such workflow": {"steps": [run("saved-chil")]},
    "itself": {"steps": [run("checked")]},
    "faults of the message": {"steps": [{"id": "a", "switch": {}}], "retention": 1},
}


@pytest.mark.parametrize("case", CASES)
async def test_the_answer_is_that_of_the_server(weft: Client, case: str) -> None:
    """Word for word: services in all their versions and states, workflows with their aliases."""
    values = CASES[case]
    snapshot = read_snapshot(json.loads(json.dumps(await take_snapshot(weft))))
    (answer,) = await _offline([definition_message("checked", values)], snapshot)
    found = problems_of(answer)
    assert found == await weft.workflows.validate("checked", **values)
    assert bool(found) is (case not in {"fine", "an alias"})
    assert answer.valid is all(it.severity == "WARNING" for it in found)


async def _offline(definitions: list[Any], snapshot: Any) -> Any:
    import asyncio  # noqa: PLC0415 - it has an event loop of its own, so it needs a thread here

    return await asyncio.to_thread(validate, definitions, snapshot.services, snapshot.workflows)


async def test_definitions_that_are_checked_together_know_each_other() -> None:
    """As if all of them were stored: a new child, and a new version of one that is there."""
    old = {"name": "child", "version": 3, "steps": [call("s", "a")], "input_schema": NAMED}
    snapshot = read_snapshot(
        {"weft_registry": 1, "services": [{"name": "s", "actions": [{"name": "a"}]}], "workflows": [old]}
    )
    child = definition_message("child", {"steps": [call("s", "a")], "input_schema": AGED})
    parent = definition_message("parent", {"steps": [run("child")], "input_schema": AGED})
    other = definition_message("other", {"steps": [run("parent", version=1)], "input_schema": AGED})
    answers = await _offline([parent, child, other], snapshot)
    assert [problems_of(answer) for answer in answers] == [(), (), ()]
    (alone,) = await _offline([parent], snapshot)
    assert [it.code for it in problems_of(alone)] == ["INPUT_MISSING"]


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ([], [""]),
        ({}, [""]),
        ({"weft_registry": 2}, [""]),
        ({"weft_registry": 1, "services": {}}, ["services"]),
        ({"weft_registry": 1, "services": [5]}, ["services[0]"]),
        (
            {"weft_registry": 1, "services": [{"name": 5}], "workflows": [{"name": "a", "steps": 5}]},
            ["services[0].name", "workflows[0].steps"],
        ),
        (
            {"weft_registry": 1, "services": [{"name": "a", "state": "GONE", "actions": [{"nam": "x"}]}]},
            ["services[0].actions[0].nam", "services[0].state"],
        ),
    ],
)
async def test_what_is_no_saved_registry(document: object, fields: list[str]) -> None:
    """Every fault has its path."""
    with pytest.raises(ValidationError) as caught:
        read_snapshot(document)
    assert sorted(it.field for it in caught.value.violations) == fields
