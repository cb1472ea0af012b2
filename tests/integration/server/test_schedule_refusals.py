"""Each request for a schedule is refused with everything that is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import duration_pb2, field_mask_pb2, struct_pb2, timestamp_pb2
from google.protobuf.message import Message

from tests.integration.server.schedules import DAILY, create, draft, moment, seconds
from tests.support.refusals import Case, check, faulty, missing, stale, taken
from tests.support.wire import payload
from tests.support.world import World
from weft.api.common.v1 import context_pb2
from weft.api.schedule.v1 import schedule_pb2 as model
from weft.api.schedule.v1 import schedule_service_pb2 as pb
from weft.core.reasons import Reason, Rule

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

GHOST = "sch_" + "0" * 26


def creating(*, name: str = "fine", **fields: Any) -> Message:
    return pb.CreateScheduleRequest(schedule=draft(name, **fields))


def spec(**fields: Any) -> model.ScheduleSpec:
    return model.ScheduleSpec(**fields)


def cron(expression: str, zone: str = "") -> model.CronEntry:
    return model.CronEntry(expression=expression, time_zone=zone)


CASES = [
    faulty(
        "nothing at all",
        "CreateSchedule",
        pb.CreateScheduleRequest(note="x" * 1_025, request_id="x" * 129),
        ("schedule.name", Rule.REQUIRED),
        ("schedule.spec", Rule.SCHEDULE_NEVER_FIRES),
        ("schedule.action.workflow", Rule.REQUIRED),
        ("note", Rule.TOO_LONG),
        ("request_id", Rule.TOO_LONG),
    ),
    faulty(
        "everything wrong with a spec",
        "CreateSchedule",
        creating(
            spec=spec(
                crons=[cron("61 * * * *", "Europe/Berln"), cron("", "Europe")],
                calendars=[
                    model.CalendarEntry(
                        hours=[
                            model.Range(start=24),
                            model.Range(start=5, end=4),
                            model.Range(start=1, step=-1),
                        ],
                        time_zone="x" * 9_000,
                        comment="x" * 257,
                    )
                ],
                intervals=[
                    model.IntervalEntry(),
                    model.IntervalEntry(every=duration_pb2.Duration(seconds=-(2**62))),
                    model.IntervalEntry(every=seconds(60), offset=seconds(60)),
                ],
                excluded=[model.CalendarEntry(years=[model.Range(start=1)] * 101)],
                time_zone="Mars/Olympus",
                start_time=timestamp_pb2.Timestamp(seconds=-1),
                end_time=timestamp_pb2.Timestamp(seconds=2**40),
                jitter=seconds(86_401),
            )
        ),
        ("schedule.spec.crons[0].expression", Rule.CRON_INVALID),
        ("schedule.spec.crons[0].time_zone", Rule.TIME_ZONE_UNKNOWN),
        ("schedule.spec.crons[1].expression", Rule.REQUIRED),
        ("schedule.spec.crons[1].time_zone", Rule.TIME_ZONE_UNKNOWN),
        ("schedule.spec.calendars[0].hours[0]", Rule.OUT_OF_RANGE),
        ("schedule.spec.calendars[0].hours[1]", Rule.OUT_OF_RANGE),
        ("schedule.spec.calendars[0].hours[2].step", Rule.OUT_OF_RANGE),
        ("schedule.spec.calendars[0].time_zone", Rule.TIME_ZONE_UNKNOWN),
        ("schedule.spec.calendars[0].comment", Rule.TOO_LONG),
        ("schedule.spec.intervals[0].every", Rule.OUT_OF_RANGE),
        ("schedule.spec.intervals[1].every", Rule.OUT_OF_RANGE),
        ("schedule.spec.intervals[2].offset", Rule.OUT_OF_RANGE),
        ("schedule.spec.excluded[0].years", Rule.TOO_MANY),
        ("schedule.spec.time_zone", Rule.TIME_ZONE_UNKNOWN),
        ("schedule.spec.start_time", Rule.OUT_OF_RANGE),
        ("schedule.spec.end_time", Rule.OUT_OF_RANGE),
        ("schedule.spec.jitter", Rule.OUT_OF_RANGE),
    ),
    faulty(
        "an end before the start",
        "CreateSchedule",
        creating(
            spec=spec(
                crons=DAILY.crons,
                start_time=moment("2030-01-02T00:00:00Z"),
                end_time=moment("2030-01-01T00:00:00Z"),
            )
        ),
        ("schedule.spec.end_time", Rule.OUT_OF_RANGE),
    ),
    faulty(
        "too many entries",
        "CreateSchedule",
        creating(spec=spec(crons=[cron("* * * * *")] * 51)),
        ("schedule.spec", Rule.TOO_MANY),
    ),
    faulty(
        "entries that never fire",
        "CreateSchedule",
        creating(spec=spec(crons=[cron("0 0 31 FEB *"), cron("0 0 1 1 * 2020"), cron("@daily")])),
        ("schedule.spec.crons[0].expression", Rule.SCHEDULE_NEVER_FIRES),
        ("schedule.spec.crons[1].expression", Rule.SCHEDULE_NEVER_FIRES),
    ),
    faulty(
        "everything excluded, and an input that does not fit: in one answer",
        "CreateSchedule",
        creating(
            name="Not",
            spec=spec(crons=[cron("* * * * * *")], excluded=[model.CalendarEntry()]),
            action=model.ScheduleAction(workflow="shouting", input=payload({"text": 3})),
        ),
        ("schedule.name", Rule.INVALID),
        ("schedule.spec", Rule.SCHEDULE_NEVER_FIRES),
        ("schedule.action.input.text", Rule.SCHEMA_MISMATCH),
    ),
    faulty(
        "an end in the past",
        "CreateSchedule",
        creating(spec=spec(crons=[cron("* * * * *")], end_time=moment("2020-01-01T00:00:00Z"))),
        ("schedule.spec", Rule.SCHEDULE_NEVER_FIRES),
    ),
    faulty(
        "an action with faults",
        "CreateSchedule",
        creating(
            action=model.ScheduleAction(
                workflow="x" * 129,
                version=-1,
                context=context_pb2.CallContext(values={"schedule": "mine"}),
                search_attributes=struct_pb2.Struct(
                    fields={"scheduled_time": struct_pb2.Value(string_value="mine")}
                ),
                timeout=seconds(0),
                alias="?",
            ),
            policies=model.SchedulePolicies(overlap=99, catch_up_window=seconds(9), max_runs=-1),  # type: ignore[arg-type]
        ),
        ("schedule.action.workflow", Rule.TOO_LONG),
        ("schedule.action.version", Rule.OUT_OF_RANGE),
        ("schedule.action.alias", Rule.INVALID),
        ("schedule.action.alias", Rule.INVALID),
        ("schedule.action.context.values.schedule", Rule.INVALID),
        ("schedule.action.search_attributes.scheduled_time", Rule.INVALID),
        ("schedule.action.timeout", Rule.OUT_OF_RANGE),
        ("schedule.policies.overlap", Rule.INVALID),
        ("schedule.policies.catch_up_window", Rule.OUT_OF_RANGE),
        ("schedule.policies.max_runs", Rule.OUT_OF_RANGE),
    ),
    missing(
        "unknown workflow",
        "CreateSchedule",
        creating(action=model.ScheduleAction(workflow="ghost")),
        Reason.WORKFLOW_NOT_FOUND,
    ),
    missing(
        "unknown version",
        "CreateSchedule",
        creating(action=model.ScheduleAction(workflow="shouting", version=9)),
        Reason.WORKFLOW_VERSION_NOT_FOUND,
    ),
    missing(
        "unknown alias",
        "CreateSchedule",
        creating(action=model.ScheduleAction(workflow="shouting", alias="stable")),
        Reason.WORKFLOW_ALIAS_NOT_FOUND,
    ),
    faulty(
        "a name cannot be changed",
        "UpdateSchedule",
        pb.UpdateScheduleRequest(update_mask=field_mask_pb2.FieldMask(paths=["name", "spec"])),
        ("schedule.id", Rule.REQUIRED),
        ("update_mask", Rule.MASK_PATH_UNKNOWN),
        ("schedule.spec", Rule.SCHEDULE_NEVER_FIRES),
    ),
    faulty(
        "no range, too many",
        "BackfillSchedule",
        pb.BackfillScheduleRequest(),
        ("schedule", Rule.REQUIRED),
        ("start_time", Rule.REQUIRED),
        ("end_time", Rule.REQUIRED),
    ),
    faulty(
        "a range that goes backwards into the future",
        "BackfillSchedule",
        pb.BackfillScheduleRequest(
            schedule="x", start_time=moment("2150-01-02T00:00:00Z"), end_time=moment("2150-01-01T00:00:00Z")
        ),
        ("end_time", Rule.OUT_OF_RANGE),
        ("end_time", Rule.OUT_OF_RANGE),
    ),
    faulty(
        "a count below nothing",
        "PreviewSchedule",
        pb.PreviewScheduleRequest(spec=DAILY, count=-1, after=timestamp_pb2.Timestamp(nanos=-1)),
        ("count", Rule.OUT_OF_RANGE),
        ("after", Rule.OUT_OF_RANGE),
    ),
    faulty(
        "a list's faults",
        "ListSchedules",
        pb.ListSchedulesRequest(workflow="x" * 129, page_size=-1, skip=-1, page_token="?"),
        ("workflow", Rule.TOO_LONG),
        ("page_size", Rule.OUT_OF_RANGE),
        ("skip", Rule.OUT_OF_RANGE),
        ("page_token", Rule.PAGE_TOKEN_INVALID),
    ),
    missing(
        "unknown workflow",
        "ListSchedules",
        pb.ListSchedulesRequest(workflow="ghost"),
        Reason.WORKFLOW_NOT_FOUND,
    ),
    faulty(
        "without a schedule",
        "ListScheduleRuns",
        pb.ListScheduleRunsRequest(page_size=-1),
        ("schedule", Rule.REQUIRED),
        ("page_size", Rule.OUT_OF_RANGE),
    ),
    *(
        faulty("without a schedule", method, request, ("schedule", Rule.REQUIRED))
        for method, request in {
            "GetSchedule": pb.GetScheduleRequest(),
            "DeleteSchedule": pb.DeleteScheduleRequest(),
            "PauseSchedule": pb.PauseScheduleRequest(),
            "ResumeSchedule": pb.ResumeScheduleRequest(),
            "TriggerSchedule": pb.TriggerScheduleRequest(),
            "ListScheduleTimes": pb.ListScheduleTimesRequest(),
        }.items()
    ),
    *(
        missing("unknown schedule", method, request, Reason.SCHEDULE_NOT_FOUND)
        for method, request in {
            "GetSchedule": pb.GetScheduleRequest(schedule=GHOST),
            "UpdateSchedule": pb.UpdateScheduleRequest(schedule=model.Schedule(id="ghost", description="x")),
            "DeleteSchedule": pb.DeleteScheduleRequest(schedule="ghost"),
            "PauseSchedule": pb.PauseScheduleRequest(schedule="ghost"),
            "ResumeSchedule": pb.ResumeScheduleRequest(schedule="ghost"),
            "TriggerSchedule": pb.TriggerScheduleRequest(schedule="ghost", request_id="ghost"),
            "ListScheduleTimes": pb.ListScheduleTimesRequest(schedule="ghost"),
            "ListScheduleRuns": pb.ListScheduleRunsRequest(schedule="ghost"),
            "BackfillSchedule": pb.BackfillScheduleRequest(
                schedule="ghost",
                start_time=moment("2025-01-01T00:00:00Z"),
                end_time=moment("2025-01-02T00:00:00Z"),
            ),
        }.items()
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_it_is_refused(world: World, case: Case) -> None:
    """At once, with everything that is wrong."""
    await check(world, case)


async def test_what_depends_on_a_schedule_is_refused(world: World) -> None:
    """A name that is taken, an etag that is old, a range without times or with too many."""
    made = await create(world.wire)
    minutely = await create(world.wire, spec(crons=[cron("* * * * *")]))
    await world.wire.schedules.PauseSchedule(pb.PauseScheduleRequest(schedule=made.name))
    begin, end = moment("2026-01-01T00:00:00Z"), moment("2026-01-02T00:00:00Z")
    cases = [
        taken("the name", "CreateSchedule", creating(name=made.name), Reason.SCHEDULE_EXISTS),
        stale("DeleteSchedule", pb.DeleteScheduleRequest(schedule=made.id, etag=made.etag)),
        stale("ResumeSchedule", pb.ResumeScheduleRequest(schedule=made.id, etag=made.etag)),
        stale(
            "UpdateSchedule",
            pb.UpdateScheduleRequest(schedule=model.Schedule(id=made.id, description="x"), etag=made.etag),
        ),
        faulty(
            "no times",
            "BackfillSchedule",
            pb.BackfillScheduleRequest(
                schedule=made.id, start_time=begin, end_time=moment("2026-01-01T01:00:00Z")
            ),
            ("start_time", Rule.INVALID),
        ),
        faulty(
            "too many times",
            "BackfillSchedule",
            pb.BackfillScheduleRequest(schedule=minutely.id, start_time=begin, end_time=end),
            ("end_time", Rule.TOO_MANY),
        ),
    ]
    for case in cases:
        await check(world, case)
