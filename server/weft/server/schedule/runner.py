"""Works on schedules in the background: claims those that are due, and gives each its turn."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import ExhaustedError, ServiceUnavailableError, WeftError
from weft.server.schedule.model import Schedule
from weft.server.schedule.starts import Executions
from weft.server.schedule.turn import ScheduleTurn
from weft.server.store.base import StaleWriteError
from weft.server.store.schedules import ScheduleStore, Turn, TurnRuns

__all__ = ["ScheduleRunner"]

_log = logging.getLogger("weft.server.schedules")

_TOGETHER: Final = 50
"""How many schedules are given their turn at the same time."""
_AT_MOST: Final = 200
"""The same, with those whose turn takes long."""
_TO_DO: Final = 100
"""How many runs of each kind a turn looks after."""
_LOOK_SECONDS: Final = 5.0
"""How often one is looked for that another server made, or left behind."""
_REST_SECONDS: Final = 1.0
"""How long to wait when somebody else has what is due, or nothing can be done."""
_BROKEN: Final = timedelta(minutes=1)
"""How long a schedule is left alone that cannot have its turn."""


class ScheduleRunner:
    """Gives every schedule that is due its turn.

    Args:
        store: Where they are kept.
        executions: Starts what they start.
        clock: For times and pauses.
    """

    def __init__(self, store: ScheduleStore, executions: Executions, clock: Clock) -> None:
        self._store = store
        self._executions = executions
        self._clock = clock
        self._news = asyncio.Event()
        self._busy: dict[str, asyncio.Task[bool]] = {}

    def wake(self) -> None:
        """Look for what is due now."""
        self._news.set()

    async def run(self) -> None:
        """Work on schedules until cancelled."""
        try:
            while True:
                self._news.clear()
                seconds = await self._look_again()
                if seconds > 0:
                    await self._rest(seconds)
        finally:
            turns = list(self._busy.values())
            for turn in turns:
                turn.cancel()
            await asyncio.gather(*turns, return_exceptions=True)

    async def _look_again(self) -> float:
        try:
            return await self.look()
        except WeftError as error:
            _log.warning("schedules wait: %s", error)
            return _REST_SECONDS

    async def look(self) -> float:
        """Give those that are due their turns; return after how many seconds to look again.

        A turn that takes long, such as one that cannot reach what it has to cancel, goes on by itself.

        Raises:
            WeftError: The store cannot be used now.
        """
        due, now = await self._store.next_schedule_time(), self._clock.now()
        if due is None or due > now:
            wait = _LOOK_SECONDS if due is None else (due - now).total_seconds()
            return min(wait, _LOOK_SECONDS)
        claimed = await self._store.claim_schedules(now, _TOGETHER + len(self._busy))
        fresh = [schedule for schedule in claimed if schedule.id not in self._busy]
        turns = [self._begin(schedule) for schedule in fresh[: _AT_MOST - len(self._busy)]]
        if not turns:
            return _REST_SECONDS
        timer = asyncio.create_task(self._clock.sleep(_REST_SECONDS))
        everything = asyncio.create_task(asyncio.wait(turns))  # which leaves them alone when it is cancelled
        await asyncio.wait((timer, everything), return_when=asyncio.FIRST_COMPLETED)
        for each in (timer, everything):
            each.cancel()
        failed = any(turn.done() and not turn.cancelled() and not turn.result() for turn in turns)
        return _REST_SECONDS if failed else 0

    def _begin(self, schedule: Schedule) -> asyncio.Task[bool]:
        turn = self._busy[schedule.id] = asyncio.create_task(self._turn(schedule))

        def ended(_: object) -> None:
            del self._busy[schedule.id]
            self._news.set()

        turn.add_done_callback(ended)
        return turn

    async def _turn(self, schedule: Schedule) -> bool:
        """Give one its turn; tell whether it had it."""
        try:
            todo = await self._store.schedule_runs_to_do(schedule.id, _TO_DO)
            await self._store.record_turn(await self._take(schedule, todo), self._clock.now())
        except StaleWriteError as error:
            _log.info("the turn of schedule %s was for nothing: %s", schedule.name, error)
        except WeftError as error:
            _log.warning("schedule %s waits: %s", schedule.name, error)
            return False
        except Exception:
            _log.exception("schedule %s cannot have its turn", schedule.name)
            return False
        return True

    async def _take(self, schedule: Schedule, todo: TurnRuns) -> Turn:
        now = self._clock.now()
        try:
            return await ScheduleTurn(schedule, todo, self._executions, now).take()
        except (ServiceUnavailableError, ExhaustedError):
            raise
        except Exception:  # such as a time zone that only other machines know
            _log.exception(
                "schedule %s cannot have its turn; it is tried again in %s", schedule.name, _BROKEN
            )
            return Turn(before=schedule, after=schedule, runs=(), due_time=now + _BROKEN)

    async def _rest(self, seconds: float) -> None:
        """Wait for a change, or until it is time to look."""
        tasks = [
            asyncio.create_task(self._clock.sleep(seconds)),
            asyncio.create_task(self._news.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
