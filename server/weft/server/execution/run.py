"""An execution that this server owns: the cache of its history, and the only way to add to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from weft.core.clock import Clock
from weft.core.errors import CallCancelledError, DeadlineExceededError
from weft.core.payload import JsonObject, loads
from weft.core.reasons import Reason
from weft.server.execution.hub import Hub
from weft.server.execution.model import (
    Event,
    EventBody,
    Execution,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    ExecutionState,
    ExecutionTimedOut,
    Failure,
    StepCompleted,
    StepExecution,
    StepScheduled,
    TraceLink,
    fold_event,
)
from weft.server.execution.plan import Plan
from weft.server.store.base import ExecutionStore, StaleWriteError
from weft.server.workflow.model import Step

__all__ = ["ExecutionDetails", "Run", "first_events", "number_events", "state_after", "summarize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionDetails:
    """An execution with everything that its history adds up to."""

    execution: Execution
    """The summary."""
    steps: tuple[StepExecution, ...]
    """Every step that was scheduled so far."""
    defined: Mapping[str, Step]
    """The steps of its workflow's version, by id; empty when that is gone."""
    input: bytes | None
    """JSON text; none when it was not asked for."""
    result: bytes | None
    """JSON text; none unless it is COMPLETED and was asked for."""


class Run:
    """One open execution in memory.

    Its input and outputs are kept as text, and read when a step needs them: parsed
    they take up to thirty times as much, and most executions wait most of the time.

    Attributes:
        execution: Its summary, as stored.
        plan: What it runs.
        step_id: The step that is scheduled.
        attempt: Which attempt of it.
        result: JSON text of the result; empty until it is COMPLETED.
        trace: How it hangs in its trace.
        ended: Resolves with the summary in its final state, or fails when this
            server lets go of the execution before that.
    """

    def __init__(self, execution: Execution, plan: Plan, history: Iterable[Event]) -> None:
        self.execution = execution
        self.plan = plan
        self.step_id = plan.first
        self.attempt = 1
        self.result = b""
        self.trace = TraceLink()
        self.ended: asyncio.Future[Execution] = asyncio.get_running_loop().create_future()
        self.ended.add_done_callback(_retrieve)
        self.task: asyncio.Task[None] | None = None
        self.lock = asyncio.Lock()
        self._input = b"{}"
        self._outputs: dict[str, bytes] = {}
        self._steps: dict[str, StepExecution] = {}
        for event in history:
            self._apply(event)

    @property
    def size(self) -> int:
        """How many bytes of payload it holds."""
        return len(self._input) + sum(map(len, self._outputs.values()))

    @property
    def service(self) -> str:
        """Whose turn the scheduled step needs; an unknown step needs nobody's."""
        planned = self.plan.steps.get(self.step_id)
        return planned.step.service if planned else ""

    def input(self) -> JsonObject:
        """Return what it was started with."""
        return loads(self._input)

    def outputs(self) -> dict[str, JsonObject]:
        """Return what its steps gave so far, in that order."""
        return {step_id: loads(text) for step_id, text in self._outputs.items()}

    async def record(self, store: ExecutionStore, hub: Hub, clock: Clock, *bodies: EventBody) -> None:
        """Add to the history durably, then to this cache of it.

        Raises:
            StaleWriteError: The execution has ended, or somebody else wrote to it.
            StoreUnavailableError: Whether it is recorded is not known.
        """
        async with self.lock:
            if self.execution.state.final:
                raise StaleWriteError
            events = number_events(self.execution.last_event, bodies, clock)
            new = summarize(self.execution, events)
            await store.append_events(new, events, self.execution.last_event)
            self.execution = new
            for event in events:
                self._apply(event)
        hub.changed(new.id)
        if new.state.final and not self.ended.done():
            self.ended.set_result(new)

    def details(self) -> ExecutionDetails:
        """Return everything that the history adds up to."""
        return ExecutionDetails(
            execution=self.execution,
            steps=tuple(self._steps.values()),
            defined=self.plan.defined,
            input=self._input,
            result=self.result or None,
        )

    def _apply(self, event: Event) -> None:
        fold_event(self._steps, event)
        body = event.body
        match body:
            case ExecutionStarted():
                self._input, self.trace = body.input, body.trace
            case StepScheduled():
                self.step_id, self.attempt = body.step_id, body.attempt
            case StepCompleted():
                self._outputs[body.step_id] = body.output
            case ExecutionCompleted():
                self.result = body.result
            case _:
                pass


def first_events(started: ExecutionStarted, plan: Plan, clock: Clock) -> tuple[Event, ...]:
    """Return the beginning of a history: accepted, and the first step scheduled."""
    return number_events(0, (started, StepScheduled(step_id=plan.first)), clock)


def number_events(last: int, bodies: Sequence[EventBody], clock: Clock) -> tuple[Event, ...]:
    """Give the next numbers and the present time to what happened."""
    now = clock.now()
    return tuple(Event(last + offset, now, body) for offset, body in enumerate(bodies, start=1))


def state_after(body: EventBody) -> ExecutionState:
    """Return where an execution stands after an event."""
    return _final_state(body)[0]


def summarize(execution: Execution, events: Sequence[Event]) -> Execution:
    """Bring a summary up to date with further events."""
    newest = events[-1]
    state, failure = _final_state(newest.body)
    return replace(
        execution,
        last_event=newest.number,
        state=state,
        failure=failure,
        end_time=newest.time if state.final else None,
    )


def _final_state(body: EventBody) -> tuple[ExecutionState, Failure | None]:
    match body:
        case ExecutionCompleted():
            return ExecutionState.COMPLETED, None
        case ExecutionFailed():
            return ExecutionState.FAILED, body.failure
        case ExecutionCancelled():
            return ExecutionState.CANCELLED, Failure.of(_cancelled(body.reason))
        case ExecutionTimedOut():
            return ExecutionState.TIMED_OUT, Failure.of(_timed_out(body.timeout))
        case _:
            return ExecutionState.RUNNING, None


def _cancelled(reason: str) -> CallCancelledError:
    text = f"the execution was cancelled: {reason}" if reason else "the execution was cancelled"
    return CallCancelledError(text, reason=Reason.EXECUTION_CANCELLED)


def _timed_out(timeout: timedelta) -> DeadlineExceededError:
    seconds = f"{timeout.total_seconds():g}"
    return DeadlineExceededError(
        f"the execution did not end within {seconds} s",
        reason=Reason.EXECUTION_TIMEOUT,
        metadata={"timeout_seconds": seconds},
    )


def _retrieve(ended: asyncio.Future[Execution]) -> None:
    """Look at the outcome, so that nobody waiting for it is no complaint."""
    if not ended.cancelled():
        ended.exception()
