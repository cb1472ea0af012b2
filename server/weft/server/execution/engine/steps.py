"""Runs one attempt of a step, and says what is to be recorded of it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import InternalError, WeftError
from weft.core.payload import JsonObject, loads
from weft.core.schema import Schema
from weft.server.execution.engine.dispatch import CallIdentity, Dispatcher, Listening, Outcome
from weft.server.execution.engine.heartbeat import Pulse
from weft.server.execution.engine.step_cache import KeptOutput, StepCache
from weft.server.execution.engine.traces import ExecutionTraces
from weft.server.execution.history.model import (
    EventBody,
    ExecutionFailed,
    Failure,
    StepAccepted,
    StepProgressed,
)
from weft.server.execution.history.paths import UNDO
from weft.server.execution.history.place import Place
from weft.server.execution.history.plan import PlannedStep
from weft.server.execution.history.run import Run
from weft.server.execution.rules.endings import completed, failed
from weft.server.execution.rules.names import merged, names, output_to_undo
from weft.server.execution.rules.retry import after_failure
from weft.server.workflow.dataflow import implicit_input

__all__ = ["StepRunner", "action_input"]

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
        cache: Keeps what steps gave that say so; none: nothing is kept.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        traces: ExecutionTraces,
        clock: Clock,
        note: Callable[[Run, Place, bytes], None],
        chance: Callable[[], float] = random.random,
        cache: StepCache | None = None,
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._dispatcher = dispatcher
        self._traces = traces
        self._note = note
        self._chance = chance

    async def run(self, run: Run, place: Place) -> tuple[EventBody, ...]:
        """Run the attempt that is scheduled at a place, and return how it went."""
        if not self._traces.records:
            return await self._run(run, place)
        with self._traces.attempt(run, place) as span:
            bodies = await self._run(run, place)
            self._traces.recorded(span, bodies)
        return bodies

    async def _run(self, run: Run, place: Place) -> tuple[EventBody, ...]:
        planned = place.planned
        pulse = Pulse(run, place, planned.step.heartbeat_timeout if planned else None, self._note)
        try:
            async with pulse:
                outcome = await self._call(run, place, planned, pulse)
            return self._ended(run, place, outcome)
        except WeftError as error:
            instance_id = error.metadata.get("instance_id", "")
            failed = self.failed(place, Failure.of(error), instance_id, error.retry_after)
        except Exception as error:  # a defect must end the execution, not wedge it
            _log.exception("step %s: a defect of the engine", place.path)
            failed = self.failed(place, Failure.of(InternalError(f"{type(error).__name__}: {error}")))
        # The next attempt is given what this one told last.
        return (_progress(place, pulse.untold), *failed) if pulse.untold else failed

    async def _call(self, run: Run, place: Place, planned: PlannedStep | None, pulse: Pulse) -> Outcome:
        if planned is None:
            raise InternalError(f"the workflow has no step {place.path!r}")
        step = planned.step
        identity = CallIdentity(
            execution_id=run.execution.id,
            workflow_id=run.execution.workflow_id,
            step_id=place.path,
            attempt=place.attempt,
            idempotency_key=f"{run.execution.id}/{place.path}",
            context=run.execution.context,
        )
        kept = self._kept(run, place, planned)
        outcome = await self._dispatcher.call(
            step.service,
            step.action,
            lambda schema: action_input(run, place, planned, schema),
            identity,
            step.timeout,
            at_most=self._left(run, place, planned),
            versions=planned.versions,
            listening=Listening(timeout=step.heartbeat_timeout, details=place.progress, pulse=pulse),
            recall=kept.look if kept is not None else None,
        )
        if kept is not None and not outcome.recalled and not outcome.pending:
            await kept.keep(outcome.text)
        return outcome

    def _kept(self, run: Run, place: Place, planned: PlannedStep) -> KeptOutput | None:
        """Return the place of what the step gives in the cache; None when it is not kept."""
        wanted = planned.step.cache
        if self._cache is None or wanted is None:
            return None
        text = planned.texts["cache.key"].render(names(run, place))
        return KeptOutput(self._cache, run.execution.workflow_id, planned.step.id, text, wanted.ttl)

    def _left(self, run: Run, place: Place, planned: PlannedStep) -> timedelta | None:
        """Return how long a call may take at the most: what nobody waits for is not worked on."""
        to_close, expire_time = planned.step.schedule_to_close_timeout, run.execution.expire_time
        if to_close is None and expire_time is None:
            return None
        now, limits = self._clock.now(), []
        if expire_time is not None:
            limits.append(max(expire_time - now, timedelta()) + _MARGIN)
        if to_close is not None:
            since = place.since or now
            limits.append(max(since + to_close - now, timedelta()))
        return min(limits, default=None)

    def _ended(self, run: Run, place: Place, outcome: Outcome) -> tuple[EventBody, ...]:
        if not outcome.pending:
            done = completed(
                run,
                place,
                outcome.text,
                value=outcome.output,
                instance_id=outcome.instance_id,
                compensation=outcome.compensation,
            )
            return (done,)
        accepted = StepAccepted(
            step_id=place.path,
            attempt=place.attempt,
            close_time=self._clock.now() + outcome.limit,
            instance_id=outcome.instance_id,
        )
        return (accepted,)

    def told(self, run: Run, place: Place, output: bytes, compensation: str) -> tuple[EventBody, ...]:
        """Return what is recorded of an output that came later, and fits its schema."""
        try:
            return (completed(run, place, output, value=loads(output), compensation=compensation),)
        except WeftError as error:
            return self.failed(place, Failure.of(error))

    def failed(
        self, place: Place, failure: Failure, instance_id: str = "", asked: timedelta | None = None
    ) -> tuple[EventBody, ...]:
        """Return what is recorded of an attempt that failed, and asks for a pause perhaps."""
        # Not the message: it may quote values of the payload, which have no place in a log.
        _log.info("step %s failed: %s", place.path, failure.reason)
        planned = place.planned
        if planned is None:  # this release does not know it
            return (ExecutionFailed(failure=failure),)
        following = after_failure(
            planned.step, place, failure, self._clock.now(), self._chance, instance_id, asked
        )
        return following or (failed(place, failure, instance_id),)


def _progress(place: Place, details: bytes) -> StepProgressed:
    return StepProgressed(step_id=place.path, attempt=place.attempt, details=details)


def action_input(run: Run, place: Place, planned: PlannedStep, schema: Schema) -> JsonObject:
    """Make the input of the attempt that is scheduled at a place.

    Raises:
        PreconditionError: EXPRESSION_FAILED.
    """
    if place.input is not None:
        return loads(place.input)
    if place.scope == UNDO:
        return _undo_input(run, place, planned, schema)
    if planned.template is None:
        return implicit_input(schema, merged(run, place))
    return planned.template.render(names(run, place))


def _undo_input(run: Run, place: Place, planned: PlannedStep, schema: Schema) -> JsonObject:
    """Make the input of what undoes a step: its output is there by name, and wins over all else."""
    output = loads(output_to_undo(run, place.path))
    if planned.template is None:
        return implicit_input(schema, {**merged(run, place), **output})
    return planned.template.render({**names(run, place), "output": output})
