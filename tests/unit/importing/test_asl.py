"""State machines as definitions of Weft."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest

from tests.unit.importing.damage import damaged
from tests.unit.importing.examples import ASL, golden, read, written
from weft.cli.importing.asl import import_asl
from weft.core.errors import ValidationError

TRIES = 40
FUNCTION = "arn:aws:lambda:eu-west-1:1:function:"


def machine(start: str = "A", **states: Any) -> dict[str, Any]:
    return {"StartAt": start, "States": states}


def task(name: str, following: str = "", **rest: Any) -> dict[str, Any]:
    way = {"Next": following} if following else {"End": True}
    return {"Type": "Task", "Resource": FUNCTION + name, **way, **rest}


def steps(document: dict[str, Any], mapping: dict[str, dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    found = import_asl(document, "w", mapping or {}).definitions[0]["steps"]
    assert isinstance(found, list)
    return found


def notes(document: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(note.path, note.lost) for note in import_asl(document, "w", {}).notes]


def faults(document: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        import_asl(document, "w", {})
    return [(fault.field, fault.description) for fault in caught.value.violations]


@pytest.mark.parametrize("file", ASL, ids=lambda file: file.stem)
def test_examples_become_what_is_written_down(file: Path) -> None:
    """A change of what an import gives is a decision: see `tests.unit.importing.examples`."""
    assert written(file) == golden(file).read_text(encoding="utf-8")


def test_there_are_enough_examples() -> None:
    """As many as the published ones, and as different."""
    assert len(ASL) >= 20


def test_an_input_of_the_whole_execution_is_the_implicit_one() -> None:
    """Only where nothing ran before; from there on data is handed on by name."""
    first, second = steps(machine(A=task("One", "B"), B=task("Two")))
    assert "input" not in first
    assert second["input"] == {"...": "${steps.a}"}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, {"...": "${steps.a}"}),
        ({"InputPath": "$.x"}, {"...": "${steps.a.x}"}),
        ({"InputPath": None}, {}),
        ({"Parameters": {"n": 1, "y.$": "$.x[0]['a b']"}}, {"n": 1, "y": '${steps.a.x[0]["a b"]}'}),
        ({"InputPath": "$.x", "Parameters": {"all.$": "$", "deep": {"y.$": "$.y"}}},
         {"all": "${steps.a.x}", "deep": {"y": "${steps.a.x.y}"}}),
        ({"Parameters": {"literal": "costs ${5}"}}, {"literal": "costs $${5}"}),
    ],
)  # fmt: skip
def test_what_a_state_takes(members: dict[str, Any], expected: dict[str, Any]) -> None:
    """`InputPath` and `Parameters`."""
    _, second = steps(machine(A=task("One", "B"), B=task("Two", **members)))
    assert second["input"] == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"ResultPath": None}, {"...": "${input}"}),
        ({"ResultPath": "$.a"}, {"...": "${input}", "a": "${steps.a}"}),
        (
            {"ResultPath": "$.a.b"},
            {"...": "${input}", "a": {"...": "${has(input.a) ? input.a : {}}", "b": "${steps.a}"}},
        ),
        ({"ResultSelector": {"only.$": "$.x.y"}}, {"only": "${steps.a.x.y}"}),
        ({"OutputPath": "$.x"}, {"...": "${steps.a.x}"}),
        ({"ResultPath": "$.a", "OutputPath": "$.a.z"}, {"...": "${steps.a.z}"}),
        ({"OutputPath": None}, {}),
    ],
)  # fmt: skip
def test_what_a_state_hands_on(members: dict[str, Any], expected: dict[str, Any]) -> None:
    """`ResultSelector`, `ResultPath` and `OutputPath`."""
    _, second = steps(machine(A=task("One", "B", **members), B=task("Two")))
    assert second["input"] == expected


def test_the_last_state_gives_the_result() -> None:
    """Its step's own output is called `output` there."""
    (only,) = steps(machine(A=task("One", ResultPath="$.r")))
    assert only["output"] == {"...": "${input}", "r": "${output}"}
    assert "output" not in steps(machine(A=task("One")))[0]


def test_a_file_may_say_what_resources_become() -> None:
    """By their whole name, or by a pattern; and where input and result stand."""
    mapping = {
        FUNCTION + "One": {"service": "shop", "action": "price", "member": "cart", "result": "price"},
        "*:Two": {"service": "mail"},
    }
    first, second = steps(machine(A=task("One", "B"), B=task("Two", Parameters={"p.$": "$.x"})), mapping)
    assert (first["service"], first["action"], first["input"]) == ("shop", "price", {"cart": "${input}"})
    assert (second["service"], second["action"]) == ("mail", "invoke")
    assert second["input"] == {"p": "${steps.a.price.x}"}


NO_STATES = "is required: an object with at least one state"
TYPES = "Task, Pass, Choice, Wait, Succeed, Fail, Parallel, Map"
BRANCH = machine("Z", Z={"Type": "Pass", "Next": "Y"})


@pytest.mark.parametrize(
    ("document", "path", "message"),
    [
        ({}, "States", NO_STATES),
        ({"States": []}, "States", NO_STATES),
        ({"States": {"A": {"Type": "Succeed"}}}, "StartAt", "is required"),
        (machine("B", A={"Type": "Succeed"}), "StartAt", "there is no state 'B'; known: A"),
        (machine(A={"Type": "Tsk"}), "States.A.Type", "'Tsk' is no type of a state; did you mean 'Task'?"),
        (machine(A={"Type": 7}), "States.A.Type", f"7 is no type of a state; one of {TYPES}"),
        (machine(A=3), "States.A.Type", "is required"),
        (machine(A={"Type": "Pass"}), "States.A.Next", "is required, or End: true"),
        (machine(A={"Type": "Choice"}), "States.A.Choices", "is required: a list of rules"),
        (machine(A={"Type": "Task", "End": True}), "States.A.Resource", "is required"),
        (
            machine(A={"Type": "Map", "End": True}),
            "States.A.Iterator",
            "is no state machine: an object with StartAt and States",
        ),
        (
            machine(A={"Type": "Parallel", "End": True, "Branches": [BRANCH]}),
            "States.A.Branches[0].States.Z.Next",
            "there is no state 'Y'; known: Z",
        ),
    ],
)
def test_what_is_no_state_machine_is_refused_with_its_place(
    document: dict[str, Any], path: str, message: str
) -> None:
    """Every fault, with the path in the source."""
    assert faults(document) == [(path, message)]


def test_ten_thousand_states_are_refused_at_once() -> None:
    """A workflow has at most 1,000 steps."""
    states = {f"S{n}": task("F", f"S{n + 1}") for n in range(10_000)} | {"S10000": task("F")}
    (only,) = faults(machine("S0", **states))
    assert only == ("States", "has 10,001 states; a workflow has at most 1,000 steps")


def test_a_thousand_states_are_imported() -> None:
    """In little time, each with data of its own."""
    states = {f"S{n}": task("F", f"S{n + 1}", ResultPath=f"$.r{n}") for n in range(999)} | {"S999": task("F")}
    assert len(steps(machine("S0", **states))) == 1_000


def test_machines_nest_so_deep_and_no_deeper() -> None:
    """What is deeper is refused, not followed."""
    inner = machine(A={"Type": "Succeed"})
    for _ in range(30):
        inner = machine(A={"Type": "Map", "End": True, "ItemProcessor": inner})
    ((path, message),) = faults(inner)
    assert path.startswith("States.A.ItemProcessor")
    assert message == "is a machine in more than 12 others"


def test_states_that_nothing_leads_to_are_left_out() -> None:
    """And that is said."""
    document = machine(A={"Type": "Succeed"}, B={"Type": "Succeed"})
    assert [step["id"] for step in steps(document)] == ["a"]
    assert notes(document) == [("States.B", False)]


def test_unknown_members_are_told() -> None:
    """Nothing is dropped in silence."""
    assert ("States.A.Colour", True) in notes(machine(A={"Type": "Succeed", "Colour": "red"}))


@pytest.mark.parametrize("file", ASL, ids=lambda file: file.stem)
def test_damaged_documents_are_imported_or_refused(file: Path) -> None:
    """Whatever is wrong with them, and however often: never anything but a fault with its place."""
    chance = random.Random(file.stem)
    document = read(file)
    for _ in range(TRIES):
        with contextlib.suppress(ValidationError):
            import_asl(damaged(document, chance), "w", {})
