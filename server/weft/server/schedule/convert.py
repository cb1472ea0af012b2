"""Messages of schedules to their model, and back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf import duration_pb2, timestamp_pb2

from weft.api.schedule.v1 import schedule_pb2 as pb
from weft.core.payload import JsonObject, PayloadKind, from_payload, to_payload, to_struct
from weft.core.reasons import Rule
from weft.server.execution.engine.dispatch import rewrite
from weft.server.execution.starting.attributes import MAX_ATTRIBUTES, read_attributes
from weft.server.execution.wire.event_convert import context_to_proto, failure_to_proto
from weft.server.protos import duration, enum_from_proto, enum_to_proto, timestamp
from weft.server.requests import Faults, read_context, read_duration
from weft.server.schedule.calendar import LAST_YEAR
from weft.server.schedule.checks import spec_faults
from weft.server.schedule.model import (
    Action,
    Overlap,
    Policies,
    Run,
    RunState,
    Schedule,
    ScheduleState,
)
from weft.server.schedule.spec import CalendarEntry, CronEntry, IntervalEntry, Range, Spec
from weft.server.schedule.starts import NAME_ATTRIBUTE, TIME_ATTRIBUTE
from weft.server.workflow.aliases import check_alias

__all__ = [
    "action_from_proto",
    "overlap_from_proto",
    "policies_from_proto",
    "read_time",
    "run_state_from_proto",
    "run_to_proto",
    "schedule_to_proto",
    "spec_from_proto",
    "state_from_proto",
    "times_to_proto",
]

_NOTHING: Final[JsonObject] = {}
_MAX_TIMEOUT: Final = timedelta(days=365)
_SHORTEST_WINDOW: Final = timedelta(seconds=10)
_LONGEST_WINDOW: Final = timedelta(days=365)
_OWN: Final = 2
"""How many attributes and values of its own a start has."""
_MAX_VALUES: Final = 32 - _OWN
_FIRST: Final = 0
_LAST: Final = int(datetime(LAST_YEAR, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
_TOO_LONG: Final = timedelta(days=100_000)
_PARTS: Final = ("seconds", "minutes", "hours", "days", "months", "weekdays", "years")


def read_time(message: Any, field: str, faults: Faults, path: str = "") -> datetime | None:
    """Read an optional time between 1970 and 2199."""
    if not message.HasField(field):
        return None
    found: timestamp_pb2.Timestamp = getattr(message, field)
    if not _FIRST <= found.seconds <= _LAST or not 0 <= found.nanos < 1_000_000_000:
        faults.add(path or field, f"must be between the years 1970 and {LAST_YEAR}", Rule.OUT_OF_RANGE)
        return None
    return datetime.fromtimestamp(found.seconds, UTC) + timedelta(microseconds=found.nanos // 1_000)


# ---- what people say


def spec_from_proto(message: pb.ScheduleSpec, faults: Faults, path: str) -> Spec:
    """Read when a schedule fires, noting all that is wrong with it by itself."""
    spec = Spec(
        crons=tuple(
            CronEntry(expression=cron.expression, time_zone=cron.time_zone) for cron in message.crons
        ),
        calendars=tuple(map(_calendar, message.calendars)),
        intervals=tuple(
            IntervalEntry(every=_span(interval.every), offset=_span(interval.offset))
            for interval in message.intervals
        ),
        excluded=tuple(map(_calendar, message.excluded)),
        time_zone=message.time_zone,
        start_time=read_time(message, "start_time", faults, f"{path}.start_time"),
        end_time=read_time(message, "end_time", faults, f"{path}.end_time"),
        jitter=_span(message.jitter),
    )
    faults.extend(spec_faults(spec, path))
    return spec


def _calendar(message: pb.CalendarEntry) -> CalendarEntry:
    parts: dict[str, Any] = {part: _ranges(getattr(message, part)) for part in _PARTS}
    return CalendarEntry(**parts, time_zone=message.time_zone, comment=message.comment)


def _ranges(messages: Iterable[pb.Range]) -> tuple[Range, ...]:
    return tuple(
        Range(start=each.start, end=each.end if each.HasField("end") else each.start, step=each.step or 1)
        for each in messages
    )


def _span(message: duration_pb2.Duration) -> timedelta:
    """Read a duration; one that is too long for anything stays too long."""
    try:
        return min(timedelta(seconds=message.seconds, microseconds=message.nanos // 1_000), _TOO_LONG)
    except OverflowError:
        return _TOO_LONG if message.seconds > 0 else -_TOO_LONG


def action_from_proto(message: pb.ScheduleAction, faults: Faults, path: str) -> Action:
    """Read what a schedule starts."""
    faults.required(f"{path}.workflow", message.workflow)
    faults.key(f"{path}.workflow", message.workflow)
    if message.version < 0:
        faults.add(f"{path}.version", "must not be negative", Rule.OUT_OF_RANGE)
    if message.alias:
        check_alias(f"{path}.alias", message.alias, faults)
        if message.version:
            faults.add(f"{path}.alias", "excludes a version: give one of them")
    value = faults.attempt(lambda: from_payload(message.input, f"{path}.input"), _NOTHING)
    context = read_context(message.context, faults, f"{path}.context")
    faults.count(f"{path}.context.values", message.context.values, _MAX_VALUES)
    attributes = read_attributes(message.search_attributes, faults, f"{path}.search_attributes")
    faults.count(f"{path}.search_attributes", attributes, MAX_ATTRIBUTES - _OWN)
    for field, names in (("search_attributes", attributes), ("context.values", context.values)):
        for name in {NAME_ATTRIBUTE, TIME_ATTRIBUTE} & set(names):
            faults.add(f"{path}.{field}.{name}", "is set by the schedule itself")
    timeout = read_duration(
        message,
        "timeout",
        faults,
        path=f"{path}.timeout",
        at_least=timedelta(milliseconds=1),
        at_most=_MAX_TIMEOUT,
    )
    return Action(
        workflow=message.workflow,
        version=message.version,
        alias=message.alias,
        text=faults.attempt(lambda: rewrite(value, f"{path}.input"), b"{}"),
        context=context,
        attributes=attributes,
        timeout=timeout,
    )


def policies_from_proto(message: pb.SchedulePolicies, faults: Faults, path: str) -> Policies:
    """Read how a schedule starts things."""
    faults.enum(message, "overlap", f"{path}.overlap")
    window = read_duration(
        message,
        "catch_up_window",
        faults,
        path=f"{path}.catch_up_window",
        at_least=_SHORTEST_WINDOW,
        at_most=_LONGEST_WINDOW,
    )
    if message.max_runs < 0:
        faults.add(f"{path}.max_runs", "must not be negative", Rule.OUT_OF_RANGE)
    return Policies(
        overlap=overlap_from_proto(message.overlap) or Overlap.SKIP,
        catch_up_window=window or Policies().catch_up_window,
        pause_on_failure=message.pause_on_failure,
        max_runs=message.max_runs,
    )


def overlap_from_proto(number: int) -> Overlap | None:
    """Read a policy; None when it is not set."""
    return enum_from_proto(pb.OverlapPolicy, "OVERLAP_POLICY", Overlap, number)


def state_from_proto(number: int) -> ScheduleState | None:
    """Read a state of a filter."""
    return enum_from_proto(pb.ScheduleState, "SCHEDULE_STATE", ScheduleState, number)


def run_state_from_proto(number: int) -> RunState | None:
    """Read a state of a filter."""
    return enum_from_proto(pb.ScheduleRunState, "SCHEDULE_RUN_STATE", RunState, number)


# ---- what is shown


def schedule_to_proto(schedule: Schedule, kind: PayloadKind) -> pb.Schedule:
    """Show a schedule."""
    return pb.Schedule(
        id=schedule.id,
        name=schedule.name,
        description=schedule.description,
        spec=_spec_to_proto(schedule.spec),
        action=_action_to_proto(schedule.action, kind),
        policies=pb.SchedulePolicies(
            overlap=_overlap_to_proto(schedule.policies.overlap),
            catch_up_window=duration(schedule.policies.catch_up_window),
            pause_on_failure=schedule.policies.pause_on_failure,
            max_runs=schedule.policies.max_runs,
        ),
        state=enum_to_proto(pb.ScheduleState, "SCHEDULE_STATE", schedule.state),
        note=schedule.note,
        info=_info_to_proto(schedule),
        etag=schedule.etag,
        create_time=timestamp(schedule.create_time),
        update_time=timestamp(schedule.update_time),
    )


def times_to_proto(times: Iterable[datetime]) -> list[timestamp_pb2.Timestamp]:
    """Show times."""
    return [shown for time in times if (shown := timestamp(time)) is not None]


def _info_to_proto(schedule: Schedule) -> pb.ScheduleInfo:
    counts, plan = schedule.counts, schedule.plan
    return pb.ScheduleInfo(
        next_time=timestamp(plan.next_time),
        last_time=timestamp(plan.last_time),
        started_count=counts.started,
        skipped_count=counts.skipped,
        missed_count=counts.missed,
        failed_count=counts.failed,
        pending_count=counts.pending,
        open_count=counts.open,
        remaining_runs=plan.remaining,
    )


def _spec_to_proto(spec: Spec) -> pb.ScheduleSpec:
    return pb.ScheduleSpec(
        crons=[pb.CronEntry(expression=cron.expression, time_zone=cron.time_zone) for cron in spec.crons],
        calendars=[_calendar_to_proto(entry) for entry in spec.calendars],
        intervals=[
            pb.IntervalEntry(every=duration(each.every), offset=_some(each.offset)) for each in spec.intervals
        ],
        excluded=[_calendar_to_proto(entry) for entry in spec.excluded],
        time_zone=spec.time_zone,
        start_time=timestamp(spec.start_time),
        end_time=timestamp(spec.end_time),
        jitter=_some(spec.jitter),
    )


def _some(span: timedelta) -> duration_pb2.Duration | None:
    return duration(span) if span else None


def _calendar_to_proto(entry: CalendarEntry) -> pb.CalendarEntry:
    parts: dict[str, Any] = {
        part: [_range_to_proto(each) for each in getattr(entry, part)] for part in _PARTS
    }
    return pb.CalendarEntry(**parts, time_zone=entry.time_zone, comment=entry.comment)


def _range_to_proto(each: Range) -> pb.Range:
    return pb.Range(start=each.start, end=each.end, step=each.step)


def _action_to_proto(action: Action, kind: PayloadKind) -> pb.ScheduleAction:
    return pb.ScheduleAction(
        workflow=action.workflow,
        version=action.version,
        alias=action.alias,
        input=to_payload(action.text, kind),
        context=context_to_proto(action.context),
        search_attributes=to_struct(action.attributes) if action.attributes else None,
        timeout=duration(action.timeout),
    )


def _overlap_to_proto(overlap: Overlap) -> Any:
    return enum_to_proto(pb.OverlapPolicy, "OVERLAP_POLICY", overlap)


def run_to_proto(run: Run) -> pb.ScheduleRun:
    """Show a run."""
    return pb.ScheduleRun(
        number=run.number,
        kind=enum_to_proto(pb.ScheduleRunKind, "SCHEDULE_RUN_KIND", run.kind),
        planned_time=timestamp(run.planned_time),
        state=enum_to_proto(pb.ScheduleRunState, "SCHEDULE_RUN_STATE", run.state),
        time=timestamp(run.time),
        execution_id=run.execution_id,
        failure=failure_to_proto(run.failure),
        count=run.count,
        overlap=_overlap_to_proto(run.overlap),
    )
