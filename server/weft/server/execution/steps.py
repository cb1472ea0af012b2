"""Runs one step of an execution once, and says what is to be recorded of it."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import InternalError, PreconditionError, WeftError
from weft.core.payload import JsonObject
from weft.core.reasons import Reason
from weft.core.schema import Schema
from weft.server.execution.dispatch import CallIdentity, Dispatcher, Outcome
from weft.server.execution.model import (
    EventBody,
    ExecutionCompleted,
    ExecutionFailed,
    Failure,
    StepCompleted,
    StepFailed,
    StepScheduled,
)
from weft.server.execution.plan import PlannedStep
from weft.server.execution.run import Run
from weft.server.execution.traces import ExecutionTraces
from weft.server.workflow.dataflow import implicit_input

__all__ = ["StepRunner"]

_log = logging.getLogger("weft.server.engine")

_MARGIN: Final = timedelta(seconds=1)
"""The timeout of the execution itself comes first, and cancels the call."""


class StepRunner:
    """Runs steps.

    Args:
        dispatcher: Calls their actions.
        traces: Holds a span around each attempt.
        clock: For what is left of an execution's time.
    """

    def __init__(self, dispatcher: Dispatcher, traces: ExecutionTraces, clock: Clock) -> None:
        self._clock = clock
        self._dispatcher = dispatcher
        self._traces = traces

    async def run(self, run: Run) -> tuple[EventBody, ...]:
        """Run the scheduled step, and return how it went and what follows."""
        with self._traces.attempt(run) as span:
            bodies = await self._run(run)
            self._traces.recorded(span, bodies)
        return bodies

    async def _run(self, run: Run) -> tuple[EventBody, ...]:
        try:
            return await self._attempt(run, run.plan.steps[run.step_id])
        except WeftError as error:
            return _failed(run, error)
        except Exception as error:  # a defect must end the execution, not wedge it
            _log.exception("step %s: a defect of the engine", run.step_id)
            return _failed(run, InternalError(f"{type(error).__name__}: {error}"))

    async def _attempt(self, run: Run, planned: PlannedStep) -> tuple[EventBody, ...]:
        step = planned.step
        identity = CallIdentity(
            execution_id=run.execution.id,
            workflow_id=run.execution.workflow_id,
            step_id=step.id,
            attempt=run.attempt,
            idempotency_key=f"{run.execution.id}/{step.id}",
            context=run.execution.context,
        )

        def make_input(schema: Schema) -> JsonObject:
            if planned.template is None:
                return implicit_input(schema, run.input(), run.outputs().values())
            return planned.template.render(_scope(run))

        outcome = await self._dispatcher.call(
            step.service,
            step.action,
            make_input,
            identity,
            step.timeout,
            at_most=self._left(run),
            versions=planned.versions,
        )
        return _succeeded(run, planned, outcome)

    def _left(self, run: Run) -> timedelta | None:
        """Return how long a call may take at the most: what nobody waits for is not worked on."""
        end = run.execution.expire_time
        return None if end is None else max(end - self._clock.now(), timedelta()) + _MARGIN


def _succeeded(run: Run, planned: PlannedStep, outcome: Outcome) -> tuple[EventBody, ...]:
    completed = StepCompleted(
        step_id=planned.step.id,
        attempt=run.attempt,
        output=outcome.text,
        instance_id=outcome.instance_id,
    )
    if planned.step.next:
        return completed, StepScheduled(step_id=planned.step.next)
    violations = run.plan.output_schema.violations(outcome.output, "result")
    if not violations:
        return completed, ExecutionCompleted(result=outcome.text)
    error = PreconditionError(
        f"the result does not fit the workflow's output schema: {violations[0]}",
        reason=Reason.RESULT_INVALID,
        violations=violations,
    )
    return completed, ExecutionFailed(failure=Failure.of(error))


def _failed(run: Run, error: WeftError) -> tuple[EventBody, ...]:
    failure = Failure.of(error)
    # Not the message: it may quote values of the payload, which have no place in a log.
    _log.info("step %s failed: %s", run.step_id, failure.reason)
    failed = StepFailed(
        step_id=run.step_id,
        attempt=run.attempt,
        failure=failure,
        instance_id=error.metadata.get("instance_id", ""),
    )
    return failed, ExecutionFailed(failure=failure)


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
