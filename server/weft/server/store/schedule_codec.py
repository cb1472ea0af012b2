"""What schedules look like at rest."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import orjson

from weft.core.context import CallContext
from weft.server.forms import build, member_of
from weft.server.schedule.model import (
    Action,
    Counts,
    Overlap,
    Plan,
    Policies,
    Run,
    RunKind,
    RunState,
    Schedule,
    ScheduleState,
)
from weft.server.schedule.spec import CalendarEntry, CronEntry, IntervalEntry, Range, Spec
from weft.server.store.codec import encode
from weft.server.store.execution_codec import decode_failure, encode_failure
from weft.server.store.times import from_micros, revive_durations, revive_times, to_micros

__all__ = [
    "COUNTED",
    "RunRow",
    "ScheduleRow",
    "decode_run",
    "decode_schedule",
    "encode_due",
    "encode_plan",
    "encode_run",
    "encode_schedule",
]

COUNTED = {
    RunState.STARTED: "started",
    RunState.SKIPPED: "skipped",
    RunState.MISSED: "missed",
    RunState.FAILED: "failed",
}
"""Which column counts the runs that come into a state."""


class ScheduleRow(NamedTuple):
    """A schedule at rest."""

    document: str
    """JSON text of what people say."""
    plan: str
    """JSON text of what comes next."""
    state: str
    """Where it stands."""
    revision: int
    """Counts changes."""
    last_run: int
    """The number of the newest run."""
    started: int
    """How many runs were started."""
    skipped: int
    """How many were left out."""
    missed: int
    """How many were missed."""
    failed: int
    """How many could not be started."""
    pending: int
    """How many wait; counted when it is read."""
    open: int
    """How many are open; counted when it is read."""


class RunRow(NamedTuple):
    """A run at rest."""

    number: int
    """Its place."""
    state: str
    """What came of it."""
    buffers: int
    """Whether it buffers all."""
    document: str
    """JSON text of everything else."""


def encode_schedule(schedule: Schedule) -> str:
    """Write what people say about a schedule."""
    action = schedule.action
    return encode(
        {
            "id": schedule.id,
            "name": schedule.name,
            "description": schedule.description,
            "spec": schedule.spec,
            "action": {
                "workflow": action.workflow,
                "version": action.version,
                "alias": action.alias,
                "input": action.text.decode(),
                "context": action.context,
                "attributes": action.attributes,
                "timeout": action.timeout,
            },
            "policies": schedule.policies,
            "workflow_id": schedule.workflow_id,
            "note": schedule.note,
            "create_time": schedule.create_time,
            "update_time": schedule.update_time,
        }
    )


def encode_plan(plan: Plan) -> str:
    """Write what comes next."""
    return encode(plan)


def decode_schedule(row: ScheduleRow) -> Schedule:
    """Read a schedule."""
    record = orjson.loads(row.document)
    plan = orjson.loads(row.plan)
    revive_times(record, "create_time", "update_time")
    revive_times(plan, "next_time", "last_time")
    record["spec"] = _spec(record["spec"])
    record["action"] = _action(record["action"])
    revive_durations(record["policies"], "catch_up_window")
    policies = record["policies"]
    policies["overlap"] = member_of(Overlap, policies["overlap"])
    record["policies"] = build(Policies, policies)
    counts = Counts(
        started=row.started,
        skipped=row.skipped,
        missed=row.missed,
        failed=row.failed,
        pending=row.pending,
        open=row.open,
    )
    known = {
        **record,
        "plan": build(Plan, plan),
        "counts": counts,
        "state": member_of(ScheduleState, row.state),
        "revision": row.revision,
        "last_run": row.last_run,
    }
    return build(Schedule, known)


def _spec(record: dict[str, Any]) -> Spec:
    revive_times(record, "start_time", "end_time")
    revive_durations(record, "jitter")
    for interval in record["intervals"]:
        revive_durations(interval, "every", "offset")
    record["crons"] = tuple(build(CronEntry, entry) for entry in record["crons"])
    record["intervals"] = tuple(build(IntervalEntry, entry) for entry in record["intervals"])
    for name in ("calendars", "excluded"):
        record[name] = tuple(map(_calendar, record[name]))
    return build(Spec, record)


def _calendar(record: dict[str, Any]) -> CalendarEntry:
    parts: dict[str, Any] = {
        name: tuple(build(Range, each) for each in value) if isinstance(value, list) else value
        for name, value in record.items()
    }
    return build(CalendarEntry, parts)


def _action(record: dict[str, Any]) -> Action:
    revive_durations(record, "timeout")
    record["text"] = record.pop("input").encode()
    record["context"] = build(CallContext, record["context"])
    return build(Action, record)


def encode_run(run: Run) -> RunRow:
    """Write a run."""
    document = {
        "kind": run.kind,
        "key": run.key,
        "planned_time": run.planned_time,
        "overlap": run.overlap,
        "time": run.time,
        "execution_id": run.execution_id,
        "failure": encode_failure(run.failure) if run.failure else None,
        "count": run.count,
    }
    buffers = int(run.overlap is Overlap.BUFFER_ALL)
    return RunRow(run.number, run.state.value, buffers, encode(document))


def decode_run(number: int, state: str, document: str) -> Run:
    """Read a run."""
    record = orjson.loads(document)
    failure, time = record["failure"], record["time"]
    known = {
        **record,
        "number": number,
        "state": member_of(RunState, state),
        "kind": member_of(RunKind, record["kind"]),
        "overlap": member_of(Overlap, record["overlap"]),
        "planned_time": from_micros(record["planned_time"]),
        "time": None if time is None else from_micros(time),
        "failure": decode_failure(failure) if failure else None,
    }
    return build(Run, known)


def encode_due(time: datetime | None) -> int | None:
    """Return a due time at rest."""
    return None if time is None else to_micros(time)
