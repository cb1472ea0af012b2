"""Workflows in files: everything that the language can say, and what is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.kinds import EVERYTHING
from tests.unit.cli.files import faults_of
from weft.api.common.v1 import payload_pb2
from weft.api.workflow.v1 import workflow_pb2
from weft.cli._files.definitions import read_workflows
from weft.cli._files.forms import tidied
from weft.cli._files.shapes import Shape
from weft.cli._files.workflow_shape import STEP, WORKFLOW
from weft.cli._workflows.apply import changes
from weft.client._reading.workflow import workflow as read_workflow
from weft.client._writing.workflow import DEFINITION
from weft.client._writing.workflow import workflow as written
from weft.client.records import Workflow
from weft.server.requests import Faults
from weft.server.workflow.wire.convert import draft_from_proto, workflow_to_proto


def parts(shape: Shape, message: Any, found: dict[str, tuple[set[str], set[str]]]) -> None:
    """Collect the members of a shape and of its message, and of all within."""
    if shape.name in found:
        return
    found[shape.name] = (set(shape.fields), {field.name for field in message.fields})
    for name, field in shape.fields.items():
        if field.shape is not None:
            parts(field.shape, message.fields_by_name[name].message_type, found)


def test_files_may_say_what_the_contract_says() -> None:
    """Every member of every message has its key, and there are no others."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    parts(STEP, workflow_pb2.Step.DESCRIPTOR, found)
    assert len(found) == 19
    assert [name for name, (keys, members) in found.items() if keys != members] == []
    assert set(WORKFLOW.fields) == set(DEFINITION)


def read(file: Path, text: str) -> dict[str, Any]:
    file.write_text(text)
    return read_workflows([str(file)])[0].values


def stored(values: dict[str, Any]) -> Workflow:
    """Return what a server answers that has this definition."""
    faults = Faults()
    draft = draft_from_proto(written({"name": "a", **values}), datetime(2026, 1, 1, tzinfo=UTC), faults)
    assert faults.found == []
    return read_workflow(workflow_to_proto(draft, payload_pb2.PAYLOAD_KIND_JSON))


def test_everything_can_be_said_in_a_file(file: Path) -> None:
    """What a file says arrives as a message, and what a server answers means the same."""
    values = read(file, EVERYTHING)
    message = written(values)
    assert {field.name for field, _ in message.ListFields()} == set(DEFINITION) - {"name"}
    kinds = {step.WhichOneof("kind") for step in message.steps}
    assert len(kinds) == 10
    assert changes(stored(values), values) == ()
    assert list(tidied(WORKFLOW, {"name": "everything", **values})) == list(WORKFLOW.fields)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("", "retry: {max_attempts: 3}", True),
        ("retry: {}", "retry: {max_attempts: 3, jitter: 0.2, on_exhausted: incident}", False),
        ("retry: {initial_backoff: 1s}", "retry: {initial_backoff: 1000ms}", False),
        ("retry: {}", "retry: {jitter: 0}", True),
        ("on_error: []", "", False),
        ("on_error: [{kind: BUSINESS}]", "on_error: [{kind: business, reasons: []}]", False),
        ("limit: {rate: 1}", "limit: {rate: 1, per: 1s}", False),
        ("", "input: {}", True),
        ("timeout: 60", "timeout: 1m", False),
        ("output: {a: 1}", "output: {a: 2}", True),
        ("output: {a: 1}", "output: {a: true}", True),
    ],
)
def test_a_change_is_a_change_of_what_is_meant(file: Path, before: str, after: str, *, changed: bool) -> None:
    """Whatever is different in a step; a default that is said is no change."""
    head = "name: a\nsteps:\n- id: a\n  service: s\n  action: x\n  "
    old, new = read(file, head + before), read(file, head + after)
    assert bool(changes(stored(old), new)) is changed


def test_what_a_file_no_longer_says_is_a_change(file: Path) -> None:
    """Also the policies of the whole."""
    values = read(file, EVERYTHING)
    bare = {"steps": values["steps"]}
    assert set(changes(stored(values), bare)) == set(DEFINITION) - {"name", "steps"}


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ("{id: a}", "steps[0]: is nothing: it needs service and action, or one of switch, parallel, map"),
        ("{id: a, service: s}", "steps[0].action: is required"),
        ("{id: a, wait: {}, fail: {reason: X}}", "steps[0]: is wait and fail; a step is one of them"),
        ("{wait: {}}", "steps[0].id: is required"),
        ("{id: a, switch: {}}", "steps[0].switch.cases: is required"),
        (
            "{id: a, swich: {}, service: s, action: x}",
            "steps[0].swich: is no known key; did you mean 'switch'?",
        ),
        ("{id: a, wait: 90s}", "steps[0].wait: is text, not an object"),
        ("{id: a, wait: {duration: [1]}}", "steps[0].wait.duration: is a list, not text such as 30s"),
        ("{id: a, map: {items: [], steps: [{id: b}]}}", "steps[0].map.steps[0]: is nothing: it needs"),
        ("{id: a, parallel: {branches: [{steps: []}]}}", "steps[0].parallel.branches[0].name: is required"),
        ("{id: a, set: {}, labels: 1}", "steps[0].labels: is no known key"),
    ],
)
def test_what_is_wrong_with_a_step(file: Path, step: str, fault: str) -> None:
    """It is said where it stands, and what to write."""
    (found,) = faults_of(file, f"name: a\nsteps: [{step}]\n")
    assert found.startswith(fault)


def test_a_wait_may_be_a_number_of_seconds(file: Path) -> None:
    """As every other duration of a file."""
    steps = "[{id: a, wait: {duration: 1.5}}, {id: b, approval: {title: t, due: 60}}]"
    first, second = read(file, f"name: a\nsteps: {steps}\n")["steps"]
    assert (first["wait"]["duration"], second["approval"]["due"]) == ("1.5s", "60s")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name: a\nsteps:\n" + "- {}\n" * 200_000, "holds more than 100,000 values"),
        ("name: a\nsteps: [" + "1," * 400_000 + "1]", "holds more than 100,000 values"),
        ("name: a\nsteps:\n" + "- {id: a}\n" * 1_001, "steps: has 1,001 entries, and a workflow at most"),
        ("name: a\nsteps: " + "[{map: {steps: " * 9 + "[1]" + "}}]" * 9, "may be 8 deep"),
        ("name: a\nsteps: " + "[{map: {steps: " * 90 + "[1]" + "}}]" * 90, "nests deeper than 64 levels"),
        ("a: &a [x, x]\nname: *a\n", "the alias *a is not allowed"),
    ],
)
def test_hostile_files_are_refused_at_once(file: Path, text: str, fault: str) -> None:
    """Very many steps, very deep ones, and aliases that would explode: before anything of it is built."""
    began = time.process_time()
    (found,) = faults_of(file, text)
    assert fault in found
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"name": "a", "steps": [' + "1," * 400_000 + "1]}", "has 400,001 entries, and a workflow at most"),
        ('{"name": "a", "steps": ' + '[{"map": {"steps": ' * 90 + "[1]" + "}}]" * 90 + "}", "may be 8 deep"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_hostile_json_is_refused_at_once(file: Path, text: str, fault: str) -> None:
    """As YAML is."""
    began = time.process_time()
    (found,) = faults_of(file.with_suffix(".json"), text)
    assert fault in found
    assert time.process_time() - began < 2
