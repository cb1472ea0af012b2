"""Use cases of what schedules start: triggers, backfills, lists of times and runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import PreconditionError, ValidationError, Violation
from weft.core.names import new_id
from weft.core.reasons import Reason, Rule
from weft.server.schedule.model import MAX_PENDING, Overlap, Run, RunKind, RunState, Schedule
from weft.server.schedule.service import ScheduleService
from weft.server.schedule.spec import Spec
from weft.server.schedule.starts import Executions
from weft.server.schedule.times import times_of
from weft.server.schedule.turn import run_key
from weft.server.store.base import Page, RequestKey, Slice, StaleWriteError
from weft.server.store.schedules import ScheduleStore
from weft.server.store.times import from_micros, to_micros

__all__ = ["Backfill", "ScheduleRuns"]

_MOMENT: Final = 0.05
_MOMENTS: Final = 60
"""How often, and after how many seconds each, it is looked what came of a run that was triggered."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a backfill added."""

    count: int
    """How many runs."""
    first: datetime
    """The first of their times."""
    last: datetime
    """The last of their times."""


class ScheduleRuns:
    """Adds runs to schedules by hand, and shows times and runs.

    Args:
        schedules: Finds schedules.
        store: Where they are kept.
        executions: Tells how what was started stands.
        clock: For times.
        on_change: Called when there is something to do.
    """

    def __init__(
        self,
        schedules: ScheduleService,
        store: ScheduleStore,
        executions: Executions,
        clock: Clock,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._schedules = schedules
        self._store = store
        self._executions = executions
        self._clock = clock
        self._on_change = on_change

    async def page(self, ref: str, state: RunState | None, page: Page) -> Slice[Run]:
        """Return runs, newest first; those whose execution has ended say so.

        Raises:
            ResourceNotFoundError: SCHEDULE_NOT_FOUND.
        """
        schedule = await self._schedules.get(ref)
        found = await self._store.list_schedule_runs(schedule.id, state, page)
        return replace(found, items=tuple(await self._looked_at(found.items)))

    async def _looked_at(self, runs: Iterable[Run]) -> list[Run]:
        listed = list(runs)
        open_ = await self._executions.find(
            [run.execution_id for run in listed if run.state is RunState.STARTED]
        )
        ended = {execution_id for execution_id, execution in open_.items() if execution.state.final}
        return [replace(run, state=RunState.ENDED) if run.execution_id in ended else run for run in listed]

    async def trigger(self, ref: str, overlap: Overlap | None, key: RequestKey | None) -> Run:
        """Start what a schedule starts, now; return the run when it is known what came of it, or soon.

        Raises:
            ResourceNotFoundError: SCHEDULE_NOT_FOUND.
            PreconditionError: SCHEDULE_BUFFER_FULL.
        """
        if key is not None and (first := await self._store.recall_schedule(key)):
            number, _, schedule_id = first.partition(" ")
            known = await self._outcome(schedule_id, int(number))
            if known is None:
                raise await self._schedules.not_found(ref)
            return known
        schedule = await self._schedules.get(ref)
        now = self._clock.now().replace(microsecond=0)
        run = Run(
            kind=RunKind.TRIGGERED,
            key=new_id("run"),
            planned_time=now,
            overlap=overlap or schedule.policies.overlap,
        )
        place = await self._add(schedule, [run], schedule.id, key)
        return await self._outcome(schedule.id, place) or replace(run, number=place)

    async def _outcome(self, schedule_id: str, number: int) -> Run | None:
        found = await self._store.get_schedule_run(schedule_id, number)
        for _ in range(_MOMENTS):
            if found is None or found.state is not RunState.PENDING:
                break
            await self._clock.sleep(_MOMENT)
            found = await self._store.get_schedule_run(schedule_id, number)
        return found

    async def backfill(
        self,
        ref: str,
        between: tuple[datetime, datetime],
        overlap: Overlap | None,
        key: RequestKey | None,
        *,
        again: bool,
    ) -> Backfill:
        """Start what a schedule would have started at the times of a range in the past.

        Args:
            ref: Id or name.
            between: The first time that may be, and where the range ends.
            overlap: What happens beside open executions; none: one starts after the other.
            key: Makes it idempotent.
            again: Also for times that have an execution.

        Raises:
            ValidationError: The range has no time, or too many.
            ResourceNotFoundError: SCHEDULE_NOT_FOUND.
            PreconditionError: SCHEDULE_BUFFER_FULL.
        """
        if key is not None and (known := await self._store.recall_schedule(key)):
            _, count, first, last = map(int, known.split(" "))
            return Backfill(count, from_micros(first), from_micros(last))
        schedule = await self._schedules.get(ref)
        times = await asyncio.to_thread(_times_between, schedule.spec, between)
        runs = [
            Run(
                kind=RunKind.BACKFILLED,
                key=new_id("run") if again else run_key(planned),
                planned_time=planned,
                overlap=overlap or Overlap.BUFFER_ALL,
            )
            for planned in times
        ]
        document = f"{len(times)} {to_micros(times[0])} {to_micros(times[-1])}"
        await self._add(schedule, runs, document, key)
        return Backfill(len(times), times[0], times[-1])

    async def _add(self, schedule: Schedule, runs: list[Run], document: str, key: RequestKey | None) -> int:
        if schedule.counts.pending + len(runs) > MAX_PENDING:
            raise PreconditionError(
                f"with {len(runs):,} more, more than {MAX_PENDING:,} runs of {schedule.name!r} would wait",
                reason=Reason.SCHEDULE_BUFFER_FULL,
                metadata={"pending": str(schedule.counts.pending), "limit": str(MAX_PENDING)},
            )
        try:
            number = await self._store.add_schedule_runs(schedule.id, runs, self._clock.now(), document, key)
        except StaleWriteError:
            raise await self._schedules.not_found(schedule.name) from None
        self._on_change()
        return number

    async def times(self, ref: str, count: int, after: datetime | None) -> list[datetime]:
        """Return the next times of a schedule.

        Raises:
            ResourceNotFoundError: SCHEDULE_NOT_FOUND.
        """
        return await self.preview((await self._schedules.get(ref)).spec, count, after)

    async def preview(self, spec: Spec, count: int, after: datetime | None) -> list[datetime]:
        """Return the next times of a spec without faults."""
        upcoming = times_of(spec).upcoming(after or self._clock.now())
        # Where almost everything is excluded that takes a while: others have their turn meanwhile.
        return await asyncio.to_thread(lambda: list(islice(upcoming, count)))


def _times_between(spec: Spec, between: tuple[datetime, datetime]) -> list[datetime]:
    """Return the times of a range.

    Raises:
        ValidationError: There are none, or too many.
    """
    start, end = between
    found: list[datetime] = []
    for planned in times_of(spec).upcoming(start - timedelta(microseconds=1)):
        if planned >= end:
            break
        found.append(planned)
        if len(found) > MAX_PENDING:
            words = f"the range has more than {MAX_PENDING:,} times: backfill it in parts"
            raise ValidationError([Violation("end_time", words, Rule.TOO_MANY)])
    if not found:
        words = "the schedule has no time in this range"
        raise ValidationError([Violation("start_time", words, Rule.INVALID)])
    return found
