"""What the language adds to histories, and that it is read back as it was written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from weft.core.errors import Code
from weft.server.execution.history.model import (
    Asked,
    Event,
    EventBody,
    EventEmitted,
    ExecutionClosing,
    Failure,
    MapStarted,
    Outcome,
    ScopeCompleted,
    ScopeFailed,
    SignalReceived,
    StepCompleted,
    StepFailed,
    StepWaiting,
    Waits,
)
from weft.server.store.execution_codec import decode_event, encode_event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAILURE = Failure(reason="SOLD_OUT", message="none left", code=Code.ABORTED, domain="workflow.weft")
ASKED = Asked(
    title="Pay?", assignees=("ann", "bob"), due_time=NOW + timedelta(days=1), outcomes=("yes", "no")
)
BODIES: list[EventBody] = [
    MapStarted(step_id="each", count=2, items=b'{"list":[1,2]}'),
    StepWaiting(step_id="each[0]/w", waits=Waits.TIMER, until=NOW),
    StepWaiting(step_id="s", waits=Waits.SIGNAL, signal="paid", correlation="7"),
    StepWaiting(step_id="a", waits=Waits.APPROVAL, until=NOW, asked=ASKED),
    StepWaiting(step_id="c", waits=Waits.CHILD, child="exe_1"),
    SignalReceived(signal_id="1", name="paid", correlation="7", payload=b'{"x":1}'),
    ScopeCompleted(scope="each[0]", output=b'{"y":1}'),
    ScopeFailed(scope="each[1]", failure=FAILURE),
    EventEmitted(step_id="e", type="order.shipped", data=b"{}"),
    ExecutionClosing(outcome=Outcome.COMPLETED, result=b'{"z":1}'),
    ExecutionClosing(outcome=Outcome.FAILED, failure=FAILURE, undo=("b", "a")),
    ExecutionClosing(outcome=Outcome.CANCELLED, reason="no more"),
    StepCompleted(step_id="w", attempt=1, output=b"{}", next="x", signal_id="1"),
    StepCompleted(step_id="w", attempt=1, output=b"{}", next=""),
    StepFailed(step_id="w", attempt=1, failure=FAILURE, handled=True),
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_every_event_is_read_back_as_it_was_written(body: EventBody) -> None:
    """Whatever it says."""
    event = Event(7, NOW, body)
    assert decode_event(encode_event(event)) == event


def test_what_says_nothing_new_is_written_as_before() -> None:
    """So that the release before this one can read it."""
    row = encode_event(Event(1, NOW, StepCompleted(step_id="a", attempt=1, output=b"{}")))
    assert row.attributes == '{"step_id":"a","attempt":1,"output":null,"instance_id":""}'
