"""Messages of schedules to records."""

from __future__ import annotations

from collections.abc import Iterable

from weft.api.schedule.v1 import schedule_pb2 as pb
from weft.client._reading.execution import context, failure
from weft.client._reading.fields import object_of, span_of, time_of
from weft.client._writing import enums
from weft.client.records import (
    CalendarEntry,
    CronEntry,
    IntervalEntry,
    Schedule,
    ScheduleAction,
    ScheduleInfo,
    SchedulePolicies,
    ScheduleRun,
    ScheduleSpec,
)
from weft.core.payload import from_struct

__all__ = ["schedule", "schedule_run"]


def schedule(message: pb.Schedule) -> Schedule:
    """Read a schedule."""
    return Schedule(
        id=message.id,
        name=message.name,
        description=message.description,
        spec=_spec(message.spec),
        action=_action(message.action),
        policies=SchedulePolicies(
            overlap=enums.OVERLAP_POLICY.name(message.policies.overlap),
            catch_up_window=span_of(message.policies, "catch_up_window"),
            pause_on_failure=message.policies.pause_on_failure,
            max_runs=message.policies.max_runs,
        ),
        state=enums.SCHEDULE_STATE.name(message.state),
        note=message.note,
        info=_info(message.info),
        etag=message.etag,
        create_time=time_of(message, "create_time"),
        update_time=time_of(message, "update_time"),
    )


def _spec(message: pb.ScheduleSpec) -> ScheduleSpec:
    return ScheduleSpec(
        crons=tuple(
            CronEntry(expression=cron.expression, time_zone=cron.time_zone) for cron in message.crons
        ),
        calendars=tuple(map(_calendar, message.calendars)),
        intervals=tuple(map(_interval, message.intervals)),
        excluded=tuple(map(_calendar, message.excluded)),
        time_zone=message.time_zone,
        start_time=time_of(message, "start_time"),
        end_time=time_of(message, "end_time"),
        jitter=span_of(message, "jitter"),
    )


def _interval(message: pb.IntervalEntry) -> IntervalEntry:
    return IntervalEntry(every=message.every.ToTimedelta(), offset=span_of(message, "offset"))


def _calendar(message: pb.CalendarEntry) -> CalendarEntry:
    return CalendarEntry(
        seconds=_ranges(message.seconds),
        minutes=_ranges(message.minutes),
        hours=_ranges(message.hours),
        days=_ranges(message.days),
        months=_ranges(message.months),
        weekdays=_ranges(message.weekdays),
        years=_ranges(message.years),
        time_zone=message.time_zone,
        comment=message.comment,
    )


def _ranges(messages: Iterable[pb.Range]) -> tuple[str, ...]:
    return tuple(map(_range, messages))


def _range(message: pb.Range) -> str:
    end = f"-{message.end}" if message.HasField("end") and message.end != message.start else ""
    step = f"/{message.step}" if message.step > 1 else ""
    return f"{message.start}{end}{step}"


def _action(message: pb.ScheduleAction) -> ScheduleAction:
    return ScheduleAction(
        workflow=message.workflow,
        version=message.version,
        alias=message.alias,
        input=object_of(message, "input"),
        context=context(message.context),
        search_attributes=from_struct(message.search_attributes, "search_attributes"),
        timeout=span_of(message, "timeout"),
    )


def _info(message: pb.ScheduleInfo) -> ScheduleInfo:
    return ScheduleInfo(
        next_time=time_of(message, "next_time"),
        last_time=time_of(message, "last_time"),
        started=message.started_count,
        skipped=message.skipped_count,
        missed=message.missed_count,
        failed=message.failed_count,
        pending=message.pending_count,
        open=message.open_count,
        remaining_runs=message.remaining_runs if message.HasField("remaining_runs") else None,
    )


def schedule_run(message: pb.ScheduleRun) -> ScheduleRun:
    """Read a run."""
    return ScheduleRun(
        number=message.number,
        kind=enums.SCHEDULE_RUN_KIND.name(message.kind),
        planned_time=time_of(message, "planned_time"),
        state=enums.SCHEDULE_RUN_STATE.name(message.state),
        time=time_of(message, "time"),
        execution_id=message.execution_id,
        failure=failure(message.failure) if message.HasField("failure") else None,
        count=message.count,
        overlap=enums.OVERLAP_POLICY.name(message.overlap),
    )
