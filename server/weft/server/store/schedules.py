"""The store port of schedules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from weft.server.schedule.model import Run, RunState, Schedule, ScheduleState
from weft.server.store.values import Page, RequestKey, Slice

__all__ = ["KEPT_RUNS", "ScheduleStore", "Turn", "TurnRuns"]

KEPT_RUNS = 1_000
"""How many runs of a schedule that are over are kept at least."""


@dataclass(frozen=True, slots=True)
class TurnRuns:
    """What a schedule has to look after."""

    pending: tuple[Run, ...]
    """What waits, oldest first; those that buffer all come last, as only the first of them matters."""
    open: tuple[Run, ...]
    """Whose execution was open, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a server did for a schedule that it had claimed."""

    before: Schedule
    """As it was claimed."""
    after: Schedule
    """With its new plan, state, note and revision."""
    runs: tuple[Run, ...]
    """New ones, with the number 0, and those that changed."""
    due_time: datetime | None
    """When it has to be looked at again; None: when somebody changes it."""


class ScheduleStore(Protocol):
    """Schedules and their runs.

    A schedule that is due belongs to the server that claimed it, until that server records
    its turn or is gone. What people change meanwhile wins: then a turn stores its runs only.
    """

    async def recall_schedule(self, key: RequestKey) -> str | None:
        """Return what the first request with this key left: the id, or what ``add_schedule_runs`` was given.

        Raises:
            AlreadyExistsError: REQUEST_ID_REUSED: its content was another.
        """
        ...

    async def insert_schedule(
        self, schedule: Schedule, due_time: datetime | None, key: RequestKey | None = None
    ) -> Schedule:
        """Store a new schedule.

        Raises:
            AlreadyExistsError: SCHEDULE_EXISTS, or REQUEST_ID_REUSED.
            StaleWriteError: The first request with this key made one that is gone.
        """
        ...

    async def update_schedule(
        self,
        schedule: Schedule,
        expected_revision: int,
        due_time: datetime | None,
        key: RequestKey | None = None,
    ) -> Schedule:
        """Replace a schedule that still has the expected revision; counts and runs stay.

        Raises:
            StaleWriteError: It has another revision, or is gone.
            AlreadyExistsError: REQUEST_ID_REUSED.
        """
        ...

    async def delete_schedule(
        self, schedule_id: str, expected_revision: int, key: RequestKey | None = None
    ) -> None:
        """Remove a schedule that still has the expected revision, and its runs.

        Raises:
            StaleWriteError: It has another revision, or is gone.
            AlreadyExistsError: REQUEST_ID_REUSED.
        """
        ...

    async def get_schedule(self, ref: str) -> Schedule | None:
        """Return a schedule by id or by name."""
        ...

    async def list_schedules(
        self, workflow_id: str, state: ScheduleState | None, page: Page
    ) -> Slice[Schedule]:
        """Return schedules by name, which is the paging key; of one workflow unless its id is empty."""
        ...

    async def add_schedule_runs(
        self,
        schedule_id: str,
        runs: Sequence[Run],
        now: datetime,
        document: str,
        key: RequestKey | None = None,
    ) -> int:
        """Store runs that wait, and make their schedule due; return the number of the first.

        Args:
            schedule_id: Whose.
            runs: At least one.
            now: When it is due.
            document: What ``recall_schedule`` returns for the key, behind the first number and a space.
            key: Makes it idempotent.

        Raises:
            StaleWriteError: The schedule is gone.
            AlreadyExistsError: REQUEST_ID_REUSED.
        """
        ...

    async def get_schedule_run(self, schedule_id: str, number: int) -> Run | None:
        """Return a run."""
        ...

    async def list_schedule_runs(self, schedule_id: str, state: RunState | None, page: Page) -> Slice[Run]:
        """Return runs, newest first; the paging key is the number in decimal."""
        ...

    async def next_schedule_time(self) -> datetime | None:
        """Return when a schedule is due next, or was, whoever has it."""
        ...

    async def claim_schedules(self, now: datetime, limit: int) -> tuple[Schedule, ...]:
        """Own some schedules that are due and that no other living server works on, longest due first."""
        ...

    async def schedule_runs_to_do(self, schedule_id: str, limit: int) -> TurnRuns:
        """Return what a schedule has to look after, at most so many of each kind."""
        ...

    async def record_turn(self, turn: Turn, now: datetime) -> None:
        """Store what was done for a schedule, and let go of it.

        When people changed it meanwhile, only runs and counts are stored. When runs were added
        meanwhile, it is due now. Runs that are over are forgotten when there are many.

        Raises:
            StaleWriteError: This server does not own it any more, or it is gone.
        """
        ...
