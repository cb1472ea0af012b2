"""One turn of a schedule: what is due is started, left out, or made to wait."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from weft.core.errors import Code, ServiceUnavailableError, WeftError
from weft.core.reasons import Reason
from weft.server.execution.model import Execution, ExecutionState, Failure
from weft.server.schedule.model import (
    MAX_PENDING,
    Overlap,
    Plan,
    Run,
    RunKind,
    RunState,
    Schedule,
    ScheduleState,
)
from weft.server.schedule.starts import Executions
from weft.server.schedule.times import Times, times_of
from weft.server.store.schedules import Turn, TurnRuns

__all__ = ["ScheduleTurn", "run_key"]

_log = logging.getLogger("weft.server.schedules")

_AT_ONCE: Final = 20
"""How many starts a turn makes before others have theirs."""
_TIMES: Final = 100
"""How many times it looks at, also when it starts nothing."""
_COUNTED: Final = 10_000
"""How many missed times of a spec with one entry are counted one by one; of one with more, fewer."""
_SOON: Final = timedelta(seconds=1)
_SELDOM: Final = timedelta(seconds=30)
_RARELY: Final = timedelta(minutes=10)
"""How often a long execution is looked at: where a failure pauses the schedule, and elsewhere."""
_BAD: Final = frozenset({ExecutionState.FAILED, ExecutionState.TIMED_OUT})
_LATER: Final = frozenset({Reason.ENGINE_FULL, Reason.STORE_FULL})
"""Reasons for which a start is tried again."""
_MAX_NOTE: Final = 1_024


def run_key(planned: datetime) -> str:
    """Return the key of what is started for a time."""
    return planned.strftime("%Y%m%dT%H%M%S.%f")


class _NotNowError(Exception):
    """It cannot be started now, but may be later."""


class ScheduleTurn:
    """Does what a schedule has to do now.

    Args:
        schedule: As it was claimed.
        todo: What it has to look after.
        executions: Starts and ends them.
        now: The time.
    """

    def __init__(self, schedule: Schedule, todo: TurnRuns, executions: Executions, now: datetime) -> None:
        self._before = schedule
        self._schedule = schedule
        self._executions = executions
        self._now = now
        self._times: Times = times_of(schedule.spec)
        self._todo = todo
        self._open = list(todo.open)
        self._waiting = {run.number: run for run in todo.pending}
        self._pending = schedule.counts.pending
        self._new: list[Run] = []
        self._changed: list[Run] = []
        self._starts = 0
        self._looked_at = 0
        self._again = False

    async def take(self) -> Turn:
        """Do it, and return what is to be recorded.

        Raises:
            ServiceUnavailableError: The store cannot be used; nothing is lost.
        """
        await self._look()
        try:
            await self._start_waiting()
            await self._start_due()
        except _NotNowError:
            self._again = True
        self._complete()
        return Turn(
            before=self._before,
            after=self._schedule,
            runs=(*self._changed, *self._new),
            due_time=self._due_time(),
        )

    # ---- what runs

    async def _look(self) -> None:
        """Find out which executions have ended since, and how."""
        found = await self._executions.find([run.execution_id for run in self._open])
        self._open = []
        for run in self._todo.open:
            execution = found.get(run.execution_id)
            if execution is not None and not execution.state.final:
                self._open.append(run)
                continue
            self._changed.append(replace(run, state=RunState.ENDED))
            if execution is not None and execution.state in _BAD:
                self._failed(f"{execution.id} is {execution.state}")

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

    # ---- what waits

    async def _start_waiting(self) -> None:
        for run in self._todo.pending:
            if run.kind is RunKind.SCHEDULED and self._schedule.state is ScheduleState.PAUSED:
                continue
            if self._full():
                return
            self._keep(run, await self._decide(run, known=False))

    def _keep(self, before: Run, after: Run) -> None:
        """Take note of what came of a run that waited."""
        if after.state is not RunState.PENDING:
            self._pending -= 1
            self._waiting.pop(before.number, None)
            self._changed.append(after)

    # ---- what is due

    async def _start_due(self) -> None:
        while self._schedule.state is ScheduleState.ACTIVE and not self._full():
            self._looked_at += 1
            planned = self._schedule.plan.next_time
            if planned is None or self._due(planned) > self._now:
                return
            run = Run(
                kind=RunKind.SCHEDULED,
                key=run_key(planned),
                planned_time=planned,
                overlap=self._schedule.policies.overlap,
            )
            known = await self._executions.recall(self._schedule, run)
            if known is not None:
                self._advance(self._started(run, known))
            elif self._late(planned):
                self._miss(run)
            else:
                self._advance(await self._decide(run, known=True))

    def _due(self, planned: datetime) -> datetime:
        return self._times.due(planned, self._schedule.id)

    def _late(self, planned: datetime) -> bool:
        return self._now - self._due(planned) > self._schedule.policies.catch_up_window

    def _miss(self, first: Run) -> None:
        """Leave out what is too old, however much that is."""
        count, upcoming = 0, None
        most = max(1, _COUNTED // max(1, len(self._times.entries)))
        bound = self._now - self._schedule.policies.catch_up_window - self._times.jitter
        for upcoming in self._times.upcoming(first.planned_time - timedelta(microseconds=1)):
            if not self._late(upcoming):
                break
            count += 1
            if count == most:
                upcoming = self._times.after(max(upcoming, bound))  # noqa: PLW2901 - the next one
                break
        else:
            upcoming = None
        text = f"missed: it came up later than {self._schedule.policies.catch_up_window} after its time"
        missed = replace(
            self._over(first, RunState.MISSED, _failure(Reason.SCHEDULE_MISSED, text)), count=max(count, 1)
        )
        self._new.append(missed)
        self._plan(replace(self._schedule.plan, next_time=upcoming))

    def _advance(self, run: Run) -> None:
        """Take note of what came of a time, and go to the next one."""
        self._new.append(run)
        if run.state is RunState.PENDING:
            self._pending += 1
        plan = self._schedule.plan
        remaining = plan.remaining
        if remaining is not None and run.state in {RunState.PENDING, RunState.STARTED, RunState.ENDED}:
            remaining -= 1
        following = None if remaining == 0 else self._times.after(run.planned_time)
        if self._schedule.state is ScheduleState.PAUSED:  # by this very run
            following = None
        self._plan(replace(self._schedule.plan, next_time=following, remaining=remaining))

    def _plan(self, plan: Plan) -> None:
        self._schedule = replace(self._schedule, plan=plan)

    # ---- one run

    async def _decide(self, run: Run, *, known: bool) -> Run:
        """Start a run, leave it out, or let it wait.

        Args:
            run: Which; with a number when it waits already.
            known: Whether it is known that nothing was started for it.

        Raises:
            _NotNowError: It cannot be done now.
        """
        if not known and (execution := await self._executions.recall(self._schedule, run)) is not None:
            return self._started(run, execution)
        if self._open and run.overlap is not Overlap.ALLOW_ALL:
            waits = await self._yield_to_open(run)
            if waits is not None:
                return waits
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
            raise _NotNowError from error
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
                raise _NotNowError from error
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
        return self._over(run, RunState.SKIPPED, _failure(reason, text))

    def _over(self, run: Run, state: RunState, failure: Failure) -> Run:
        return replace(run, state=state, time=self._now, failure=failure)

    # ---- what follows

    def _full(self) -> bool:
        return self._starts >= _AT_ONCE or self._looked_at >= _TIMES

    def _complete(self) -> None:
        """A schedule without a next time, and with nothing that waits, is over."""
        schedule = self._schedule
        over = schedule.plan.next_time is None and not self._pending
        if schedule.state is ScheduleState.ACTIVE and over:
            self._schedule = replace(schedule, state=ScheduleState.COMPLETED)
        counts = replace(schedule.counts, pending=self._pending, open=len(self._open))
        self._schedule = replace(self._schedule, counts=counts)

    def _due_time(self) -> datetime | None:
        """Return when there is something to do again."""
        if self._full() and not self._again:
            return self._now
        times = []
        schedule, soon = self._schedule, self._now + _SOON
        if self._again or self._waits():
            times.append(soon)
        if schedule.plan.next_time is not None:
            due = self._due(schedule.plan.next_time)
            times.append(max(due, soon) if self._again else due)
        if self._open:
            since = self._now - max(run.time or self._now for run in self._open)
            seldom = _SELDOM if schedule.policies.pause_on_failure else _RARELY
            times.append(self._now + min(max(_SOON, since / 5), seldom))
        return min(times, default=None)

    def _waits(self) -> bool:
        """Tell whether something waits that may start."""
        if self._schedule.state is not ScheduleState.PAUSED:
            return self._pending > 0
        return any(run.kind is not RunKind.SCHEDULED for run in self._waiting.values())


def _failure(reason: Reason, message: str) -> Failure:
    return Failure(reason=reason.value, message=message, code=Code.FAILED_PRECONDITION)
