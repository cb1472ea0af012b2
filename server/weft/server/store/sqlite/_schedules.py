"""Schedules in SQLite."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from weft.core.errors import AlreadyExistsError
from weft.core.reasons import Reason
from weft.server.schedule.model import Run, RunState, Schedule, ScheduleState
from weft.server.store.codec import from_micros, to_micros
from weft.server.store.schedule_codec import (
    COUNTED,
    ScheduleRow,
    decode_run,
    decode_schedule,
    encode_due,
    encode_plan,
    encode_run,
    encode_schedule,
)
from weft.server.store.schedules import KEPT_RUNS, Turn, TurnRuns
from weft.server.store.sqlite._backend import Backend
from weft.server.store.sqlite._database import SQL
from weft.server.store.sqlite._pages import read_slice
from weft.server.store.sqlite._requests import recall, record
from weft.server.store.values import Page, RequestKey, Slice, StaleWriteError

__all__ = ["SqliteSchedules"]

_AFTER_ALL: Final = 2**63 - 1
_FORGET_ROWS: Final = 100


class SqliteSchedules(Backend):
    """The schedules' part of the store; see ``ScheduleStore`` for what each method promises."""

    async def recall_schedule(self, key: RequestKey) -> str | None:
        """Return what the first request with this key left."""
        return await self._read(lambda connection: recall(connection, key))

    async def insert_schedule(
        self, schedule: Schedule, due_time: datetime | None, key: RequestKey | None = None
    ) -> Schedule:
        """Store a new schedule."""
        now = to_micros(self._clock.now())
        row = (schedule.state.value, schedule.revision, encode_due(due_time), encode_plan(schedule.plan))
        values = (schedule.id, schedule.name, schedule.workflow_id, *row, encode_schedule(schedule))

        def insert(connection: sqlite3.Connection) -> Schedule:
            if first := recall(connection, key):
                return _require(connection, first)
            if connection.execute(SQL["schedule_by_name"], (schedule.name,)).fetchone():
                raise _taken(schedule)
            connection.execute(SQL["insert_schedule"], values)
            record(connection, key, schedule.id, now)
            return schedule

        return await self._write(insert)

    async def update_schedule(
        self,
        schedule: Schedule,
        expected_revision: int,
        due_time: datetime | None,
        key: RequestKey | None = None,
    ) -> Schedule:
        """Replace a schedule that still has the expected revision; counts and runs stay."""
        now = to_micros(self._clock.now())
        row = (schedule.state.value, schedule.revision, encode_due(due_time), encode_plan(schedule.plan))
        values = (schedule.workflow_id, *row, encode_schedule(schedule), schedule.id, expected_revision)

        def update(connection: sqlite3.Connection) -> Schedule:
            if first := recall(connection, key):
                return _require(connection, first)
            if connection.execute(SQL["update_schedule"], values).rowcount != 1:
                raise _stale(schedule.id)
            record(connection, key, schedule.id, now)
            return _require(connection, schedule.id)

        return await self._write(update)

    async def delete_schedule(
        self, schedule_id: str, expected_revision: int, key: RequestKey | None = None
    ) -> None:
        """Remove a schedule that still has the expected revision, and its runs."""
        now = to_micros(self._clock.now())

        def delete(connection: sqlite3.Connection) -> None:
            if recall(connection, key):
                return
            values = (schedule_id, expected_revision)
            if connection.execute(SQL["delete_schedule"], values).rowcount != 1:
                raise _stale(schedule_id)
            connection.execute(SQL["delete_schedule_runs"], (schedule_id,))
            record(connection, key, schedule_id, now)

        await self._write(delete)

    async def get_schedule(self, ref: str) -> Schedule | None:
        """Return a schedule by id or by name."""
        return await self._read(lambda connection: _get(connection, ref))

    async def list_schedules(
        self, workflow_id: str, state: ScheduleState | None, page: Page
    ) -> Slice[Schedule]:
        """Return schedules by name, which is the paging key; of one workflow unless its id is empty."""
        where = (workflow_id, state.value if state else "")
        return await self._read(
            lambda connection: read_slice(connection, "schedules", where, page.after, page, _decode)
        )

    async def add_schedule_runs(
        self,
        schedule_id: str,
        runs: Sequence[Run],
        now: datetime,
        document: str,
        key: RequestKey | None = None,
    ) -> int:
        """Store runs that wait, and make their schedule due; return the number of the first."""
        due = to_micros(now)
        values = (len(runs), due, schedule_id)

        def add(connection: sqlite3.Connection) -> int:
            if first := recall(connection, key):
                return int(first.partition(" ")[0])
            numbered = connection.execute(SQL["number_schedule_runs"], values).fetchall()
            if not numbered:
                raise _stale(schedule_id)
            number: int = numbered[0][0] - len(runs) + 1
            _insert_runs(connection, schedule_id, number, runs)
            record(connection, key, f"{number} {document}", due)
            return number

        return await self._write(add)

    async def get_schedule_run(self, schedule_id: str, number: int) -> Run | None:
        """Return a run."""

        def get(connection: sqlite3.Connection) -> Run | None:
            row = connection.execute(SQL["get_schedule_run"], (schedule_id, number)).fetchone()
            return decode_run(*row) if row else None

        return await self._read(get)

    async def list_schedule_runs(self, schedule_id: str, state: RunState | None, page: Page) -> Slice[Run]:
        """Return runs, newest first; the paging key is the number in decimal."""
        what = "schedule_runs" if state is None else "schedule_runs_by_state"
        where = (schedule_id,) if state is None else (schedule_id, state.value)
        after = int(page.after or _AFTER_ALL)
        return await self._read(
            lambda connection: read_slice(connection, what, where, after, page, decode_run)
        )

    async def next_schedule_time(self) -> datetime | None:
        """Return when a schedule is due next, or was, whoever has it."""
        row = await self._read(lambda connection: connection.execute(SQL["next_schedule_time"]).fetchone())
        return None if row[0] is None else from_micros(row[0])

    async def claim_schedules(self, now: datetime, limit: int) -> tuple[Schedule, ...]:
        """Own some schedules that are due and that no other living server works on, longest due first."""
        values = (self._database.epoch, to_micros(now), limit)

        def claim(connection: sqlite3.Connection) -> tuple[Schedule, ...]:
            connection.execute(SQL["claim_schedules"], values)
            return tuple(_decode(*row) for row in connection.execute(SQL["claimed_schedules"], values))

        return await self._write(claim)

    async def schedule_runs_to_do(self, schedule_id: str, limit: int) -> TurnRuns:
        """Return what a schedule has to look after, at most so many of each kind."""

        def read(connection: sqlite3.Connection) -> TurnRuns:
            found = [
                tuple(decode_run(*row) for row in connection.execute(query, (schedule_id, state, limit)))
                for query, state in ((SQL["schedule_runs_in"], it) for it in ("PENDING", "STARTED"))
            ]
            return TurnRuns(*found)

        return await self._read(read)

    async def record_turn(self, turn: Turn, now: datetime) -> None:
        """Store what was done for a schedule, and let go of it."""
        schedule, new = turn.after, [run for run in turn.runs if not run.number]
        changed = [(encode_run(run), run.number) for run in turn.runs if run.number]
        counts: Counter[str] = Counter()
        for run in turn.runs:
            counts[COUNTED.get(run.state, "")] += run.count
        counted = [counts[column] for column in COUNTED.values()]
        settled = (len(new), *counted, schedule.id, self._database.epoch)
        plan, document = encode_plan(schedule.plan), encode_schedule(schedule)

        def store(connection: sqlite3.Connection) -> None:
            rows = connection.execute(SQL["settle_schedule"], settled).fetchall()
            if not rows:
                raise _stale(schedule.id)
            before = rows[0][0] - len(new)
            due = turn.due_time if before == turn.before.last_run else now
            row = (schedule.state.value, schedule.revision, encode_due(due), plan, document)
            connection.execute(SQL["advance_schedule"], (*row, schedule.id, turn.before.revision))
            _insert_runs(connection, schedule.id, before + 1, new)
            for run, number in changed:
                connection.execute(SQL["update_schedule_run"], (run.state, run.document, schedule.id, number))
            forgotten = (schedule.id, rows[0][0] - KEPT_RUNS, _FORGET_ROWS)
            connection.execute(SQL["forget_schedule_runs"], forgotten)

        await self._write(store)


def _insert_runs(connection: sqlite3.Connection, schedule_id: str, number: int, runs: Sequence[Run]) -> None:
    rows = [(schedule_id, place, *encode_run(run)[1:]) for place, run in enumerate(runs, start=number)]
    connection.executemany(SQL["insert_schedule_run"], rows)


def _get(connection: sqlite3.Connection, ref: str) -> Schedule | None:
    row = connection.execute(SQL["get_schedule"], (ref,)).fetchone()
    return _decode(*row) if row else None


def _require(connection: sqlite3.Connection, schedule_id: str) -> Schedule:
    found = _get(connection, schedule_id)
    if found is None:
        raise _stale(schedule_id)
    return found


def _decode(*columns: Any) -> Schedule:
    return decode_schedule(ScheduleRow._make(columns))


def _taken(schedule: Schedule) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"a schedule named {schedule.name!r} exists",
        reason=Reason.SCHEDULE_EXISTS,
        metadata={"name": schedule.name},
    )


def _stale(schedule_id: str) -> StaleWriteError:
    return StaleWriteError(f"schedule {schedule_id} has changed, is gone, or is not owned here")
