"""The JSON Schema of workflow files says what the command takes, and is shipped as the tables are."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest

from tests.support.kinds import EVERYTHING
from tools.schema import text
from weft.cli._base.documents import documents_of
from weft.cli._files.format import formatted
from weft.cli._files.schema_file import SCHEMA_FILE

SCHEMA: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)


def document(content: str) -> dict[str, Any]:
    ((_, found),) = documents_of(content.encode(), "w.yaml")
    return found


def test_the_file_is_what_the_tables_say() -> None:
    """Whoever changes a table or a comment of the contract runs ``make proto``."""
    assert SCHEMA_FILE.read_text(encoding="utf-8") == text()


def test_everything_that_can_be_said_is_valid() -> None:
    """As it is written, and in the one form."""
    for content in (EVERYTHING, formatted(EVERYTHING.encode(), "w.yaml")):
        assert [str(error) for error in VALIDATOR.iter_errors(document(content))] == []


@pytest.mark.parametrize(
    "step",
    [
        "{id: a}",
        "{id: a, wait: {}, set: {}}",
        "{service: s, action: x}",
        "{id: a, service: s, action: x, nxt: b}",
        "{id: a, service: s, action: x, timeout: soon}",
        "{id: a, service: s, action: x, retry: {on_exhausted: PERHAPS}}",
        "{id: a, loop: {while: 'true'}}",
    ],
)
def test_an_editor_sees_what_is_wrong(step: str) -> None:
    """What the command refuses for its form, the schema refuses as well."""
    assert not VALIDATOR.is_valid(document(f"name: w\nsteps: [{step}]\n"))


def test_everything_is_explained() -> None:
    """Each member says what it is, in the words of the contract."""
    shapes = [SCHEMA, *SCHEMA["definitions"].values()]
    members = [member for shape in shapes for member in shape["properties"].values()]
    assert len(members) > 100
    assert all(member["description"] for member in members)
