"""Workflows in Python are the workflows of files."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.kinds import EVERYTHING
from weft.cli._files.definitions import read_workflows
from weft.cli._files.forms import meaning
from weft.cli._files.workflow_shape import WORKFLOW
from weft.client import ChildStep, Concurrency, Step, StepDefaults, StepRetry, flow
from weft.client._writing.workflow import workflow as written
from weft.client.flow import END, Draft, ref

CUSTOMER = ref("input", "customer")
OBJECT = {"type": "object"}


def everything() -> flow.Flow:
    """The workflow of ``EVERYTHING``, in Python."""
    return flow.workflow(
        "everything",
        every_step(),
        description="All that can be said.",
        labels={"team": "a"},
        metadata={"owner": "b"},
        input_schema=OBJECT,
        output_schema=OBJECT,
        timeout=3_600,
        retention=timedelta(days=30),
        search_attributes={"customer": CUSTOMER},
        concurrency=Concurrency(limit=2, key=CUSTOMER, on_conflict="REJECT"),
        defaults=StepDefaults(
            timeout=timedelta(seconds=10),
            heartbeat_timeout=timedelta(seconds=5),
            schedule_to_close_timeout=timedelta(minutes=10),
            retry=StepRetry(max_attempts=5),
        ),
        finally_=[flow.action("close", "cards", "close")],
    )


def every_step() -> list[Draft | Step]:
    """At least one of each kind."""
    ask, both, end = question(), branches(), flow.succeed("end", {"ok": True})
    return [
        payment(declined=ask),
        flow.switch("which", {"input.amount > 100": ask}, default=both),
        ask,
        both,
        turns(),
        flow.map_("orders", ref("input", "orders"), workflow=ChildStep(name="order", alias="stable")),
        flow.child("one", "order", version=3, abandon=True),
        flow.emit("tell", "order.done", {"at": ref("execution", "id")}),
        flow.loop("until", [flow.wait("day", until="2026-01-01T00:00:00Z")], until='steps.day.until > ""'),
        flow.switch("good", {"input.good": end}, default="bad"),
        flow.fail("bad", "NOT_GOOD", f"{CUSTOMER} is not"),
        end,
    ]


def payment(declined: Draft) -> Draft:
    """A call of an action, with everything that a step can say of one."""
    return flow.action(
        "pay",
        "cards",
        "charge",
        description="Calls an action.",
        service_version="^1.4",
        input={"amount": ref("input", "amount")},
        output={"paid": ref("output", "amount")},
        timeout=30,
        heartbeat_timeout=2,
        schedule_to_close_timeout=timedelta(minutes=5),
        retry=patience(),
        at_most_once=True,
        cache=flow.cached(3_600, key=CUSTOMER),
        limit=flow.limited(concurrency=3, rate=10, per=60, key=CUSTOMER),
        on_error=[flow.on_error("CARD_DECLINED", kind="BUSINESS", then=declined)],
        compensate=flow.undo(
            "refund", service="cards", input={"amount": 1}, timeout=20, retry=StepRetry(max_attempts=9)
        ),
    )


def patience() -> StepRetry:
    """Everything that can be said of trying again."""
    return StepRetry(
        max_attempts=4,
        initial_backoff=timedelta(seconds=2),
        multiplier=3,
        max_backoff=timedelta(seconds=20),
        jitter=0,
        non_retryable_reasons=("CARD_STOLEN",),
        on_exhausted="FAIL",
    )


def question() -> Draft:
    """An approval, with everything that can be said of one."""
    return flow.approval(
        "ask",
        f"Pay {ref('input', 'amount')}?",
        assignees=["boss"],
        due="2d",
        outcomes=["yes", "no"],
        schema=OBJECT,
        timeout=timedelta(days=7),
    )


def branches() -> Draft:
    """A wait and a message, side by side."""
    return flow.parallel(
        "both",
        {
            "left": [flow.wait("later", 90)],
            "right": [flow.signal("paid", "paid", correlation=CUSTOMER, schema=OBJECT)],
        },
        join=1,
        collect_errors=True,
    )


def turns() -> Draft:
    """A loop for each item."""
    note = flow.set_("note", {"n": ref("iteration")})
    return flow.map_(
        "each",
        range(3),
        [flow.loop("again", [note], while_="iteration < 2", max_iterations=3)],
        max_concurrency=2,
        tolerated_failures=1,
        discard_outputs=True,
    )


def from_file(text: str, file: Path) -> dict[str, Any]:
    file.write_text(text)
    (found,) = read_workflows([str(file)])
    return {"name": found.name, **found.values}


def test_python_says_what_a_file_says(tmp_path: Path) -> None:
    """Every kind of step, and everything that a step and a workflow can have."""
    wanted = from_file(EVERYTHING, tmp_path / "w.yaml")
    built = everything().arguments
    assert meaning(WORKFLOW, {**built, "finally": built["finally_"]}) == meaning(WORKFLOW, wanted)


def test_a_flow_can_be_written_to_a_file(tmp_path: Path) -> None:
    """``to_dict()`` is what the command takes, so that a program can make files."""
    found = from_file(json.dumps(everything().to_dict()), tmp_path / "w.json")
    assert written(found) == written(everything().arguments)


def nexts(*steps: Draft | Step) -> list[str]:
    return [step.next for step in flow.workflow("w", steps).steps]


def test_a_step_goes_on_to_the_one_behind_it() -> None:
    """Unless it says where, or that its list ends; some never do."""
    a, b = flow.wait("a", 1), flow.wait("b", 1)
    assert nexts(a, b) == ["b", ""]
    assert nexts(flow.wait("c", 1, next=END), b) == ["", ""]
    assert nexts(flow.wait("c", 1, next=b), a, b) == ["b", "b", ""]
    assert nexts(flow.switch("c", {"true": "b"}), flow.fail("d", "X"), flow.succeed("e"), b) == [""] * 4
    assert nexts(Step(id="r"), a) == ["", ""]


def test_a_step_in_two_lists_goes_on_in_each() -> None:
    """What follows belongs to the list, not to the step."""
    shared = flow.wait("shared", 1)
    assert nexts(shared, flow.wait("b", 1))[0] == "b"
    assert nexts(shared, flow.wait("c", 1))[0] == "c"


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (ref("input"), "${input}"),
        (ref("input", "a", "b"), "${input.a.b}"),
        (ref("item", 0, "a-b"), '${item[0]["a-b"]}'),
        (ref(flow.wait("day", 1), "until"), "${steps.day.until}"),
        (ref(flow.wait("my-day", 1), "until"), '${steps["my-day"].until}'),
        (ref("vars", 'a"b\\'), '${vars["a\\"b\\\\"]}'),
    ],
)
def test_references_are_expressions(found: str, wanted: str) -> None:
    """Of names that have a dash as well."""
    assert found == wanted


def test_times_are_written_as_texts() -> None:
    """Durations, seconds, moments, and expressions as they are."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    steps = flow.workflow(
        "w",
        [
            flow.wait("a", timedelta(milliseconds=1_500)),
            flow.wait("b", "${input.days * 24}h"),
            flow.wait("c", until=moment),
        ],
    ).steps
    waits = [step.wait for step in steps if step.wait is not None]
    assert [it.duration or it.until for it in waits] == [
        "1.5s",
        "${input.days * 24}h",
        "2026-01-01T00:00:00+00:00",
    ]


def test_what_is_not_said_is_not_sent() -> None:
    """So that a server's default holds."""
    assert set(flow.workflow("w", [flow.wait("a", 1)]).arguments) == {"name", "steps"}
