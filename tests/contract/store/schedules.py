"""Schedules to keep, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.contract.store.samples import CONTEXT, NOW
from weft.core.names import SCHEDULE_PREFIX, new_id
from weft.server.schedule.model import Action, Overlap, Plan, Policies, Run, RunKind, Schedule
from weft.server.schedule.spec import CalendarEntry, CronEntry, IntervalEntry, Range, Spec
from weft.server.store.schedules import Turn

__all__ = ["LATER", "run", "schedule", "turn"]

LATER = NOW + timedelta(minutes=9)

SPEC = Spec(
    crons=(CronEntry(expression="0 9 * * MON", time_zone="Europe/Berlin"),),
    calendars=(CalendarEntry(hours=(Range(start=1, end=9, step=2),), comment="Zoë"),),
    intervals=(IntervalEntry(every=timedelta(seconds=90), offset=timedelta(microseconds=7)),),
    excluded=(CalendarEntry(months=(Range(start=12, end=12),), time_zone="UTC"),),
    time_zone="Asia/Kathmandu",
    start_time=NOW,
    end_time=NOW + timedelta(days=9),
    jitter=timedelta(seconds=3),
)
ACTION = Action(
    workflow="orders",
    version=3,
    alias="stable",
    text=b'{"a":[1,"\xc3\xa9"]}',
    context=CONTEXT,
    attributes={"vip": True, "amount": 1.5, "customer": "Zoë"},
    timeout=timedelta(hours=1),
)
POLICIES = Policies(
    overlap=Overlap.BUFFER_ONE, catch_up_window=timedelta(minutes=3), pause_on_failure=True, max_runs=9
)


def schedule(name: str = "nightly", **changes: Any) -> Schedule:
    made = Schedule(
        id=new_id(SCHEDULE_PREFIX),
        name=name,
        description="Reads — all",
        spec=SPEC,
        action=ACTION,
        policies=POLICIES,
        workflow_id="wf_1",
        plan=Plan(next_time=LATER, last_time=NOW, remaining=4),
        create_time=NOW,
        update_time=NOW,
    )
    return replace(made, **changes)


def run(number: int = 0, **changes: Any) -> Run:
    made = Run(number=number, kind=RunKind.SCHEDULED, key=str(number), planned_time=NOW, overlap=Overlap.SKIP)
    return replace(made, **changes)


def turn(before: Schedule, *runs: Run, **changes: Any) -> Turn:
    return Turn(before=before, after=replace(before, **changes), runs=runs, due_time=LATER)
