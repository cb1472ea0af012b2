"""The steps of an execution as a table: what runs inside of a step stands beneath it."""

from __future__ import annotations

from typing import Any

from weft.cli._following.step_tree import rows
from weft.client import ApprovalRequest, MapProgress
from weft.client.records import StepExecution


def step(path: str, kind: str = "action", state: str = "COMPLETED", **more: Any) -> StepExecution:
    call = {"service": "s", "action": "a"} if kind == "action" else {"service": "", "action": ""}
    return StepExecution(step_id=path, kind=kind, state=state, attempt=1, **{**call, **more})


def names(*steps: StepExecution) -> list[object]:
    return [row[0] for row in rows(steps)]


def test_bodies_stand_beneath_their_steps() -> None:
    """Whatever the depth, and in whatever order things happened."""
    found = names(
        step("first"),
        step("each", "map"),
        step("each[0]/p", "parallel"),
        step("each[1]/p", "parallel"),
        step("each[0]/p[1]/b"),
        step("each[1]/p[0]/a"),
        step("each[0]/p[0]/a"),
        step("last"),
        step("undo/each[0]/p[1]/b"),
        step("undo/first"),
        step("finally/close", "map"),
        step("finally/close[0]/x"),
    )
    assert found == [
        "first",
        "each",
        "· [0]/p",
        "· · [1]/b",
        "· · [0]/a",
        "· [1]/p",
        "· · [0]/a",
        "last",
        "undo/each[0]/p[1]/b",
        "undo/first",
        "finally/close",
        "· [0]/x",
    ]


def test_of_many_items_those_that_are_not_done_are_shown() -> None:
    """And how many are left out, by item, not by step."""
    many = [step(f"m[{number}]/{name}") for number in range(500) for name in "ab"]
    many[2 * 400] = step("m[400]/a", state="INCIDENT")
    found = names(step("m", "map", "OPEN"), *many)
    assert found[1:3] == ["· [400]/a", "· [400]/b"]
    assert len(found) == 1 + 2 * 10 + 1
    assert found[-1] == "· … and 490 more"


def test_what_left_the_answer_takes_nothing_with_it() -> None:
    """A step whose container is not shown stands at the top, by its whole path."""
    assert names(step("m[3]/a")) == ["m[3]/a"]


def test_what_a_step_waits_for_and_how_far_it_is() -> None:
    """A question with who is asked; the numbers of a map; the child."""
    asked = ApprovalRequest(title="Pay 5?", assignees=("ann", "bea"))
    found = rows(
        [
            step("ask", "approval", "WAITING", waits_for="APPROVAL", approval=asked),
            step("s", "signal", "WAITING", waits_for="SIGNAL"),
            step("m", "map", "OPEN", map=MapProgress(count=1200, completed=3, failed=1)),
            step("c", "workflow", "WAITING", waits_for="CHILD", child_execution_id="exe_2"),
        ]
    )
    assert [(row[1], row[-1]) for row in found] == [
        ("approval", "asks ann, bea: Pay 5?"),
        ("signal", "SIGNAL"),
        ("map", "3 of 1,200 done, 1 failed"),
        ("workflow", "CHILD; exe_2"),
    ]
