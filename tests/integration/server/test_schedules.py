"""Schedules over the wire: made, shown, changed and fired."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from google.protobuf import field_mask_pb2, struct_pb2

from tests.integration.server.schedules import DAILY, create, draft, moment, new_name, runs_of, seconds, until
from tests.support.wire import JSON, payload, value_in
from tests.support.world import World
from weft.api.common.v1 import context_pb2
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as executions
from weft.api.schedule.v1 import schedule_pb2 as model
from weft.api.schedule.v1 import schedule_service_pb2 as pb
from weft.core.errors import Code
from weft.core.reasons import Reason

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

OVERLAP = model.OverlapPolicy


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
