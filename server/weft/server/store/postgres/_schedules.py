"""Schedules in PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

import asyncpg

from weft.core.errors import AlreadyExistsError
from weft.core.reasons import Reason
from weft.server.schedule.model import Run, RunState, Schedule, ScheduleState
from weft.server.store.codec import from_micros, to_micros
from weft.server.store.postgres._backend import Backend, affected, holds
from weft.server.store.postgres._connect import SQL, Connection
from weft.server.store.postgres._locks import lock_number
from weft.server.store.postgres._pages import read_slice
from weft.server.store.postgres._requests import recall, record
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
from weft.server.store.values import Page, RequestKey, Slice, StaleWriteError

__all__ = ["PostgresSchedules"]

_AFTER_ALL: Final = 2**63 - 1
_FORGET_ROWS: Final = 100

T = TypeVar("T")


class PostgresSchedules(Backend):
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

        async def insert(connection: Connection) -> Schedule:
            if first := await recall(connection, key):
                return await _require(connection, first)
            if await connection.fetchval(SQL["schedule_by_name"], schedule.name):
                raise _taken(schedule)
            await connection.execute(SQL["insert_schedule"], *values)
            await record(connection, key, schedule.id, now)
            return schedule

        return await self._change(insert)

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

        async def update(connection: Connection) -> Schedule:
            if first := await recall(connection, key):
                return await _require(connection, first)
            if affected(await connection.execute(SQL["update_schedule"], *values)) != 1:
                raise _stale(schedule.id)
            await record(connection, key, schedule.id, now)
            return await _require(connection, schedule.id)

        return await self._change(update)

    async def delete_schedule(
        self, schedule_id: str, expected_revision: int, key: RequestKey | None = None
    ) -> None:
        """Remove a schedule that still has the expected revision, and its runs."""
        now = to_micros(self._clock.now())

        async def delete(connection: Connection) -> None:
            if await recall(connection, key):
                return
            values = (schedule_id, expected_revision)
            if affected(await connection.execute(SQL["delete_schedule"], *values)) != 1:
                raise _stale(schedule_id)
            await connection.execute(SQL["delete_schedule_runs"], schedule_id)
            await record(connection, key, schedule_id, now)

        await self._change(delete)

    async def get_schedule(self, ref: str) -> Schedule | None:
        """Return a schedule by id or by name."""
        return await self._read(lambda connection: _get(connection, ref)) if holds(ref) else None

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

        async def add(connection: Connection) -> int:
            if first := await recall(connection, key):
                return int(first.partition(" ")[0])
            last = await connection.fetchval(SQL["number_schedule_runs"], *values)
            if last is None:
                raise _stale(schedule_id)
            number: int = last - len(runs) + 1
            await _insert_runs(connection, schedule_id, number, runs)
            await record(connection, key, f"{number} {document}", due)
            return number

        return await self._change(add)

    async def get_schedule_run(self, schedule_id: str, number: int) -> Run | None:
        """Return a run."""

        async def get(connection: Connection) -> Run | None:
            row = await connection.fetchrow(SQL["get_schedule_run"], schedule_id, number)
            return _decode_run(row) if row else None

        return await self._read(get)

    async def list_schedule_runs(self, schedule_id: str, state: RunState | None, page: Page) -> Slice[Run]:
        """Return runs, newest first; the paging key is the number in decimal."""
        what = "schedule_runs" if state is None else "schedule_runs_by_state"
        where = (schedule_id,) if state is None else (schedule_id, state.value)
        after = int(page.after or _AFTER_ALL)
        return await self._read(
            lambda connection: read_slice(connection, what, where, after, page, _decode_run)
        )

    async def next_schedule_time(self) -> datetime | None:
        """Return when a schedule is due next, or was, whoever has it."""
        due: int | None = (await self._fetch("next_schedule_time"))[0][0]
        return None if due is None else from_micros(due)

    async def claim_schedules(self, now: datetime, limit: int) -> tuple[Schedule, ...]:
        """Own some schedules that are due and that no other living server works on, longest due first."""
        values = (self._keeper.epoch, to_micros(now), limit)

        async def claim(connection: Connection) -> tuple[Schedule, ...]:
            await connection.execute(SQL["claim_schedules"], *values)
            return tuple(map(_decode, await connection.fetch(SQL["claimed_schedules"], *values)))

        return await self._write(claim)

    async def schedule_runs_to_do(self, schedule_id: str, limit: int) -> TurnRuns:
        """Return what a schedule has to look after, at most so many of each kind."""

        async def read(connection: Connection) -> TurnRuns:
            found = [
                tuple(
                    map(
                        _decode_run,
                        await connection.fetch(SQL["schedule_runs_in"], schedule_id, state, limit),
                    )
                )
                for state in ("PENDING", "STARTED")
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
        settled = (len(new), *counted, schedule.id, self._keeper.epoch)
        plan, document = encode_plan(schedule.plan), encode_schedule(schedule)

        async def store(connection: Connection) -> None:
            last = await connection.fetchval(SQL["settle_schedule"], *settled)
            if last is None:
                raise _stale(schedule.id)
            before = last - len(new)
            due = turn.due_time if before == turn.before.last_run else now
            row = (schedule.state.value, schedule.revision, encode_due(due), plan, document)
            await connection.execute(SQL["advance_schedule"], *row, schedule.id, turn.before.revision)
            await _insert_runs(connection, schedule.id, before + 1, new)
            for run, number in changed:
                values = (run.state, run.document, schedule.id, number)
                await connection.execute(SQL["update_schedule_run"], *values)
            forgotten = (schedule.id, last - KEPT_RUNS, _FORGET_ROWS)
            await connection.execute(SQL["forget_schedule_runs"], *forgotten)

        await self._write(store)

    async def _change(self, change: Callable[[Connection], Awaitable[T]]) -> T:
        """Run a change with nobody else changing a schedule: they are rare."""
        lock = lock_number(self._config.schema, "schedules")

        async def work(connection: Connection) -> T:
            await connection.execute(SQL["lock_transaction"], [lock])
            return await change(connection)

        return await self._write(work)


async def _insert_runs(connection: Connection, schedule_id: str, number: int, runs: Sequence[Run]) -> None:
    rows = [(schedule_id, place, *encode_run(run)[1:]) for place, run in enumerate(runs, start=number)]
    if rows:
        await connection.executemany(SQL["insert_schedule_run"], rows)


async def _get(connection: Connection, ref: str) -> Schedule | None:
    row = await connection.fetchrow(SQL["get_schedule"], ref)
    return _decode(row) if row else None


async def _require(connection: Connection, schedule_id: str) -> Schedule:
    found = await _get(connection, schedule_id)
    if found is None:
        raise _stale(schedule_id)
    return found


def _decode(row: asyncpg.Record) -> Schedule:
    return decode_schedule(ScheduleRow._make(row))


def _decode_run(row: asyncpg.Record) -> Run:
    return decode_run(*row)


def _taken(schedule: Schedule) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"a schedule named {schedule.name!r} exists",
        reason=Reason.SCHEDULE_EXISTS,
        metadata={"name": schedule.name},
    )


def _stale(schedule_id: str) -> StaleWriteError:
    return StaleWriteError(f"schedule {schedule_id} has changed, is gone, or is not owned here")
