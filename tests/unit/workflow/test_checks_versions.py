"""The range of versions of a step: whether it can be read, whether it can be met, and whose schemas hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.workflow.builders import NOW, action, brief, found, schema, service, services, step
from weft.core.reasons import Rule
from weft.server.registry.model import Service, ServiceVersion
from weft.server.workflow.checks.checks import find_problems
from weft.server.workflow.model import Definition


def two_versions() -> Service:
    """A service whose action ``get`` takes ``id`` in version 1 and ``key`` in version 2."""
    old = ServiceVersion(
        version="1.4.2", actions=(action("get", schema("id", id="string")), action("old")), update_time=NOW
    )
    new = service("s", action("get", schema("key", key="string")), action("new"))
    return replace(new, version="2.0.0", other_versions=(old,))


KNOWN = services(two_versions())


@pytest.mark.parametrize("text", ["latest", "^", ">=1.x,", "1.2 - 2"])
def test_a_range_that_cannot_be_read(text: str) -> None:
    """It is told where it stands, and nothing else is made of it."""
    assert found(KNOWN, step("a", "get", service_version=text)) == [
        ("steps[0].service_version", Rule.VERSION_INVALID)
    ]


def test_a_range_that_no_version_is_in() -> None:
    """As certain a failure as an unknown action; the hint has what there is."""
    (problem,) = find_problems(Definition(steps=(step("a", "get", service_version="^3"),)), KNOWN)
    assert (problem.path, problem.code) == ("steps[0].service_version", Rule.SERVICE_NOT_USABLE)
    assert problem.hint == "it is registered as 2.0.0, 1.4.2"


def test_a_range_within_the_api_version() -> None:
    """An instance may be in it although the last registration is not: that is a warning."""
    problems = find_problems(
        Definition(steps=(step("a", "old", service_version="~1.5"),), input_schema=schema(id="string")), KNOWN
    )
    assert brief(problems) == [("steps[0].service_version", f"{Rule.SERVICE_NOT_USABLE}?")]


@pytest.mark.parametrize(
    ("wanted", "actions"),
    [("", {"new", "get"}), ("*", {"new", "get"}), ("^2", {"new", "get"}), ("^1.4", {"old", "get"})],
)
def test_the_actions_are_those_of_the_version(wanted: str, actions: set[str]) -> None:
    """Of the newest in the range; the hint for another one names the version."""
    given = schema(id="string", key="string")
    given["required"] = ["id", "key"]
    fine = {
        name
        for name in ("old", "new", "get")
        if not found(KNOWN, step("a", name, service_version=wanted), input_schema=given)
    }
    assert fine == actions


def test_the_schemas_are_those_of_the_version() -> None:
    """The data flow is held against what that version takes."""
    takes_id = schema("id", id="string")
    assert found(KNOWN, step("a", "get", service_version="^1"), input_schema=takes_id) == []
    assert found(KNOWN, step("a", "get", service_version="^2"), input_schema=takes_id) == [
        ("steps[0]", Rule.INPUT_MISSING)
    ]
    mixed = (
        step("a", "get", "b", service_version="^1", input={"id": "${ input.id }"}),
        step("b", "get", service_version="^2", input={"id": "${ input.id }"}),
    )
    rules = {path for path, _ in found(KNOWN, *mixed, input_schema=takes_id)}
    assert rules == {"steps[1].input"}


def test_a_service_without_versions_meets_every_range() -> None:
    """Its actions hold for every version; the instances tell."""
    known = services(service("s", action("get")))
    assert found(known, step("a", "get", service_version="^3")) == []
