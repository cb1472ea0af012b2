"""Executions as their readers see them."""

from __future__ import annotations

import pytest

from tests.unit.execution.world import SERVICE, new_world
from weft.core.payload import JsonObject
from weft.server.execution.wire.convert import execution_to_proto
from weft.server.registry.model import Action
from weft.server.workflow.model import Concurrency, Step


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("", {}, ""),
        ("all", {}, "all"),
        ("${input.customer}", {"customer": "ada/b"}, "ada/b"),
        ("${input.customer}-${input.n}", {"customer": 'a"b', "n": 1}, 'a"b-1'),
        ("${input.n}", {"n": 7}, "7"),
        ("${input.customer}", {"customer": "x" * 5_000}, '"' + "x" * 100),
    ],
)
async def test_the_concurrency_key_is_shown_as_its_expressions_made_it(
    key: str, value: JsonObject, shown: str
) -> None:
    """Not as it is stored; of one that is too long to be stored, its beginning."""
    async with new_world() as world:
        await world.register(Action(name="a"))
        await world.workflow(
            Step(id="a", service=SERVICE, action="a"), concurrency=Concurrency(limit=1, key=key)
        )
        execution = await world.start(value=value)
        assert execution_to_proto(execution).concurrency_key.startswith(shown)
        if len(shown) < 100:
            assert execution_to_proto(execution).concurrency_key == shown
