"""What becomes of one run of a schedule: it is started, left out, or waits for its turn."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from typing import Final

from weft.core.errors import Code, ServiceUnavailableError, WeftError
from weft.core.reasons import Reason
from weft.server.execution.history.model import Execution, Failure
from weft.server.schedule.model import (
    MAX_PENDING,
    Overlap,
    Plan,
    Run,
    RunState,
    Schedule,
    ScheduleState,
)
from weft.server.schedule.starts import Executions
from weft.server.store.schedules import TurnRuns

__all__ = ["Decisions", "NotNowError", "failure"]

_log = logging.getLogger("weft.server.schedules")

_LATER: Final = frozenset({Reason.ENGINE_FULL, Reason.STORE_FULL})
"""Reasons for which a start is tried again."""
_MAX_NOTE: Final = 1_024


class NotNowError(Exception):
    """It cannot be started now, but may be later."""


class Decisions:
    """Decides about runs, and keeps what follows from that.

    Args:
        schedule: As it was claimed.
        todo: What it has to look after.
        executions: Starts and ends them.
        now: The time.
    """

    def __init__(self, schedule: Schedule, todo: TurnRuns, executions: Executions, now: datetime) -> None:
        self._schedule = schedule
        self._executions = executions
        self._now = now
        self._open = list(todo.open)
        self._more = schedule.counts.open > len(todo.open)
        self._waiting = {run.number: run for run in todo.pending}
        self._pending = schedule.counts.pending
        self._changed: list[Run] = []
        self._starts = 0

    async def _decide(self, run: Run, *, known: bool) -> Run:
        """Start a run, leave it out, or let it wait.

        Args:
            run: Which; with a number when it waits already.
            known: Whether it is known that nothing was started for it.

        Raises:
            NotNowError: It cannot be done now.
        """
        if not known and (execution := await self._executions.recall(self._schedule, run)) is not None:
            return self._started(run, execution)
        if run.overlap is not Overlap.ALLOW_ALL:
            if self._open and (waits := await self._yield_to_open(run)) is not None:
                return waits
            if self._more:  # open ones that it has not looked at
                raise NotNowError
        return await self._start(run)

    async def _yield_to_open(self, run: Run) -> Run | None:
        """Return what becomes of a run beside open executions; None: they have ended, it starts."""
        match run.overlap:
            case Overlap.BUFFER_ALL:
                full = not run.number and self._pending >= MAX_PENDING
                return self._left_out(run, Reason.SCHEDULE_BUFFER_FULL) if full else run
            case Overlap.BUFFER_ONE:
                first = min((it.number for it in self._waiting.values()), default=None)
                waits = first == run.number if run.number else not self._pending
                return run if waits else self._left_out(run)
            case Overlap.CANCEL_OTHER | Overlap.TERMINATE_OTHER:
                return await self._end_open(run)
            case _:
                return self._left_out(run)

    async def _end_open(self, run: Run) -> Run | None:
        at_once = run.overlap is Overlap.TERMINATE_OTHER
        ids = [each.execution_id for each in self._open]
        try:
            await self._executions.end(ids, f"schedule {self._schedule.name} starts anew", at_once=at_once)
        except ServiceUnavailableError as error:
            raise NotNowError from error
        if at_once:
            return None
        found = await self._executions.find(ids)
        if all(execution.state.final for execution in found.values()):
            return None
        for other in list(self._waiting.values()):  # the newer one takes its place
            older = not run.number or other.number < run.number
            if older and other.overlap is Overlap.CANCEL_OTHER and other.kind is run.kind:
                self._keep(other, self._left_out(other))
        return run

    async def _start(self, run: Run) -> Run:
        self._starts += 1
        try:
            execution = await self._executions.start(self._schedule, run)
        except WeftError as error:
            if isinstance(error, ServiceUnavailableError) or error.reason in _LATER:
                _log.warning("schedule %s waits: %s", self._schedule.name, error)
                raise NotNowError from error
            self._failed(f"nothing could be started for {run.planned_time.isoformat()}: {error}")
            return self._over(run, RunState.FAILED, Failure.of(error))
        return self._started(run, execution)

    def _started(self, run: Run, execution: Execution) -> Run:
        state = RunState.ENDED if execution.state.final else RunState.STARTED
        started = replace(run, state=state, execution_id=execution.id, time=execution.create_time)
        if state is RunState.STARTED:
            self._open.append(started)
        last = self._schedule.plan.last_time
        self._plan(replace(self._schedule.plan, last_time=max(run.planned_time, last or run.planned_time)))
        return started

    def _left_out(self, run: Run, reason: Reason = Reason.SCHEDULE_OVERLAP) -> Run:
        text = f"{self._open[0].execution_id} is open"
        if reason is Reason.SCHEDULE_BUFFER_FULL:
            text += f", and {MAX_PENDING:,} runs wait for their turn"
        return self._over(run, RunState.SKIPPED, failure(reason, text))

    def _over(self, run: Run, state: RunState, failure: Failure) -> Run:
        return replace(run, state=state, time=self._now, failure=failure)

    def _keep(self, before: Run, after: Run) -> None:
        """Take note of what came of a run that waited."""
        if after.state is not RunState.PENDING:
            self._pending -= 1
            self._waiting.pop(before.number, None)
            self._changed.append(after)

    def _failed(self, why: str) -> None:
        """Pause, where a failure has to."""
        schedule = self._schedule
        if not schedule.policies.pause_on_failure or schedule.state is not ScheduleState.ACTIVE:
            return
        self._schedule = replace(
            schedule,
            state=ScheduleState.PAUSED,
            note=f"paused on failure: {why}"[:_MAX_NOTE],
            plan=replace(schedule.plan, next_time=None),
            revision=schedule.revision + 1,
            update_time=self._now,
        )

    def _plan(self, plan: Plan) -> None:
        self._schedule = replace(self._schedule, plan=plan)


def failure(reason: Reason, message: str) -> Failure:
    """Say why a run was not started."""
    return Failure(reason=reason.value, message=message, code=Code.FAILED_PRECONDITION)
