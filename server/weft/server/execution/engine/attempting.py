"""Runs the attempts that are scheduled: one at a time in flat workflows, otherwise all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from weft.core.errors import WeftError
from weft.server.execution.engine.limits import Turns
from weft.server.execution.engine.step_turns import StepTurns
from weft.server.execution.engine.steps import StepRunner
from weft.server.execution.history.model import EventBody, Failure
from weft.server.execution.history.place import Phase, Place
from weft.server.execution.history.run import Decide, Run
from weft.server.store.base import StoreFullError, StoreUnavailableError
from weft.server.tasks import to_its_end

__all__ = ["Attempts", "RunningAttempts"]

_NOTHING: Final[tuple[EventBody, ...]] = ()


class Owner(Protocol):
    """Who has the executions."""

    @property
    def draining(self) -> bool:
        """Whether no step is to be started any more."""
        ...

    def require_lease(self) -> None:
        """Raise ``StoreUnavailableError`` when others may have by now what is owned here."""
        ...

    async def record(self, run: Run, decide: Decide) -> None:
        """Record what happened, and what follows."""
        ...


class Attempts:
    """Runs attempts.

    Args:
        owner: Who has the executions.
        steps: Calls their actions.
        turns: How many attempts run at the same time at this server.
        step_turns: Has the turns of steps with a limit.
    """

    def __init__(self, owner: Owner, steps: StepRunner, turns: Turns, step_turns: StepTurns) -> None:
        self._owner = owner
        self._steps = steps
        self._turns = turns
        self._step_turns = step_turns

    def of(self, run: Run) -> RunningAttempts:
        """Return the attempts of one execution; none runs yet."""
        return RunningAttempts(run, lambda place: self._attempt(run, place))

    async def _attempt(self, run: Run, place: Place) -> None:
        """Run the scheduled attempt, and record how it went and what follows."""
        attempt, path = place.attempt, place.path
        planned = place.planned
        run.in_flight.add(path)
        try:
            bodies = await self._ask(run, place)
            if not bodies:
                async with self._turns.turn(planned.step.service if planned else ""):
                    if self._owner.draining or run.released or run.standing.paused:
                        return  # its turn came too late
                    self._owner.require_lease()
                    bodies = await self._steps.run(run, place)

            def decide(_: Run) -> tuple[EventBody, ...]:
                current = place.phase is Phase.SCHEDULED and place.attempt == attempt and place.path == path
                return bodies if current else _NOTHING  # else its outcome was told meanwhile

            recording = self._owner.record(run, decide)
            # What runs beside others is stopped when it is not needed any more, but not half way to the disk.
            await (recording if run.plan.flat else to_its_end(recording))
        finally:
            run.in_flight.discard(path)

    async def _ask(self, run: Run, place: Place) -> tuple[EventBody, ...]:
        """Ask for the turn of a step with a limit; return what is recorded when it has none, or nothing."""
        if not run.plan.limited:
            return _NOTHING
        try:
            waiting = await self._step_turns.ask(run, place)
        except (StoreUnavailableError, StoreFullError):
            raise
        except WeftError as error:
            return self._steps.failed(place, Failure.of(error))
        return (waiting,) if waiting is not None else _NOTHING


class RunningAttempts:
    """The attempts of one execution that run at this server.

    Args:
        run: The execution.
        attempt: Runs one.
    """

    def __init__(self, run: Run, attempt: Callable[[Place], Coroutine[Any, Any, None]]) -> None:
        self._run = run
        self._attempt = attempt
        self._tasks: dict[asyncio.Task[None], tuple[Place, str, int]] = {}
        self._trouble: BaseException | None = None

    async def run_one(self) -> None:
        """Run the attempt that is scheduled at the top to its end."""
        await self._attempt(self._run.standing.top)

    def start_all(self) -> None:
        """Start every attempt that is scheduled and does not run yet.

        Raises:
            WeftError: That of one that could not be recorded.
        """
        if self._trouble is not None:
            raise self._trouble
        for place in list(self._run.standing.in_phase(Phase.SCHEDULED)):
            if self._is_to_run(place) and place.path not in self._run.in_flight:
                self._run.in_flight.add(place.path)
                task = asyncio.create_task(self._attempt(place), name=f"attempt {place.path}")
                self._tasks[task] = (place, place.path, place.attempt)
                task.add_done_callback(self._ended)

    def stop_orphans(self) -> None:
        """Stop the attempts of steps that are not needed any more."""
        for task, (place, path, attempt) in self._tasks.items():
            if place.phase is not Phase.SCHEDULED or place.path != path or place.attempt != attempt:
                task.cancel()

    async def finish(self) -> None:
        """Wait until all that run have ended."""
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    async def stop(self) -> None:
        """End all of them at once."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_to_run(self, place: Place) -> bool:
        if place.phase is not Phase.SCHEDULED or self._run.standing.paused:
            return False
        planned = place.planned
        return planned is None or planned.step.does is None

    def _ended(self, task: asyncio.Task[None]) -> None:
        _, path, _ = self._tasks.pop(task)
        self._run.in_flight.discard(path)
        if not task.cancelled() and task.exception() is not None:
            self._trouble = task.exception()
        self._run.news.set()
