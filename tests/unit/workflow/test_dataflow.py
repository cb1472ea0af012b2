"""The implicit data flow and the order of steps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.workflow.builders import schema, step
from weft.core.payload import JsonObject
from weft.core.schema import compile_schema
from weft.server.workflow.dataflow import implicit_input, walk
from weft.server.workflow.model import Definition

MERGED = {"text": "one", "lang": "en", "pages": 2, "label": None}


@pytest.mark.parametrize(
    ("takes", "expected"),
    [
        (schema(text="string", lang="string"), {"text": "one", "lang": "en"}),
        (schema("pages", pages="integer"), {"pages": 2}),
        (schema("label", label="null"), {"label": None}),
        (schema(other="string"), {}),
        (schema("pages", closed=True, pages="integer"), {"pages": 2}),
        ({"type": "object"}, MERGED),
        ({}, MERGED),
        ({"type": "object", "additionalProperties": False}, {}),
        ({"type": "object", "additionalProperties": True}, MERGED),
        ({"required": ["lang"], "properties": {"text": {}}}, {"text": "one", "lang": "en"}),
        ({"$ref": "#/$defs/In", "$defs": {"In": schema(lang="string")}}, {"lang": "en"}),
    ],
)
def test_an_action_is_given_what_its_schema_names(takes: JsonObject, expected: JsonObject) -> None:
    """A schema that names nothing, and refuses nothing, takes everything."""
    assert implicit_input(compile_schema(takes), MERGED) == expected


def test_what_is_given_is_the_actions_own() -> None:
    """What an action is given can be changed without changing what the next one is given."""
    known = dict(MERGED)
    given = implicit_input(compile_schema({}), known)
    given["text"] = "changed"
    assert known == MERGED


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ([], []),
        ([("a", "")], ["a"]),
        ([("a", "b"), ("b", "c"), ("c", "")], ["a", "b", "c"]),
        ([("a", "c"), ("b", ""), ("c", "b")], ["a", "c", "b"]),
        ([("a", "a")], ["a"]),
        ([("a", "b"), ("b", "a")], ["a", "b"]),
        ([("a", "nobody"), ("b", "")], ["a"]),
        ([("a", "b"), ("b", ""), ("b", "c"), ("c", "")], ["a", "b"]),
        ([("a", ""), ("b", "a")], ["a"]),
    ],
)
def test_steps_run_from_the_first_on(edges: list[tuple[str, str]], expected: list[str]) -> None:
    """The order is that of `next`, not that of the definition, and faults end it."""
    definition = Definition(steps=tuple(step(name, following=following) for name, following in edges))
    order: list[Any] = walk(definition)
    assert [each.id for each in order] == expected
