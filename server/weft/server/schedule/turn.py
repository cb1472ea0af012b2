"""One turn of a schedule: what is due is started, left out, or made to wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from weft.core.reasons import Reason
from weft.server.execution.history.model import ExecutionState
from weft.server.schedule.decisions import Decisions, NotNowError, failure
from weft.server.schedule.model import Run, RunKind, RunState, Schedule, ScheduleState
from weft.server.schedule.starts import Executions
from weft.server.schedule.times import Times, times_of
from weft.server.store.schedules import Turn, TurnRuns

__all__ = ["ScheduleTurn", "run_key"]

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


def run_key(planned: datetime) -> str:
    """Return the key of what is started for a time."""
    return planned.strftime("%Y%m%dT%H%M%S.%f")


class ScheduleTurn(Decisions):
    """Does what a schedule has to do now.

    Args:
        schedule: As it was claimed.
        todo: What it has to look after.
        executions: Starts and ends them.
        now: The time.
    """

    def __init__(self, schedule: Schedule, todo: TurnRuns, executions: Executions, now: datetime) -> None:
        super().__init__(schedule, todo, executions, now)
        self._before = schedule
        self._times: Times = times_of(schedule.spec)
        self._todo = todo
        self._new: list[Run] = []
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
        except NotNowError:
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

    # ---- what waits

    async def _start_waiting(self) -> None:
        for run in self._todo.pending:
            if run.kind is RunKind.SCHEDULED and self._schedule.state is ScheduleState.PAUSED:
                continue
            if self._full():
                return
            self._keep(run, await self._decide(run, known=False))

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
            self._over(first, RunState.MISSED, failure(Reason.SCHEDULE_MISSED, text)), count=max(count, 1)
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
