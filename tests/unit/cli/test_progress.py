"""How far an execution is, folded from its events."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from weft.cli._following.live import renderer
from weft.cli._following.progress import Progress
from weft.client import Event

START = datetime(2026, 3, 1, tzinfo=UTC)


def _event(kind: str, milliseconds: int = 0, **data: Any) -> Event:
    return Event(number=1, time=START + timedelta(milliseconds=milliseconds), kind=kind, data=data)


def _text(line: str) -> str:
    return line.split("  ", 1)[1]


def test_durations_come_from_one_clock_each() -> None:
    """A step that runs is timed by our clock, one that ended by the server's; they are never mixed."""
    now = 100.0
    progress = Progress(["a"], lambda: now)
    assert progress.steps["a"].seconds(now) is None
    progress.add(_event("step_scheduled", step_id="a", attempt=1))
    assert progress.steps["a"].seconds(103.5) == 3.5
    progress.add(_event("step_completed", 250, step_id="a", attempt=1))
    assert progress.steps["a"].seconds(999.0) == 0.25


def test_a_failure_and_its_end() -> None:
    """Reason and message of a failure are in the line and in the row."""
    progress = Progress()
    failure = {"reason": "NO_VOICE", "message": "sore\x1b[31m\nthroat"}
    progress.add(_event("step_scheduled", step_id="a"))
    line = progress.add(_event("step_failed", 1_500, step_id="a", attempt=1, failure=failure))
    assert _text(line) == "a failed in 1.5s: NO_VOICE: sore [31m throat"
    assert _text(progress.add(_event("execution_failed", failure=failure))).startswith(
        "execution failed: NO_VOICE"
    )
    assert (progress.state, progress.steps["a"].state) == ("FAILED", "FAILED")


def test_the_end_ends_what_runs() -> None:
    """A step that was running when the execution was cancelled is shown as cancelled."""
    progress = Progress()
    progress.add(_event("step_scheduled", step_id="a"))
    assert (
        _text(progress.add(_event("execution_cancelled", reason="enough"))) == "execution cancelled: enough"
    )
    assert progress.steps["a"].state == "CANCELLED"


def test_time_out_says_the_limit() -> None:
    """The limit that was exceeded is in the line."""
    assert _text(Progress().add(_event("execution_timed_out", timeout=90.0))) == (
        "execution timed out: longer than 1m30s"
    )


def test_events_of_a_newer_server() -> None:
    """A kind that is not known is shown by its name; a time that is missing does not matter."""
    assert Progress().add(Event(number=9, time=None, kind="step_parked")) == "--:--:--.---  step_parked"


def test_lines_about_what_is_long_ago() -> None:
    """With the date, a line says day and zone too."""
    line = Progress(with_date=True).add(_event("execution_started", 5))
    assert datetime.fromisoformat(line.rpartition("  ")[0]) == START + timedelta(milliseconds=5)


def test_the_live_table() -> None:
    """A row per step, those to come included; markup in names is text."""
    progress = Progress(["a", "[red]b"], lambda: 5.0)
    progress.add(_event("step_scheduled", step_id="a", attempt=3, cause="server restart"))
    file = io.StringIO()
    Console(file=file, width=100, markup=False).print(renderer(progress, "greet")())
    title, first, second = file.getvalue().splitlines()
    assert title == "greet  RUNNING"
    assert first.split()[1:] == ["a", "scheduled", "attempt", "3", "0ms", "server", "restart"]
    assert second.split() == ["·", "[red]b", "pending"]


def test_a_retry_says_when_and_why() -> None:
    """How long the pause is comes from the event, not from our clock; the step stands as retrying."""
    progress = Progress()
    progress.add(_event("step_scheduled", step_id="a", attempt=1))
    due = (START + timedelta(seconds=3)).isoformat()
    failure = {"reason": "NO_VOICE", "message": "sore"}
    told = _event("step_retry_scheduled", 1_000, step_id="a", attempt=1, failure=failure, retry_time=due)
    assert _text(progress.add(told)) == "a failed, attempt 2 in 2.0s: NO_VOICE: sore"
    assert progress.steps["a"].state == "RETRYING"
    again = _event("step_scheduled", 3_000, step_id="a", attempt=2, cause="retry")
    assert _text(progress.add(again)) == "a scheduled (attempt 2): retry"


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ({"percent": 40}, "a: 40 %"),
        ({"done": 3, "total": 12, "x": 1}, "a: 3 of 12"),
        ({"page": "ü"}, 'a: {"page": "ü"}'),
        ({"percent": True}, 'a: {"percent": true}'),
        (None, "a: is alive"),
    ],
)
def test_progress(details: dict[str, Any] | None, text: str) -> None:
    """A share is shown as one; what is not known is shown as it is."""
    assert _text(Progress().add(_event("step_progressed", step_id="a", attempt=1, details=details))) == text


def test_an_incident_and_its_end() -> None:
    """The execution stands there, until it is resolved; note and decision are in the line."""
    progress = Progress()
    progress.add(_event("step_scheduled", step_id="a", attempt=3))
    failure = {"reason": "NO_VOICE", "message": "sore"}
    line = progress.add(_event("incident_raised", step_id="a", attempt=3, failure=failure))
    assert _text(line) == "a has an incident after attempt 3: NO_VOICE: sore"
    assert (progress.state, progress.steps["a"].state) == ("INCIDENT", "INCIDENT")
    resolved = _event("incident_resolved", step_id="a", resolution="RETRY", note="tea helped")
    assert _text(progress.add(resolved)) == "a: incident resolved, retry: tea helped"
    assert progress.state == "RUNNING"


def test_pauses_reuse_and_late_outcomes() -> None:
    """Each has a line of its own; where the server says the state, that counts."""
    progress = Progress()
    origin = {"execution_id": "exe_1", "from_step": "b"}
    assert _text(progress.add(_event("execution_started", origin=origin))) == (
        "execution started: repeats exe_1 from step b"
    )
    assert _text(progress.add(_event("step_reused", step_id="a", execution_id="exe_1"))) == (
        "a reused from exe_1"
    )
    assert progress.steps["a"].state == "COMPLETED"
    progress.add(_event("step_scheduled", step_id="b", attempt=1))
    assert _text(progress.add(_event("step_accepted", step_id="b", attempt=1))) == (
        "b: taken on; its outcome will be told"
    )
    assert _text(progress.add(_event("execution_paused", reason="look"))) == "execution paused: look"
    assert progress.state == "PAUSED"
    progress.add(Event(number=9, time=START, kind="step_completed", state="PAUSED", data={"step_id": "b"}))
    assert progress.state == "PAUSED"
    assert _text(progress.add(_event("execution_resumed", reason=""))) == "execution resumed"


def test_bodies_waits_and_messages_in_lines() -> None:
    """Each in one line; what ran in an item is forgotten when the item is done, so that maps may be long."""
    progress = Progress()
    asked = {"title": "Pay?", "assignees": ["ann"], "outcomes": ["yes", "no"]}
    told: list[tuple[str, dict[str, Any], str]] = [
        ("step_scheduled", {"step_id": "each"}, "each scheduled"),
        ("map_started", {"step_id": "each", "count": 2}, "each goes over 2 items"),
        ("step_scheduled", {"step_id": "each[0]/ask"}, "each[0]/ask scheduled"),
        (
            "step_waiting",
            {"step_id": "each[0]/ask", "reason": "APPROVAL", "approval": asked},
            "each[0]/ask asks ann: Pay?",
        ),
        ("step_completed", {"step_id": "each[0]/ask"}, "each[0]/ask completed in 0ms"),
        ("scope_completed", {"scope": "each[0]"}, "each[0] completed"),
        ("step_scheduled", {"step_id": "each[1]/s"}, "each[1]/s scheduled"),
        (
            "step_waiting",
            {"step_id": "each[1]/s", "reason": "SIGNAL", "signal": "paid", "correlation": "7"},
            "each[1]/s waits for message paid about 7",
        ),
        ("signal_received", {"name": "paid", "correlation": "8"}, "message paid about 8 came"),
        ("event_emitted", {"step_id": "e", "type": "order.paid"}, "e emitted order.paid"),
    ]
    for kind, data, line in told:
        assert _text(progress.add(_event(kind, **data))) == line
    assert {path: step.state for path, step in progress.steps.items()} == {
        "each": "OPEN",
        "each[1]/s": "WAITING",
    }
    assert progress.steps["each"].note == "1 of 2 done"


def test_the_end_in_lines() -> None:
    """As what it ends, why, and what is undone; what was under way is not any more."""
    progress = Progress()
    progress.add(_event("step_scheduled", step_id="p"))
    failure = {"reason": "SOLD_OUT", "message": "none left"}
    line = progress.add(_event("execution_closing", outcome="FAILED", failure=failure, undo=["b", "a"]))
    assert _text(line) == "execution closes as failed: none left; to be undone: b, a"
    assert progress.steps["p"].state == "CANCELLED"
    line = Progress().add(_event("execution_closing", outcome="CANCELLED", reason="enough", undo=[]))
    assert _text(line) == "execution closes as cancelled: enough"


def test_where_a_step_goes_on() -> None:
    """What a switch chose, and the handler that takes a failure."""
    failure = {"reason": "NO", "message": "no"}
    progress = Progress()
    assert _text(progress.add(_event("step_completed", step_id="s", next="b"))) == "s completed; goes on at b"
    for following, said in (("c", "; goes on at c"), ("", "; that is handled")):
        event = _event("step_failed", step_id="a", failure=failure, handled=True, next=following)
        assert _text(progress.add(event)) == f"a failed: NO: no{said}"
