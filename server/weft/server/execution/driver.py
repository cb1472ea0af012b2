"""Drives one execution: does what its history says is next, until it ends or waits in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from typing import Final, Protocol

from weft.core.clock import Clock
from weft.core.errors import DeadlineExceededError, WeftError
from weft.core.reasons import Reason
from weft.server.execution.limits import Turns
from weft.server.execution.model import EventBody, Failure, StepCompleted, StepScheduled, Waits
from weft.server.execution.run import Decide, Run
from weft.server.execution.standing import Phase
from weft.server.execution.steps import StepRunner

__all__ = ["Driver"]

_NOTHING: Final[tuple[EventBody, ...]] = ()


class Owner(Protocol):
    """Who has the executions that are driven."""

    @property
    def draining(self) -> bool:
        """Whether no step is to be started any more."""
        ...

    def require_lease(self) -> None:
        """Raise ``StoreUnavailableError`` when others may have by now what is owned here."""
        ...

    @property
    def paused_workflows(self) -> Collection[str]:
        """Whose executions schedule no step."""
        ...

    async def record(self, run: Run, decide: Decide) -> None:
        """Record what happened."""
        ...

    async def park(self, run: Run, waits: Waits) -> None:
        """Let it wait in the store."""
        ...

    def release(self, run: Run, error: WeftError) -> None:
        """Let go of it in memory."""
        ...


class Driver:
    """Drives executions.

    Args:
        owner: Who has them.
        steps: Runs their attempts.
        turns: How many attempts run at the same time.
        clock: Tells when an attempt is due.
    """

    def __init__(self, owner: Owner, steps: StepRunner, turns: Turns, clock: Clock) -> None:
        self._owner = owner
        self._steps = steps
        self._turns = turns
        self._clock = clock

    async def drive(self, run: Run) -> None:
        """Go on until there is nothing to do here.

        Raises:
            StaleWriteError: It is not this server's any more.
            StoreUnavailableError: Of the store.
        """
        while not run.released and not self._owner.draining:
            await self._advance(run)

    async def _advance(self, run: Run) -> None:
        standing = run.standing
        if standing.paused and standing.phase is not Phase.ACCEPTED:
            await self._owner.park(run, Waits.RESUME)
            return
        match standing.phase:
            case Phase.READY:
                await self._go_on(run, run.next_step())
            case Phase.SCHEDULED:
                await self._attempt(run)
            case Phase.RETRYING:
                await self._retry(run)
            case Phase.ACCEPTED:
                await self._await_outcome(run)
            case _:
                await self._owner.park(run, Waits.INCIDENT)

    def _held(self, run: Run) -> bool:
        """Tell whether no step of it is to be scheduled now."""
        return self._owner.draining or run.execution.workflow_id in self._owner.paused_workflows

    async def _go_on(self, run: Run, step: StepScheduled) -> None:
        """Schedule an attempt, unless the execution or its workflow is paused."""
        if run.execution.workflow_id in self._owner.paused_workflows:
            await self._owner.park(run, Waits.WORKFLOW)
            return
        phase = run.standing.phase

        def decide(run: Run) -> tuple[EventBody, ...]:
            standing = run.standing
            return _NOTHING if standing.paused or standing.phase is not phase else (step,)

        await self._owner.record(run, decide)

    async def _attempt(self, run: Run) -> None:
        """Run the scheduled attempt, and record how it went and what follows."""
        attempt = run.attempt
        async with self._turns.turn(run.service):
            if self._owner.draining or run.released:
                return  # its turn came too late
            self._owner.require_lease()
            run.in_flight = True
            try:
                bodies = await self._steps.run(run)
            finally:
                run.in_flight = False

        def decide(run: Run) -> tuple[EventBody, ...]:
            standing = run.standing
            if standing.phase is not Phase.SCHEDULED or standing.attempt != attempt:
                return _NOTHING  # its outcome was told meanwhile
            return bodies if self._held(run) or standing.paused else _with_next(run, bodies)

        await self._owner.record(run, decide)

    async def _retry(self, run: Run) -> None:
        """Wait until the next attempt is due, and schedule it."""
        standing = run.standing
        if standing.retry_time is not None and not await self._wait_until(run, standing.retry_time):
            return
        await self._go_on(run, StepScheduled(step_id=run.step_id, attempt=run.attempt + 1, cause="retry"))

    async def _await_outcome(self, run: Run) -> None:
        """Wait until somebody tells how an attempt went; when nobody does in time, it failed."""
        planned = run.planned
        heartbeat = planned.step.heartbeat_timeout if planned else None
        until = run.standing.silent_at(heartbeat)
        if until is None or not await self._wait_until(run, until):
            return
        error = _silent(run, late=until == run.standing.close_time)
        attempt = run.attempt

        def decide(run: Run) -> tuple[EventBody, ...]:
            standing = run.standing
            if standing.phase is not Phase.ACCEPTED or standing.attempt != attempt:
                return _NOTHING
            return (
                self._steps.failed(run, Failure.of(error))
                if standing.silent_at(heartbeat) == until
                else _NOTHING
            )

        await self._owner.record(run, decide)

    async def _wait_until(self, run: Run, moment: datetime) -> bool:
        """Wait for a time; tell whether it came before any news of the run."""
        run.news.clear()
        while (left := (moment - self._clock.now()).total_seconds()) > 0:
            sleeping = asyncio.create_task(self._clock.sleep(left))
            news = asyncio.create_task(run.news.wait())
            try:
                await asyncio.wait((sleeping, news), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (sleeping, news):
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
            if run.news.is_set():
                return False
        return True


def _with_next(run: Run, bodies: tuple[EventBody, ...]) -> tuple[EventBody, ...]:
    """Add that the next step is scheduled, where a step is done and another one follows."""
    planned = run.planned
    if len(bodies) != 1 or planned is None or not isinstance(bodies[0], StepCompleted):
        return bodies
    return *bodies, StepScheduled(step_id=planned.step.next)


def _silent(run: Run, *, late: bool) -> DeadlineExceededError:
    if late:
        text, reason = "did not tell its outcome in time", Reason.ACTION_TIMEOUT
    else:
        text, reason = "was not heard of for its heartbeat timeout", Reason.HEARTBEAT_TIMEOUT
    return DeadlineExceededError(
        f"step {run.step_id}, attempt {run.attempt}, {text}",
        reason=reason,
        metadata={"step_id": run.step_id, "attempt": str(run.attempt)},
    )
