"""Turns of steps with a limit, for the executions of this server: asked for, waited for, given back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from weft.core.clock import Clock
from weft.server.execution.engine.step_limits import StepLimits, permit_for
from weft.server.execution.history.model import EventBody, StepScheduled, StepWaiting, Waits
from weft.server.execution.history.place import Phase, Place
from weft.server.execution.history.run import Run
from weft.server.execution.rules.names import names

__all__ = ["StepTurns", "waits_for_turn"]

_CAUSE: Final = "its turn came"
_SWEEP_SECONDS: Final = 15.0
"""How often what was not given back is looked for, and those that wait here look again by themselves: the
news that their turn came may be lost."""


def waits_for_turn(place: Place) -> bool:
    """Tell whether the step at a place waits for its turn, or its time."""
    waiting = place.waiting
    return place.phase is Phase.WAITING and waiting is not None and waiting.waits is Waits.STEP_LIMIT


class StepTurns:
    """Takes and gives back the turns of runs.

    Args:
        limits: Has the turns of all servers.
        clock: For times.
    """

    def __init__(self, limits: StepLimits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._swept = float("-inf")

    async def ask(self, run: Run, place: Place) -> StepWaiting | None:
        """Ask for the turn of a step that is scheduled; return how it has to wait, or None: it may run.

        Raises:
            WeftError: Its key has no value; or of the store.
        """
        planned = place.planned
        if planned is None or planned.step.limit is None or place.path in run.turns_taken:
            return None
        begin = await self._begin(run, place)
        if begin is not None and begin <= self._clock.now():
            run.turns_taken.add(place.path)
            return None
        return StepWaiting(step_id=place.path, waits=Waits.STEP_LIMIT, until=begin)

    async def look(self, run: Run) -> list[tuple[Place, StepWaiting | None, EventBody]]:
        """Return what is recorded of those that wait: each place, what it waits for, and what happened."""
        run.turn_came = False
        asked = await self._limits.asked(run.execution.id)
        found: list[tuple[Place, StepWaiting | None, EventBody]] = []
        for place in [it for it in run.standing.in_phase(Phase.WAITING) if waits_for_turn(it)]:
            before = place.waiting
            path = place.path
            begin = asked[path] if path in asked else await self._begin(run, place)
            if begin is not None and begin <= self._clock.now():
                run.turns_taken.add(path)
                body: EventBody = StepScheduled(step_id=place.path, attempt=place.attempt, cause=_CAUSE)
            elif before is not None and before.until != begin:
                body = StepWaiting(step_id=place.path, waits=Waits.STEP_LIMIT, until=begin)
            else:
                continue
            found.append((place, before, body))
        return found

    async def _begin(self, run: Run, place: Place) -> datetime | None:
        planned = place.planned
        assert planned is not None  # who asks has looked
        step = planned.step
        assert step.limit is not None  # as above
        run.turns.add(place.path)
        permit = permit_for(
            step,
            step.limit,
            planned.texts["limit.key"].render(names(run, place)),
            workflow_id=run.execution.workflow_id,
            execution_id=run.execution.id,
            path=place.path,
        )
        return await self._limits.begin(permit)

    async def settle(self, run: Run) -> None:
        """Give back what is over, and look once more for what was let go of while it waits.

        Raises:
            StoreUnavailableError: Of the store.
        """
        going_on = _going_on(run)
        run.turns_taken &= going_on
        if run.turns - going_on:
            await self._limits.end_all(run.execution.id, going_on)
            run.turns &= going_on
        if run.released and run.execution.waits is Waits.STEP_LIMIT:
            await self._limits.parked(run.execution.id)

    async def take_in(self, run: Run) -> None:
        """Take on what an execution holds that was read: what nobody gave back is given back.

        Raises:
            StoreUnavailableError: Of the store.
        """
        if run.plan.limited:
            run.turns = _going_on(run)
            run.turn_came = True
            await self._limits.end_all(run.execution.id, run.turns)

    async def sweep(self, runs: Sequence[Run]) -> None:
        """Give on what nobody gave back, and have those that wait here look again; to be called often.

        Raises:
            StoreUnavailableError: Of the store.
        """
        now = self._clock.monotonic()
        if now - self._swept < _SWEEP_SECONDS:
            return
        await self._limits.sweep()
        self._swept = now
        for run in runs:
            if run.turns - run.turns_taken:
                run.turn_came = True
                run.news.set()


def _going_on(run: Run) -> set[str]:
    """Return the paths of the calls that hold a turn or wait for one, of those with a limit."""
    if run.standing.final is not None:
        return set()
    return {
        place.path
        for phase in (Phase.SCHEDULED, Phase.ACCEPTED, Phase.WAITING)
        for place in run.standing.in_phase(phase)
        if (planned := place.planned) is not None
        and planned.step.limit is not None
        and planned.step.does is None
    }
