from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from weft.api.registry.v1 import registry_pb2
from weft.client._writing import enums
from weft.client._writing import fields as write
from weft.client.records import Action
from weft.core.context import CallContext
from weft.core.errors import ValidationError
from weft.core.payload import from_struct


def fields_at_fault(values: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        write.build(registry_pb2.Service, write.SERVICE, values)
    return [violation.field for violation in caught.value.violations]


def test_all_faults_are_found_at_once() -> None:
    """Wrong types, unknown keys and values that JSON cannot say, with their paths."""
    actions = [
        {"name": 1, "idempotent": "yes", "input_schema": {"x": object()}},
        Action(name="ok"),
        {"timeout": float("nan"), "extra": 1},
    ]
    assert fields_at_fault({"name": None, "actions": actions, "metadata": [], 5: "?"}) == [  # type: ignore[dict-item]  # wrong on purpose
        "actions[0].name",
        "actions[0].idempotent",
        "actions[0].input_schema",
        "actions[2].timeout",
        "actions[2].extra",
        "metadata",
        "5",
    ]


@pytest.mark.parametrize("value", ["text", b"bytes", {"a": 1}, 5])
def test_a_list_must_be_one(value: object) -> None:
    """Text is no list of letters."""
    assert fields_at_fault({"actions": value}) == ["actions"]


@pytest.mark.parametrize("value", [True, "5s", float("inf"), 1e300])
def test_durations_are_finite_numbers_of_seconds(value: object) -> None:
    """Anything else is a fault, not an exception of the library beneath."""
    assert fields_at_fault({"actions": [{"timeout": value}]}) == ["actions[0].timeout"]


def test_durations_are_taken_in_both_forms() -> None:
    """A file says seconds, a program says a timedelta."""
    for value in (2.5, timedelta(seconds=2.5)):
        assert write.span(value, "timeout").ToTimedelta() == timedelta(seconds=2.5)


def test_metadata_is_json() -> None:
    """Tuples are arrays, as JSON has no others; what is no JSON is refused."""
    assert from_struct(write.struct({"a": (1, 2)}, "metadata")) == {"a": [1, 2]}
    with pytest.raises(ValidationError, match="metadata"):
        write.struct({"a": {1}}, "metadata")


def test_metadata_of_an_instance_is_text() -> None:
    """Each key at fault is named."""
    with pytest.raises(ValidationError) as caught:
        write.texts({"a": "x", "b": 1, "c": None}, "metadata")
    assert [violation.field for violation in caught.value.violations] == ["metadata.b", "metadata.c"]


def test_a_context_is_taken_in_both_forms() -> None:
    """Known keys have their fields, all others are values."""
    given = {"project_id": "p", "request_id": "r", "tenant": "x"}
    assert write.call_context(given) == CallContext(project_id="p", request_id="r", values={"tenant": "x"})
    ready = CallContext(project_id="p")
    assert write.call_context(ready) is ready
    assert write.call_context(None) == CallContext()
    assert given == {"project_id": "p", "request_id": "r", "tenant": "x"}, "the caller's own is left alone"


@pytest.mark.parametrize(
    "names",
    [
        enums.SERVICE_STATE,
        enums.PROTOCOL,
        enums.HEALTH_STATE,
        enums.HEALTH_STATUS,
        enums.WORKFLOW_STATE,
        enums.SEVERITY,
        enums.EXECUTION_STATE,
        enums.STEP_STATE,
    ],
)
def test_names_lead_there_and_back(names: enums.EnumNames[Any]) -> None:
    """Every value but the unset one has a short name, in any case; the unset one is empty."""
    assert len(names._numbers) >= 2
    for name, number in names._numbers.items():
        assert "_STATE_" not in name
        assert "UNSPECIFIED" not in name
        assert names.number(name.lower(), "state") == number
        assert names.name(number) == name
    assert names.optional("", "state") == names.optional(None, "state") == 0
    assert names.name(0) == ""
