"""Runs one attempt of a step, and says what is to be recorded of it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import InternalError, PreconditionError, WeftError
from weft.core.payload import JsonObject, loads
from weft.core.reasons import Reason
from weft.core.schema import Schema
from weft.server.execution.dispatch import CallIdentity, Dispatcher, Listening, Outcome
from weft.server.execution.heartbeat import Pulse
from weft.server.execution.model import (
    EventBody,
    ExecutionCompleted,
    ExecutionFailed,
    Failure,
    StepAccepted,
    StepCompleted,
    StepProgressed,
)
from weft.server.execution.plan import PlannedStep
from weft.server.execution.retry import after_failure
from weft.server.execution.run import Run
from weft.server.execution.traces import ExecutionTraces
from weft.server.workflow.dataflow import implicit_input

__all__ = ["StepRunner"]

_log = logging.getLogger("weft.server.engine")

_MARGIN: Final = timedelta(seconds=1)
"""The timeout of the execution itself comes first, and cancels the call."""


class StepRunner:
    """Runs attempts.

    Args:
        dispatcher: Calls their actions.
        traces: Holds a span around each attempt.
        clock: For what is left of an execution's time.
        note: Takes what a running attempt tells, for the history.
        chance: Returns numbers in [0, 1), for the jitter of pauses.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        traces: ExecutionTraces,
        clock: Clock,
        note: Callable[[Run, bytes], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._dispatcher = dispatcher
        self._traces = traces
        self._note = note
        self._chance = chance

    async def run(self, run: Run) -> tuple[EventBody, ...]:
        """Run the scheduled attempt, and return how it went."""
        if not self._traces.records:
            return await self._run(run)
        with self._traces.attempt(run) as span:
            bodies = await self._run(run)
            self._traces.recorded(span, bodies)
        return bodies

    async def _run(self, run: Run) -> tuple[EventBody, ...]:
        planned = run.planned
        pulse = Pulse(run, planned.step.heartbeat_timeout if planned else None, self._note)
        try:
            async with pulse:
                outcome = await self._call(run, pulse)
            return self._ended(run, outcome)
        except WeftError as error:
            failed = self.failed(run, Failure.of(error), error.metadata.get("instance_id", ""))
        except Exception as error:  # a defect must end the execution, not wedge it
            _log.exception("step %s: a defect of the engine", run.step_id)
            failed = self.failed(run, Failure.of(InternalError(f"{type(error).__name__}: {error}")))
        # The next attempt is given what this one told last.
        return (_progress(run, pulse.untold), *failed) if pulse.untold else failed

    async def _call(self, run: Run, pulse: Pulse) -> Outcome:
        planned = _planned(run)
        step = planned.step
        identity = CallIdentity(
            execution_id=run.execution.id,
            workflow_id=run.execution.workflow_id,
            step_id=step.id,
            attempt=run.attempt,
            idempotency_key=f"{run.execution.id}/{step.id}",
            context=run.execution.context,
        )
        return await self._dispatcher.call(
            step.service,
            step.action,
            lambda schema: _input(run, planned, schema),
            identity,
            step.timeout,
            at_most=self._left(run, planned),
            versions=planned.versions,
            listening=Listening(timeout=step.heartbeat_timeout, details=run.standing.progress, pulse=pulse),
        )

    def _left(self, run: Run, planned: PlannedStep) -> timedelta | None:
        """Return how long a call may take at the most: what nobody waits for is not worked on."""
        to_close, expire_time = planned.step.schedule_to_close_timeout, run.execution.expire_time
        if to_close is None and expire_time is None:
            return None
        now, limits = self._clock.now(), []
        if expire_time is not None:
            limits.append(max(expire_time - now, timedelta()) + _MARGIN)
        if to_close is not None:
            since = run.standing.since or now
            limits.append(max(since + to_close - now, timedelta()))
        return min(limits, default=None)

    def _ended(self, run: Run, outcome: Outcome) -> tuple[EventBody, ...]:
        if not outcome.pending:
            run.know(outcome.text, outcome.output)
            return _completed(run, outcome.text, outcome.output, outcome.instance_id)
        accepted = StepAccepted(
            step_id=run.step_id,
            attempt=run.attempt,
            close_time=self._clock.now() + outcome.limit,
            instance_id=outcome.instance_id,
        )
        return (accepted,)

    def told(self, run: Run, output: bytes) -> tuple[EventBody, ...]:
        """Return what is recorded of an output that came later, and fits its schema."""
        return _completed(run, output, loads(output))

    def failed(self, run: Run, failure: Failure, instance_id: str = "") -> tuple[EventBody, ...]:
        """Return what is recorded of an attempt that failed."""
        # Not the message: it may quote values of the payload, which have no place in a log.
        _log.info("step %s failed: %s", run.step_id, failure.reason)
        planned = run.planned
        if planned is None:  # this release does not know it
            return (ExecutionFailed(failure=failure),)
        now = self._clock.now()
        return after_failure(planned.step, run.standing, failure, now, self._chance, instance_id)


def _planned(run: Run) -> PlannedStep:
    if run.planned is None:
        raise InternalError(f"the workflow has no step {run.step_id!r}")
    return run.planned


def _progress(run: Run, details: bytes) -> StepProgressed:
    return StepProgressed(step_id=run.step_id, attempt=run.attempt, details=details)


def _completed(run: Run, text: bytes, output: JsonObject, instance_id: str = "") -> tuple[EventBody, ...]:
    completed = StepCompleted(step_id=run.step_id, attempt=run.attempt, output=text, instance_id=instance_id)
    if _planned(run).step.next:
        return (completed,)
    violations = run.plan.output_schema.violations(output, "result")
    if not violations:
        return completed, ExecutionCompleted(result=text)
    error = PreconditionError(
        f"the result does not fit the workflow's output schema: {violations[0]}",
        reason=Reason.RESULT_INVALID,
        violations=violations,
    )
    return completed, ExecutionFailed(failure=Failure.of(error))


def _input(run: Run, planned: PlannedStep, schema: Schema) -> JsonObject:
    if run.standing.input is not None:
        return loads(run.standing.input)
    if planned.template is None:
        return implicit_input(schema, run.merged())
    return planned.template.render(_scope(run))


def _scope(run: Run) -> dict[str, object]:
    """Return the names that an expression may use."""
    execution = run.execution
    return {
        "input": run.input(),
        "steps": run.outputs(),
        "context": {"project_id": "", "request_id": "", **execution.context.flat()},
        "execution": {
            "id": execution.id,
            "workflow_id": execution.workflow_id,
            "workflow_name": execution.workflow_name,
            "workflow_version": execution.workflow_version,
            "create_time": execution.create_time.isoformat(),
        },
    }
