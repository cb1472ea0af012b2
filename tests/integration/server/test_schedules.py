"""Schedules over the wire: made, shown, changed, fired, and refused with everything that is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf import duration_pb2, field_mask_pb2, struct_pb2, timestamp_pb2
from google.protobuf.message import Message

from tests.support.refusals import Case, check, faulty, missing, stale, taken
from tests.support.wire import JSON, Wire, payload, value_in
from tests.support.world import World
from weft.api.common.v1 import context_pb2
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as executions
from weft.api.schedule.v1 import schedule_pb2 as model
from weft.api.schedule.v1 import schedule_service_pb2 as pb
from weft.core.errors import Code
from weft.core.reasons import Reason, Rule

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

GHOST = "sch_" + "0" * 26
DAILY = model.ScheduleSpec(crons=[model.CronEntry(expression="0 9 * * *", time_zone="Europe/Berlin")])
SHOUT = model.ScheduleAction(workflow="shouting", input=payload({"text": "hey"}))
OVERLAP = model.OverlapPolicy


def seconds(number: float) -> duration_pb2.Duration:
    made = duration_pb2.Duration()
    made.FromTimedelta(timedelta(seconds=number))
    return made


def moment(text: str) -> timestamp_pb2.Timestamp:
    made = timestamp_pb2.Timestamp()
    made.FromJsonString(text)
    return made


def new_name() -> str:
    return f"s-{uuid4().hex[:20]}"


def draft(name: str, spec: model.ScheduleSpec = DAILY, **fields: Any) -> model.Schedule:
    fields.setdefault("action", SHOUT)
    return model.Schedule(name=name, spec=spec, **fields)


async def create(wire: Wire, spec: model.ScheduleSpec = DAILY, **fields: Any) -> model.Schedule:
    request = pb.CreateScheduleRequest(schedule=draft(new_name(), spec, **fields))
    return (await wire.schedules.CreateSchedule(request, timeout=20)).schedule


async def runs_of(wire: Wire, schedule: str) -> list[model.ScheduleRun]:
    request = pb.ListScheduleRunsRequest(schedule=schedule)
    return list((await wire.schedules.ListScheduleRuns(request, timeout=20)).runs)


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await done():  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.05)


async def test_a_schedule_is_shown_as_it_was_made(world: World) -> None:
    """Everything that was said, where it stands, and when it fires next."""
    made = draft(
        new_name(),
        description="Reads — all",
        policies=model.SchedulePolicies(
            overlap=OVERLAP.OVERLAP_POLICY_BUFFER_ONE,
            catch_up_window=seconds(3_600),
            pause_on_failure=True,
            max_runs=7,
        ),
    )
    made.spec.calendars.add(hours=[model.Range(start=9, end=17, step=4)], comment="by day")
    made.spec.intervals.add(every=seconds(90), offset=seconds(1.5))
    made.spec.excluded.add(months=[model.Range(start=12, end=12, step=1)], time_zone="Asia/Kathmandu")
    made.spec.time_zone = "Australia/Lord_Howe"
    made.spec.start_time.CopyFrom(moment("2026-01-01T00:00:00.000001Z"))
    made.spec.end_time.CopyFrom(moment("2199-01-01T00:00:00Z"))
    made.spec.jitter.CopyFrom(seconds(3))
    made.action.CopyFrom(
        model.ScheduleAction(
            workflow="shouting",
            version=1,
            input=payload({"text": "hey", "big": 2**60}),
            context=context_pb2.CallContext(project_id="p", values={"tenant": "Zoë"}),
            search_attributes=struct_pb2.Struct(fields={"vip": struct_pb2.Value(bool_value=True)}),
            timeout=seconds(9),
        )
    )
    request = pb.CreateScheduleRequest(schedule=made, request_id=uuid4().hex)
    created = (await world.wire.schedules.CreateSchedule(request)).schedule
    for field in ("name", "description", "spec", "action", "policies"):
        assert getattr(created, field) == getattr(made, field), field
    assert created.state == model.SCHEDULE_STATE_ACTIVE
    assert created.info.next_time.ToDatetime(UTC) > datetime.now(UTC)
    assert created.info.remaining_runs == 7
    get = pb.GetScheduleRequest(schedule=created.name, payload_kind=JSON)
    assert (await world.wire.schedules.GetSchedule(get)).schedule == created
    assert (await world.wire.schedules.CreateSchedule(request)).schedule == created
    await world.wire.schedules.DeleteSchedule(pb.DeleteScheduleRequest(schedule=created.id))
    refusal = await world.wire.refusal("CreateSchedule", request)
    assert refusal.kind == (Code.NOT_FOUND, Reason.SCHEDULE_NOT_FOUND)


async def test_it_fires(world: World) -> None:
    """Each time once; the executions are found by the schedule's name and the time."""
    every_second = model.ScheduleSpec(intervals=[model.IntervalEntry(every=seconds(1))])
    made = await create(
        world.wire,
        every_second,
        policies=model.SchedulePolicies(overlap=OVERLAP.OVERLAP_POLICY_ALLOW_ALL, max_runs=2),
    )

    async def completed() -> bool:
        found = await world.wire.schedules.GetSchedule(pb.GetScheduleRequest(schedule=made.id))
        return found.schedule.state == model.SCHEDULE_STATE_COMPLETED

    await until(completed)
    request = executions.ListExecutionsRequest(filter=f"attributes.schedule = {made.name}")
    listed = (await world.wire.executions.ListExecutions(request)).executions
    runs = await runs_of(world.wire, made.name)
    assert [run.execution_id for run in runs] == [execution.id for execution in listed]
    assert {run.kind for run in runs} == {model.SCHEDULE_RUN_KIND_SCHEDULED}
    assert [execution.search_attributes["scheduled_time"] for execution in listed] == [
        run.planned_time.ToJsonString() for run in runs
    ]
    assert runs[0].planned_time.seconds - runs[1].planned_time.seconds == 1
    assert all(0 <= run.time.ToNanoseconds() - run.planned_time.ToNanoseconds() < 9e9 for run in runs)
    assert listed[0].context.values["schedule"] == made.name


async def test_it_is_triggered_paused_and_resumed(world: World) -> None:
    """By hand it starts also while it is paused; a repeat starts nothing."""
    wire = world.wire
    made = await create(wire)
    pause = pb.PauseScheduleRequest(schedule=made.name, note="closed", etag=made.etag, request_id=made.id)
    paused = (await wire.schedules.PauseSchedule(pause)).schedule
    assert (paused.state, paused.note) == (model.SCHEDULE_STATE_PAUSED, "closed")
    assert not paused.info.HasField("next_time")
    assert (await wire.schedules.PauseSchedule(pause)).schedule == paused
    trigger = pb.TriggerScheduleRequest(schedule=made.name, request_id=uuid4().hex)
    run = (await wire.schedules.TriggerSchedule(trigger)).run
    assert run.kind == model.SCHEDULE_RUN_KIND_TRIGGERED
    assert (await wire.schedules.TriggerSchedule(trigger)).run.execution_id == run.execution_id

    async def ended() -> bool:
        (only,) = await runs_of(wire, made.name)
        return only.state == model.SCHEDULE_RUN_STATE_ENDED

    await until(ended)
    get = executions.GetExecutionRequest(execution_id=run.execution_id, payload_kind=JSON)
    execution = (await wire.executions.GetExecution(get)).execution
    assert execution.state == execution_pb2.EXECUTION_STATE_COMPLETED
    assert value_in(execution.input, JSON) == {"text": "hey"}
    resume = pb.ResumeScheduleRequest(schedule=made.name, note="open")
    resumed = (await wire.schedules.ResumeSchedule(resume)).schedule
    assert (resumed.state, resumed.note) == (model.SCHEDULE_STATE_ACTIVE, "open")
    assert resumed.info.HasField("next_time")
    assert (await wire.schedules.ResumeSchedule(resume)).schedule.etag == resumed.etag


async def test_a_range_in_the_past_is_backfilled(world: World) -> None:
    """Each time once, however often it is asked for, unless that is wanted."""
    made = await create(world.wire)
    request = pb.BackfillScheduleRequest(
        schedule=made.id,
        start_time=moment("2026-03-28T08:00:00Z"),
        end_time=moment("2026-03-30T07:00:00Z"),
        request_id=uuid4().hex,
    )
    done = await world.wire.schedules.BackfillSchedule(request)
    assert (done.count, done.first_time, done.last_time) == (
        2,
        moment("2026-03-28T08:00:00Z"),
        moment("2026-03-29T07:00:00Z"),
    )
    assert await world.wire.schedules.BackfillSchedule(request) == done

    async def over(count: int) -> bool:
        runs = await runs_of(world.wire, made.name)
        return [run.state for run in runs] == [model.SCHEDULE_RUN_STATE_ENDED] * count

    await until(lambda: over(2))
    request.request_id = uuid4().hex
    await world.wire.schedules.BackfillSchedule(request)
    await until(lambda: over(4))
    assert len({run.execution_id for run in await runs_of(world.wire, made.name)}) == 2
    request.request_id, request.again = uuid4().hex, True
    request.overlap = OVERLAP.OVERLAP_POLICY_ALLOW_ALL
    await world.wire.schedules.BackfillSchedule(request)
    await until(lambda: over(6))
    assert len({run.execution_id for run in await runs_of(world.wire, made.name)}) == 4


async def test_a_change_holds_from_then_on(world: World) -> None:
    """Only what the mask names; another spec plans anew; a repeat changes nothing."""
    made = await create(world.wire, description="kept")
    request = pb.UpdateScheduleRequest(
        schedule=model.Schedule(
            id=made.name,
            spec=model.ScheduleSpec(
                crons=[model.CronEntry(expression="0 0 1 1 ? 2100")], time_zone="Asia/Kathmandu"
            ),
            description="not this",
        ),
        update_mask=field_mask_pb2.FieldMask(paths=["spec"]),
        etag=made.etag,
        request_id=uuid4().hex,
        payload_kind=JSON,
    )
    changed = (await world.wire.schedules.UpdateSchedule(request)).schedule
    assert (changed.description, changed.action) == ("kept", made.action)
    assert changed.info.next_time.ToJsonString() == "2099-12-31T18:15:00Z"
    assert (await world.wire.schedules.UpdateSchedule(request)).schedule == changed
    times = pb.ListScheduleTimesRequest(schedule=made.name, count=5)
    assert list((await world.wire.schedules.ListScheduleTimes(times)).times) == [changed.info.next_time]


async def test_times_are_previewed(world: World) -> None:
    """Of a spec that is not stored, from any time on."""
    request = pb.PreviewScheduleRequest(spec=DAILY, count=2, after=moment("2026-03-28T08:00:00Z"))
    found = (await world.wire.schedules.PreviewSchedule(request)).times
    assert [time.ToJsonString() for time in found] == ["2026-03-29T07:00:00Z", "2026-03-30T07:00:00Z"]
    assert (
        len((await world.wire.schedules.PreviewSchedule(pb.PreviewScheduleRequest(spec=DAILY))).times) == 10
    )


async def test_schedules_are_listed(world: World) -> None:
    """By name, of a workflow, in a state, in pages."""
    made = sorted([(await create(world.wire)).name for _ in range(3)])
    await world.wire.schedules.PauseSchedule(pb.PauseScheduleRequest(schedule=made[1]))
    request = pb.ListSchedulesRequest(
        workflow="shouting", state=model.SCHEDULE_STATE_ACTIVE, page_size=1, page_token=""
    )
    names: list[str] = []
    while True:
        page = await world.wire.schedules.ListSchedules(request)
        names += [schedule.name for schedule in page.schedules]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert names == sorted(names)
    assert [name for name in names if name in made] == [made[0], made[2]]
    none = await world.wire.schedules.ListSchedules(pb.ListSchedulesRequest(workflow="asleep"))
    assert none.total_size == 0


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
