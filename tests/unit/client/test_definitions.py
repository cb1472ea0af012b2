"""Definitions on the caller's side: what is read can be written, and says the same."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.definitions import definitions
from weft.api.common.v1 import payload_pb2
from weft.client import connect
from weft.client._reading import workflow as read
from weft.client._writing.workflow import DEFINITION
from weft.client._writing.workflow import workflow as written
from weft.client._writing.workflow_fields import WorkflowChanges
from weft.client.records import (
    Branch,
    ErrorHandler,
    LoopStep,
    MapStep,
    ParallelStep,
    Step,
    SwitchStep,
    WaitStep,
)
from weft.core.definitions import member
from weft.core.errors import ValidationError
from weft.core.reasons import Rule
from weft.server.requests import Faults
from weft.server.workflow.model import Definition, Workflow
from weft.server.workflow.wire.convert import definition_from_proto, workflow_to_proto

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def faults(*steps: object, **values: object) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        written({"name": "w", "steps": steps, **values})
    return [(violation.field, violation.reason) for violation in caught.value.violations]


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(definition=definitions)
def test_what_is_read_can_be_written(definition: Definition) -> None:
    """As records, and as the plain form of these, a definition comes back as it was."""
    times: dict[str, Any] = {"create_time": NOW, "update_time": NOW, "version_create_time": NOW}
    stored = Workflow(id="wf_1", name="w", definition=definition, **times)
    found = read.workflow(workflow_to_proto(stored, payload_pb2.PAYLOAD_KIND_JSON))
    said = {name: member(found, name) for name in DEFINITION}
    plain = {name: value for name, value in found.to_dict().items() if name in DEFINITION}
    for values in (said, json.loads(json.dumps(plain))):
        collected = Faults()
        again = definition_from_proto(written(values), collected)
        assert collected.found == []
        assert again == definition


def test_records_and_mappings_say_the_same() -> None:
    """Also where a name is one that Python has for itself."""
    records = (
        Step(
            id="again",
            loop=LoopStep(while_="vars.n < 3", steps=(Step(id="w", wait=WaitStep(duration="1s")),)),
        ),
        Step(id="each", map=MapStep(items={"from": 0, "to": 3}, steps=(Step(id="x", set={}),))),
    )
    mappings = (
        {"id": "again", "loop": {"while": "vars.n < 3", "steps": [{"id": "w", "wait": {"duration": "1s"}}]}},
        {"id": "each", "map": {"items": {"from": 0, "to": 3}, "steps": [{"id": "x", "set": {}}]}},
    )
    assert written({"finally_": records}) == written({"finally": mappings})


def test_the_plain_form_of_a_call_is_as_it_was() -> None:
    """What it does not have is not shown, and what a kind is shown under its own name."""
    new = {f.name for f in dataclasses.fields(Step) if f.metadata}
    assert new.isdisjoint(Step(id="a", service="s", action="x").to_dict())
    assert Step(id="a", set={}).to_dict()["set"] == {}
    assert Step(id="a", loop=LoopStep(while_="true")).to_dict()["loop"]["while"] == "true"
    assert (Step(id="a").kind, Step(id="a", wait=WaitStep()).kind) == ("action", "wait")


def test_faults_are_found_at_every_depth() -> None:
    """With their paths, all of them."""
    inner = {"id": "x", "wait": {"duration": 5}, "on_error": [{"kind": "ODD"}], "nxt": ""}
    branch = {"name": "b", "steps": [inner]}
    assert faults({"id": "p", "parallel": {"branches": [branch], "join": "all"}}) == [
        ("steps[0].parallel.branches[0].steps[0].wait.duration", Rule.INVALID),
        ("steps[0].parallel.branches[0].steps[0].on_error[0].kind", Rule.INVALID),
        ("steps[0].parallel.branches[0].steps[0].nxt", Rule.INVALID),
        ("steps[0].parallel.join", Rule.INVALID),
    ]


def test_a_step_is_one_thing() -> None:
    """A message would keep the last of several, and say nothing."""
    for step in (
        {"id": "a", "wait": {}, "set": {}},
        Step(id="a", wait=WaitStep(), set={}),
    ):
        assert faults(step) == [("steps[0]", Rule.INVALID)]


def nested(levels: int) -> dict[str, Any]:
    """Return a step that so many lists of steps are around, the workflow's own included."""
    step: dict[str, Any] = {"id": "a", "wait": {"duration": "1s"}}
    for _ in range(levels - 1):
        step = {"id": "p", "parallel": {"branches": [{"name": "b", "steps": [step]}]}}
    return step


def test_too_large_a_definition_is_refused_at_once() -> None:
    """However many steps it has, and however deep they are; nothing else is looked at."""
    assert len(written({"steps": [nested(8)]}).steps) == 1
    assert [rule for _, rule in faults(nested(9))] == [Rule.TOO_DEEP]
    assert [rule for _, rule in faults(nested(5_000))] == [Rule.TOO_DEEP]
    assert faults(*[{}] * 1_000_000) == [("steps", Rule.TOO_MANY)]
    body = {"steps": [{"id": "a"}] * 999}
    assert faults({"id": "m", "map": body}, finally_=[{"id": "f"}]) == [("finally", Rule.TOO_MANY)]


def test_whatever_stands_where_a_kind_should_is_named() -> None:
    """No text, number or list is taken for a container."""
    for value in ("text", 5, [1], True):
        assert faults({"id": "a", "map": value}) == [("steps[0].map", Rule.INVALID)]
        assert faults({"id": "a", "parallel": {"branches": value}})[0][0].startswith(
            "steps[0].parallel.branches"
        )


def test_durations_of_records_are_spans() -> None:
    """As everywhere else in the client, also in seconds."""
    step = {"id": "a", "cache": {"ttl": 60}, "limit": {"per": timedelta(seconds=2)}}
    message = written({"steps": [step], "retention": 90}).steps[0]
    assert (message.cache.ttl.seconds, message.limit.per.seconds) == (60, 2)


def test_handlers_and_branches_are_records_too() -> None:
    """Tuples of records are lists."""
    step = Step(
        id="a",
        parallel=ParallelStep(branches=(Branch(name="b", steps=(Step(id="s", switch=SwitchStep()),)),)),
        on_error=(ErrorHandler(reasons=("X",), kind="business"),),
    )
    message = written({"steps": [step]}).steps[0]
    assert message.parallel.branches[0].steps[0].HasField("switch")
    assert (list(message.on_error[0].reasons), message.on_error[0].kind) == (["X"], 1)


def test_every_member_is_an_argument() -> None:
    """No field of a definition can be given in a mapping only."""
    assert {name.rstrip("_") for name in WorkflowChanges.__annotations__} == set(DEFINITION)


@pytest.mark.parametrize(
    ("method", "named"), [("create", ("w", [])), ("update", ("w",)), ("validate", ("w", []))]
)
async def test_unknown_arguments_are_named_with_the_method(method: str, named: tuple[object, ...]) -> None:
    """A slip of the pen is no fault of the definition: it is told before anything is sent."""
    async with connect() as weft:
        with pytest.raises(
            TypeError, match=rf"{method}\(\) has no argument 'lables'; did you mean 'labels'\?"
        ):
            await getattr(weft.workflows, method)(*named, lables={})
