"""Workflows of Serverless Workflow 1.0 as definitions of Weft."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest

from tests.unit.importing.damage import damaged
from tests.unit.importing.examples import CNCF, golden, read, written
from weft.cli.importing.cncf import import_cncf
from weft.core.errors import ValidationError

TRIES = 40
HEAD = {"dsl": "1.0.0", "namespace": "n", "name": "w", "version": "1.0.0"}


def workflow(*tasks: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"document": HEAD, "do": list(tasks), **rest}


def call(name: str, **rest: Any) -> dict[str, Any]:
    return {name: {"call": "f", **rest}}


def steps(document: dict[str, Any], mapping: dict[str, dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    found = import_cncf(document, "", mapping or {}).definitions[0]["steps"]
    assert isinstance(found, list)
    return found


def faults(document: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        import_cncf(document, "", {})
    return [(fault.field, fault.description) for fault in caught.value.violations]


@pytest.mark.parametrize("file", CNCF, ids=lambda file: file.stem)
def test_examples_become_what_is_written_down(file: Path) -> None:
    """A change of what an import gives is a decision: see `tests.unit.importing.examples`."""
    assert written(file) == golden(file).read_text(encoding="utf-8")


def test_there_are_enough_examples() -> None:
    """As many as the published ones, and as different."""
    assert len(CNCF) >= 25


def test_what_a_function_is_may_stand_in_a_file() -> None:
    """By what is called, or by a pattern of it."""
    document = workflow(
        {"a": {"call": "http", "with": {"method": "get", "endpoint": "https://x.example/y/{z}"}}}
    )
    mapping = {"GET https://x.example/*": {"service": "shop", "action": "find", "member": "q", "result": "r"}}
    (only,) = steps(document, mapping)
    assert (only["service"], only["action"], only["input"]) == ("shop", "find", {"q": {"z": "${input.z}"}})
    assert only["output"] == {"...": "${output.r}"}


def test_who_is_caught_works_on_the_data_of_the_whole_try() -> None:
    """Also when the tasks of the try have made other data before they failed."""
    document = workflow(
        {"before": {"set": {"a": 1}}},
        {
            "t": {
                "try": [{"change": {"set": {"b": 2}}}, call("fail", **{"with": {"x": "${ .b }"}})],
                "catch": {"do": [call("undo", **{"with": {"x": "${ .a }"}})]},
            }
        },
    )
    found = {step["id"]: step for step in steps(document)}
    assert found["t_begins"]["set"] == {"t_input": "${vars.state}"}
    assert found["fail"]["input"] == {"x": "${vars.state.b}"}
    assert found["undo"]["input"] == {"x": "${vars.t_input.a}"}


def test_then_end_ends_everything_from_inside() -> None:
    """Of a branch or a loop, too."""
    document = workflow(
        {"f": {"fork": {"branches": [{"a": {"do": [call("x", then="end")]}}, call("y")]}}}, call("z")
    )
    first, _ = steps(document)
    (one, _) = first["parallel"]["branches"]
    assert [step["id"] for step in one["steps"]] == ["x", "end"]
    assert one["steps"][1]["succeed"] == {"result": {"...": "${steps.x}"}}


@pytest.mark.parametrize(
    ("document", "path", "message"),
    [
        ({"do": [call("a")]}, "document", "is required: an object with dsl, namespace, name and version"),
        ({"document": HEAD}, "do", "is required: a list of tasks, each an object with one name"),
        (
            {"document": {**HEAD, "dsl": "0.8"}, "do": [call("a")]},
            "document.dsl",
            "is '0.8'; only 1.x is read",
        ),
        ({"document": {"dsl": "1.0.0"}, "do": [call("a")]}, "document.name", "is required: a text"),
        (workflow({"a": {}, "b": {}}), "do", "is no list of objects with one name each"),
        (workflow({"a": 3}), "do[0].a", "is no object"),
        (workflow({"a": {"cal": "f"}}), "do[0].a", "is no task that is known; did you mean 'call'?"),
        (workflow({"a": {"set": 3}}), "do[0].a.set", "is no object and no text"),
        (workflow(call("a"), call("a")), "do", "has two tasks of the name 'a'"),
        (workflow({"a": {"try": [call("b")]}}), "do[0].a.catch", "is required: an object"),
        (workflow({"a": {"switch": []}}), "do[0].a.switch", "is no list of cases with one name each"),
        (
            workflow({"a": {"do": []}}),
            "do[0].a.do",
            "is required: a list of tasks, each an object with one name",
        ),
    ],
)
def test_what_is_no_workflow_is_refused_with_its_place(
    document: dict[str, Any], path: str, message: str
) -> None:
    """Every fault, with the path in the source."""
    assert faults(document) == [(path, message)]


def test_jumps_to_other_lists_are_refused() -> None:
    """A directive names a task of its own list."""
    ((path, message),) = faults(workflow({"a": {"do": [call("b")]}}, call("c", then="b")))
    assert path == "do[1].c.then"
    assert message.startswith("there is no task 'b' in this list")


def test_ten_thousand_tasks_are_refused_at_once() -> None:
    """A workflow has at most 1,000 steps."""
    (only,) = faults(workflow(*(call(f"t{n}") for n in range(10_000))))
    assert only == ("do", "holds 10,000 tasks; a workflow has at most 1,000 steps")


def test_tasks_nest_so_deep_and_no_deeper() -> None:
    """What is deeper is refused, not followed."""
    task = call("x")
    for _ in range(60):
        task = {"x": {"do": [task]}}
    ((_, message),) = faults(workflow(task))
    assert message == "is deeper than 20 tasks"


@pytest.mark.parametrize("file", CNCF, ids=lambda file: file.stem)
def test_damaged_documents_are_imported_or_refused(file: Path) -> None:
    """Whatever is wrong with them, and however often: never anything but a fault with its place."""
    chance = random.Random(file.stem)
    document = read(file)
    for _ in range(TRIES):
        with contextlib.suppress(ValidationError):
            import_cncf(damaged(document, chance), "", {})
