"""Drives one execution: does what its history says is next, until it ends or waits in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from weft.core.clock import Clock
from weft.core.errors import ExhaustedError
from weft.server.execution.engine.attempting import Attempts
from weft.server.execution.engine.children import Children
from weft.server.execution.engine.step_turns import StepTurns, waits_for_turn
from weft.server.execution.engine.steps import StepRunner
from weft.server.execution.history.model import EventBody, StepWaiting, Waits
from weft.server.execution.history.place import Phase, Place
from weft.server.execution.history.run import Decide, Run
from weft.server.execution.history.waits import LOOK_AT_CHILD, STAY, due_time, rest
from weft.server.execution.rules.timing import TIMED, when_due
from weft.server.store.base import StaleWriteError
from weft.server.tasks import to_its_end
from weft.server.workflow.kinds import Child

__all__ = ["Driver"]

_NOTHING: Final[tuple[EventBody, ...]] = ()


def _is_over(run: Run) -> bool:
    return run.released or run.torn


def _is_next_attempt(run: Run) -> bool:
    """Tell whether the only thing to do is to run an attempt, as it nearly always is in a flat workflow."""
    standing = run.standing
    if not run.plan.flat or standing.closing is not None or standing.paused or run.torn:
        return False
    top = standing.top
    return top.phase is Phase.SCHEDULED and (top.planned is None or top.planned.step.does is None)


async def _written(run: Run) -> None:
    """Wait until what is being written is on the disk: nothing is begun before."""
    async with run.lock:
        pass


def _unseen_children(run: Run) -> list[tuple[Place, StepWaiting]]:
    """Return the steps whose children were not looked at yet; none when that was to be thrown away."""
    return [
        (place, place.waiting)
        for place in run.standing.in_phase(Phase.WAITING)
        if not _is_over(run) and place.waiting is not None and place.waiting.child and not place.seen
    ]


class Owner(Protocol):
    """Who has the executions that are driven."""

    @property
    def draining(self) -> bool:
        """Whether no step is to be started any more."""
        ...

    def held(self, run: Run) -> bool:
        """Tell whether no step of it is to be scheduled now."""
        ...

    @property
    def step_turns(self) -> StepTurns:
        """The turns of steps with a limit."""
        ...

    def workflow_paused(self, run: Run) -> bool:
        """Tell whether its workflow is paused."""
        ...

    async def record(self, run: Run, decide: Decide) -> None:
        """Record what happened, and what follows."""
        ...

    async def park(self, run: Run, waits: Waits, due: datetime | None) -> None:
        """Let it wait in the store."""
        ...

    def orphaned(self, child_id: str) -> None:
        """Cancel a child that its parent does not need any more."""
        ...


class Driver:
    """Drives executions.

    Args:
        owner: Who has them.
        steps: Says what is recorded of failures.
        attempts: Runs attempts.
        children: Starts child executions, and looks how they ended.
        clock: Tells when something is due.
    """

    def __init__(
        self, owner: Owner, steps: StepRunner, attempts: Attempts, children: Children, clock: Clock
    ) -> None:
        self._owner = owner
        self._steps = steps
        self._attempts = attempts
        self._children = children
        self._clock = clock

    async def drive(self, run: Run) -> None:
        """Go on until there is nothing to do here.

        Raises:
            StaleWriteError: It is not this server's any more.
            StoreUnavailableError: Of the store.
        """
        if run.standing.final is not None:
            raise StaleWriteError  # it ended before it came here
        running = self._attempts.of(run)
        try:
            while not _is_over(run) and not self._owner.draining:
                if run.lock.locked():
                    await _written(run)  # the memory is ahead of the store
                elif _is_next_attempt(run):
                    await running.run_one()
                    continue
                run.news.clear()
                await self._go_on(run)
                if _is_over(run):
                    break
                if run.lock.locked() or _is_next_attempt(run):
                    continue
                running.start_all()
                running.stop_orphans()
                await self._rest(run)
            if run.trouble is not None:
                raise run.trouble
            if self._owner.draining and not run.released:
                await running.finish()
        finally:
            await running.stop()

    async def _go_on(self, run: Run) -> None:
        """Record what is due, and what follows from what was recorded while it was held."""
        if run.standing.final is not None:
            return  # its end is on its way to the disk
        await self._look_for_turns(run)
        now = self._clock.now()
        due = [place for place in run.standing.in_phase(*TIMED) if self._is_due(run, place, now)]
        for place in due:
            if place.waiting is not None and place.waiting.waits is Waits.CHILD:
                await self._look_at_child(run, place)
        if due or (run.standing.touched and not self._owner.held(run)):
            await self._owner.record(run, lambda run: self._fire(run, now))
        await _written(run)  # a child that is not recorded is not started
        for place, waiting in _unseen_children(run):
            if place.waiting is waiting:
                await self._look_at_child(run, place)

    async def _look_for_turns(self, run: Run) -> None:
        """Schedule the calls of steps with a limit whose turn has come."""
        if not run.plan.limited:
            return
        now = self._clock.now()
        standing = run.standing
        waiting = [place for place in standing.in_phase(Phase.WAITING) if waits_for_turn(place)]
        due = any(place.waiting is not None and (place.waiting.until or now) <= now for place in waiting)
        if not waiting or standing.paused or self._owner.held(run) or not (due or run.turn_came):
            return
        for place, before, body in await self._owner.step_turns.look(run):
            await self._owner.record(run, partial(_as_it_waits, place, before, body))

    def _is_due(self, run: Run, place: Place, now: datetime) -> bool:
        due = due_time(place)
        if due is None or due > now or waits_for_turn(place):
            return False
        return place.phase is not Phase.RETRYING or not (run.standing.paused or self._owner.held(run))

    def _fire(self, run: Run, now: datetime) -> Sequence[EventBody]:
        """Return what is recorded of everything that is due."""
        bodies: list[EventBody] = []
        for place in run.standing.in_phase(*TIMED):
            if self._is_due(run, place, now):
                bodies += when_due(run, place, now, self._steps.failed)
        return bodies

    async def _look_at_child(self, run: Run, place: Place) -> None:
        """Start a child that is not there yet, and record its end."""
        waiting = place.waiting
        if waiting is None or place.phase is not Phase.WAITING:
            return  # what was recorded just now has ended it
        now = self._clock.now()
        started = place.looked_time is not None and now - place.looked_time > _STARTED_WITHIN
        place.seen, place.looked_time = True, now
        try:
            # Who is stopped amid this has started it all the same, and has to look whether it is needed.
            outcome = await to_its_end(
                self._children.outcome(run, place, waiting.child, started=started),
                partial(self._look_for_orphan, run, place, waiting),
            )
        except ExhaustedError:  # there is no room for it now
            place.looked_time = self._clock.now() - LOOK_AT_CHILD + _AGAIN
            return
        if outcome is not None:

            def decide(run: Run) -> Sequence[EventBody]:
                current = place.phase is Phase.WAITING and place.waiting is waiting
                return outcome(run, place) if current else _NOTHING  # else it was stopped meanwhile

            await self._owner.record(run, decide)

    def _look_for_orphan(self, run: Run, place: Place, waiting: StepWaiting) -> None:
        """Cancel a child that came after its step had ended: it was not there yet when it was to be told."""
        if run.torn or (place.phase is Phase.WAITING and place.waiting is waiting):
            return
        planned = place.planned
        if planned is None or not (isinstance(planned.step.does, Child) and planned.step.does.abandon):
            self._owner.orphaned(waiting.child)

    async def _rest(self, run: Run) -> None:
        """Wait for the next thing to happen; what would take long waits in the store."""
        standing = run.standing
        if _is_over(run) or run.news.is_set():
            return
        if run.in_flight or standing.final is not None:
            await self._wait(run, self._next_due(run))
            return
        if standing.touched and not self._owner.held(run) and not standing.paused:
            return  # there is more to settle
        waits, due = self._waits(run)
        if waits is Waits.NOTHING:
            return
        if due is None or due - self._clock.now() > STAY:
            await self._owner.park(run, waits, due)
        else:
            await self._wait(run, due)

    def _waits(self, run: Run) -> tuple[Waits, datetime | None]:
        if run.queued:
            return Waits.SLOT, None
        if self._owner.workflow_paused(run) and not run.standing.paused:
            return Waits.WORKFLOW, None
        return rest(run.standing, run.in_flight)

    def _next_due(self, run: Run) -> datetime | None:
        paused = run.standing.paused or self._owner.held(run)
        dues = (
            due_time(place)
            for place in run.standing.in_phase(*TIMED)
            if not (paused and (place.phase is Phase.RETRYING or waits_for_turn(place)))
        )
        return min((due for due in dues if due is not None), default=None)

    async def _wait(self, run: Run, moment: datetime | None) -> None:
        """Wait for news of the run, or until a time."""
        left = None if moment is None else (moment - self._clock.now()).total_seconds()
        if left is not None and left <= 0:
            return
        news = asyncio.create_task(run.news.wait())
        waiting = {news} if left is None else {news, asyncio.create_task(_asleep(self._clock, left))}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def _as_it_waits(place: Place, before: StepWaiting | None, body: EventBody, _: Run) -> Sequence[EventBody]:
    """Return what happened, if the step still waits as it did before."""
    current = place.phase is Phase.WAITING and place.waiting is before
    return (body,) if current else _NOTHING


_STARTED_WITHIN: Final = timedelta(hours=1)
"""A child that is not there so long after it was to be started was there, and is deleted by now."""
_AGAIN: Final = timedelta(seconds=2)
"""After how long a child is started again for which there was no room."""


async def _asleep(clock: Clock, seconds: float) -> bool:
    await clock.sleep(seconds)
    return True
