"""What a history adds up to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from weft.core.context import CallContext
from weft.core.errors import Code
from weft.core.testing import ManualClock
from weft.server.execution.history.model import (
    Event,
    EventBody,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    ExecutionState,
    ExecutionTimedOut,
    Failure,
    StepCompleted,
    StepFailed,
    StepScheduled,
)
from weft.server.execution.history.numbered import number_events
from weft.server.execution.history.standing import Standing
from weft.server.execution.history.step_states import StepExecution, Steps, StepState, fold_steps

START = datetime(2026, 1, 1, tzinfo=UTC)
FAILURE = Failure(reason="NO", message="no", code=Code.ABORTED)


def history(*bodies: EventBody) -> list[Event]:
    """One event each second."""
    return [
        Event(number, START + timedelta(seconds=number), body) for number, body in enumerate(bodies, start=1)
    ]


def scheduled(step_id: str, attempt: int = 1) -> StepScheduled:
    return StepScheduled(step_id=step_id, attempt=attempt)


def completed(step_id: str) -> StepCompleted:
    return StepCompleted(step_id=step_id, attempt=1, output=b"{}")


STARTED = ExecutionStarted(input=b"{}", context=CallContext(), workflow_id="wf", workflow_version=1)


def test_steps_stand_in_the_order_they_were_scheduled() -> None:
    """Each step with its state, times and attempt."""
    steps = fold_steps(history(STARTED, scheduled("z"), completed("z"), scheduled("a")))
    assert list(steps) == ["z", "a"]
    assert steps["z"] == StepExecution(
        step_id="z",
        state=StepState.COMPLETED,
        attempt=1,
        schedule_time=START + timedelta(seconds=2),
        end_time=START + timedelta(seconds=3),
    )
    assert (steps["a"].state, steps["a"].end_time) == (StepState.SCHEDULED, None)


def test_a_step_scheduled_again_keeps_its_first_time() -> None:
    """The attempt grows, the time of the first scheduling stays."""
    steps = fold_steps(history(STARTED, scheduled("a"), scheduled("a", 2), scheduled("a", 3)))
    assert (steps["a"].attempt, steps["a"].schedule_time) == (3, START + timedelta(seconds=2))


def test_a_failed_step_keeps_why() -> None:
    """Failure and end time; the execution's failure after it changes nothing."""
    failed = StepFailed(step_id="a", attempt=1, failure=FAILURE)
    steps = fold_steps(history(STARTED, scheduled("a"), failed, ExecutionFailed(failure=FAILURE)))
    assert (steps["a"].state, steps["a"].failure) == (StepState.FAILED, FAILURE)
    assert steps["a"].end_time == START + timedelta(seconds=3)


@pytest.mark.parametrize(
    "end",
    [
        ExecutionCancelled(),
        ExecutionTimedOut(timeout=timedelta(seconds=1)),
        ExecutionFailed(failure=FAILURE),
    ],
)
def test_an_end_from_outside_cancels_what_was_scheduled(end: EventBody) -> None:
    """The step that was due is CANCELLED; those that were done stay as they are."""
    steps = fold_steps(history(STARTED, scheduled("a"), completed("a"), scheduled("b"), end))
    assert [step.state for step in steps.values()] == [StepState.COMPLETED, StepState.CANCELLED]
    assert steps["b"].end_time == START + timedelta(seconds=5)


def test_folding_one_by_one_is_folding_all() -> None:
    """What memory keeps up to date is what a reader of the whole history gets."""
    events = history(
        STARTED, scheduled("a"), completed("a"), scheduled("b"), scheduled("b", 2), ExecutionCancelled()
    )
    steps = Steps()
    for count, event in enumerate(events, start=1):
        steps.apply(event)
        assert steps.by_path == fold_steps(events[:count])


def test_numbers_follow_on_and_share_a_moment() -> None:
    """What is recorded together has consecutive numbers and one time."""
    clock = ManualClock(START)
    events = number_events(7, (completed("a"), scheduled("b")), clock)
    assert [(event.number, event.time) for event in events] == [(8, START), (9, START)]


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (STARTED, ExecutionState.RUNNING),
        (scheduled("a"), ExecutionState.RUNNING),
        (completed("a"), ExecutionState.RUNNING),
        (StepFailed(step_id="a", attempt=1, failure=FAILURE), ExecutionState.RUNNING),
        (ExecutionCompleted(result=b"{}"), ExecutionState.COMPLETED),
        (ExecutionFailed(failure=FAILURE), ExecutionState.FAILED),
        (ExecutionCancelled(), ExecutionState.CANCELLED),
        (ExecutionTimedOut(timeout=timedelta(seconds=1)), ExecutionState.TIMED_OUT),
    ],
)
def test_the_state_after_each_event(body: EventBody, state: ExecutionState) -> None:
    """Only the four final events end an execution."""
    standing = Standing()
    for event in history(STARTED, scheduled("a"), body):
        standing.apply(event)
    assert standing.state is state
    assert state.final is (state is not ExecutionState.RUNNING)
