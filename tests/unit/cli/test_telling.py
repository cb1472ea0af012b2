"""What people are told of open executions and of policies, in a few words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from weft.cli._following.telling import advice, clock_time, origin, step_note, waits
from weft.cli._workflows.limits import concurrency_text, limits_text, retry_text
from weft.client import Code, Concurrency, Event, Execution, Failure, Origin, Step, StepRetry, Workflow
from weft.client.records import StepExecution

NOW = datetime.now(UTC)


def _execution(**values: Any) -> Execution:
    return Execution(
        id="exe_1", workflow_id="w", workflow_name="w", workflow_version=1, state="RUNNING", **values
    )


def test_waits() -> None:
    """What for, and until when where that is a time; the day is said of what is not near."""
    soon = NOW + timedelta(seconds=90)
    assert waits(_execution()) == ""
    assert waits(_execution(waits_for="RESUME")) == "RESUME"
    due = soon.astimezone().strftime("%H:%M:%S")
    assert waits(_execution(waits_for="RETRY", wait_until=soon)) == f"RETRY until {due}"
    far = NOW + timedelta(days=3)
    assert clock_time(far).startswith(far.astimezone().strftime("%Y-%m-%d"))


def test_an_origin() -> None:
    """Which execution it repeats, and from where."""
    assert origin(_execution()) == ""
    repeats = Origin(execution_id="exe_0", from_step="b")
    assert origin(_execution(origin=repeats)) == "repeats exe_0 from step b"


def test_what_there_is_to_say_of_a_step() -> None:
    """Its next attempt, how far it is, and why it failed last: what there is of that."""
    step = StepExecution(
        step_id="a",
        service="s",
        action="x",
        state="RETRYING",
        attempt=2,
        retry_time=NOW,
        progress={"percent": 40},
        failure=Failure(reason="DOWN", message="nobody", code=Code.UNAVAILABLE),
    )
    at = NOW.astimezone().strftime("%H:%M:%S")
    assert step_note(step) == f"next attempt at {at}; 40 %; DOWN: nobody"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("incident_raised", "weft executions resolve exe_1 --fail"),
        ("execution_paused", "weft executions resume exe_1"),
        ("step_completed", ""),
    ],
)
def test_advice(kind: str, said: str) -> None:
    """Where an execution waits for a person, the commands that let it go on are there to be copied."""
    text = advice(Event(number=4, time=NOW, kind=kind, data={"step_id": "a"}), "exe_1")
    assert said in text
    assert bool(said) == bool(text)


def test_advice_about_what_is_waited_for() -> None:
    """The command names the message, or the outcomes; a step inside of another by its path."""

    def said(**data: Any) -> str:
        return advice(Event(number=4, time=NOW, kind="step_waiting", data=data), "exe_1")

    assert said(step_id="s", reason="SIGNAL", signal="paid", correlation="7").endswith(
        "weft executions signal exe_1 paid --correlation '7'"
    )
    asked = {"title": "Pay?", "assignees": ["ann"], "outcomes": ["yes", "no"]}
    assert said(step_id="m[0]/ask", reason="APPROVAL", approval=asked) == (
        "It asks ann: Pay?:  weft executions decide exe_1 yes|no --step 'm[0]/ask'"
    )
    assert said(step_id="w", reason="TIMER") == ""
    raised = Event(number=4, time=NOW, kind="incident_raised", data={"step_id": "m[0]/a"})
    assert "weft executions resolve exe_1 --step 'm[0]/a' --fail" in advice(raised, "exe_1")


def test_policies_in_a_few_words() -> None:
    """Only what a definition says is shown."""
    plain = Step(id="a", service="s", action="x")
    assert (limits_text(plain), retry_text(plain)) == ("-", "-")
    second, minute = timedelta(seconds=1), timedelta(minutes=1)
    policy = StepRetry(max_attempts=5, initial_backoff=second, max_backoff=minute, on_exhausted="FAIL")
    step = Step(
        id="a",
        service="s",
        action="x",
        timeout=minute,
        heartbeat_timeout=second,
        schedule_to_close_timeout=timedelta(hours=1),
        retry=policy,
    )
    assert limits_text(step) == "1m00s, heartbeat 1.0s, 1h00m in all"
    assert retry_text(step) == "5 attempts, from 1.0s to 1m00s, then fail"
    assert (
        retry_text(Step(id="a", service="s", action="x", retry=StepRetry(max_attempts=-1))) == "without end"
    )
    workflow = Workflow(id="w", name="w", concurrency=Concurrency(limit=2, key="${input.customer}"))
    assert concurrency_text(workflow) == "2 of each ${input.customer}"
    assert concurrency_text(Workflow(id="w", name="w", concurrency=Concurrency(limit=3))) == "3"
    refusing = Concurrency(limit=3, on_conflict="REJECT")
    assert concurrency_text(Workflow(id="w", name="w", concurrency=refusing)) == "3, further ones are refused"
    assert concurrency_text(Workflow(id="w", name="w")) == ""
