"""ScheduleService on the wire: messages to use cases and back, nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from weft.api.schedule.v1 import schedule_pb2, schedule_service_pb2_grpc
from weft.api.schedule.v1 import schedule_service_pb2 as pb
from weft.core.clock import Clock
from weft.core.payload import kind_of, prefer
from weft.core.reasons import Rule
from weft.server.protos import timestamp
from weft.server.requests import Faults, close_page, read_mask, read_page, request_key, require_ref
from weft.server.schedule import convert
from weft.server.schedule.model import Schedule, ScheduleState
from weft.server.schedule.runs import ScheduleRuns
from weft.server.schedule.service import ScheduleService

__all__ = ["ScheduleServicer"]

_METHOD: Final = "weft.api.schedule.v1.ScheduleService/"
_CHANGEABLE: Final = ("description", "spec", "action", "policies")
_MAX_NOTE: Final = 1_024
_TIMES: Final = 10
_MAX_TIMES: Final = 1_000


class ScheduleServicer(schedule_service_pb2_grpc.ScheduleServiceServicer):
    """Serves schedules.

    Args:
        schedules: Their use cases.
        runs: Use cases of what they start.
        clock: Says what is in the future.
    """

    def __init__(self, schedules: ScheduleService, runs: ScheduleRuns, clock: Clock) -> None:
        self._schedules = schedules
        self._runs = runs
        self._clock = clock

    async def CreateSchedule(
        self, request: pb.CreateScheduleRequest, context: object
    ) -> pb.CreateScheduleResponse:
        """Create a schedule."""
        faults = Faults(request)
        key = request_key(_METHOD + "CreateSchedule", request, faults)
        faults.name("schedule.name", request.schedule.name)
        faults.text("note", request.note, _MAX_NOTE)
        parts = await self._parts(request.schedule, frozenset(_CHANGEABLE), faults)
        now = self._clock.now()
        draft = Schedule(
            id="",
            name=request.schedule.name,
            workflow_id="",
            state=ScheduleState.PAUSED if request.paused else ScheduleState.ACTIVE,
            note=request.note,
            create_time=now,
            update_time=now,
            **parts,
        )
        created = await self._schedules.create(draft, key)
        kind = kind_of(request.schedule.action.input)
        return pb.CreateScheduleResponse(schedule=convert.schedule_to_proto(created, kind))

    async def _parts(
        self, message: schedule_pb2.Schedule, fields: frozenset[str], faults: Faults
    ) -> dict[str, Any]:
        """Read some fields of a schedule; when anything is wrong, look for everything that is."""
        parts: dict[str, Any] = {}
        whole: dict[str, Any] = {"spec": None, "action": None}
        for field in (name for name in _CHANGEABLE if name in fields):
            before = len(faults.found)
            parts[field] = _read(message, field, faults)
            if field in whole and len(faults.found) == before:
                whole[field] = parts[field]
        if faults.found:
            faults.extend(await self._schedules.problems(**whole))
            faults.raise_any()
        return parts

    async def UpdateSchedule(
        self, request: pb.UpdateScheduleRequest, context: object
    ) -> pb.UpdateScheduleResponse:
        """Change fields of a schedule."""
        faults = Faults(request)
        key = request_key(_METHOD + "UpdateSchedule", request, faults)
        faults.ref("schedule.id", request.schedule.id)
        fields = read_mask(request.update_mask, request.schedule, _CHANGEABLE, faults)
        parts = await self._parts(request.schedule, fields, faults)

        def change(current: Schedule) -> Schedule:
            return replace(current, **parts)

        changed = await self._schedules.update(request.schedule.id, request.etag, change, key)
        kind = kind_of(request.schedule.action.input, asked=request.payload_kind)
        return pb.UpdateScheduleResponse(schedule=convert.schedule_to_proto(changed, kind))

    async def DeleteSchedule(
        self, request: pb.DeleteScheduleRequest, context: object
    ) -> pb.DeleteScheduleResponse:
        """Delete a schedule."""
        faults = Faults(request)
        key = request_key(_METHOD + "DeleteSchedule", request, faults)
        faults.ref("schedule", request.schedule)
        faults.raise_any()
        await self._schedules.delete(request.schedule, request.etag, key)
        return pb.DeleteScheduleResponse()

    async def GetSchedule(self, request: pb.GetScheduleRequest, context: object) -> pb.GetScheduleResponse:
        """Read a schedule."""
        require_ref(request, "schedule")
        found = await self._schedules.get(request.schedule)
        return pb.GetScheduleResponse(schedule=convert.schedule_to_proto(found, prefer(request.payload_kind)))

    async def ListSchedules(
        self, request: pb.ListSchedulesRequest, context: object
    ) -> pb.ListSchedulesResponse:
        """List schedules by name."""
        faults = Faults(request)
        faults.key("workflow", request.workflow)
        state = convert.state_from_proto(request.state)
        scope = ("schedules", request.workflow, str(state))
        page = read_page(request, scope, faults)
        faults.raise_any()
        found = await self._schedules.list(request.workflow, state, page)
        kind = prefer(request.payload_kind)
        messages = [convert.schedule_to_proto(each, kind) for each in found.items]
        shown, token = close_page(found, messages, lambda each: each.name, scope)
        return pb.ListSchedulesResponse(schedules=shown, next_page_token=token, total_size=found.total)

    async def PauseSchedule(
        self, request: pb.PauseScheduleRequest, context: object
    ) -> pb.PauseScheduleResponse:
        """Stop a schedule from firing."""
        faults = Faults(request)
        key = request_key(_METHOD + "PauseSchedule", request, faults)
        faults.ref("schedule", request.schedule)
        faults.text("note", request.note, _MAX_NOTE)
        faults.raise_any()
        found = await self._schedules.pause(request.schedule, request.note, request.etag, key)
        return pb.PauseScheduleResponse(
            schedule=convert.schedule_to_proto(found, prefer(request.payload_kind))
        )

    async def ResumeSchedule(
        self, request: pb.ResumeScheduleRequest, context: object
    ) -> pb.ResumeScheduleResponse:
        """Let a schedule fire again."""
        faults = Faults(request)
        key = request_key(_METHOD + "ResumeSchedule", request, faults)
        faults.ref("schedule", request.schedule)
        faults.text("note", request.note, _MAX_NOTE)
        faults.raise_any()
        found = await self._schedules.resume(request.schedule, request.note, request.etag, key)
        return pb.ResumeScheduleResponse(
            schedule=convert.schedule_to_proto(found, prefer(request.payload_kind))
        )

    async def TriggerSchedule(
        self, request: pb.TriggerScheduleRequest, context: object
    ) -> pb.TriggerScheduleResponse:
        """Start what a schedule starts, now."""
        faults = Faults(request)
        key = request_key(_METHOD + "TriggerSchedule", request, faults)
        faults.ref("schedule", request.schedule)
        overlap = convert.overlap_from_proto(request.overlap)
        faults.raise_any()
        run = await self._runs.trigger(request.schedule, overlap, key)
        return pb.TriggerScheduleResponse(run=convert.run_to_proto(run))

    async def BackfillSchedule(
        self, request: pb.BackfillScheduleRequest, context: object
    ) -> pb.BackfillScheduleResponse:
        """Start what a schedule would have started in the past."""
        faults = Faults(request)
        key = request_key(_METHOD + "BackfillSchedule", request, faults)
        faults.ref("schedule", request.schedule)
        for field in ("start_time", "end_time"):
            if not request.HasField(field):
                faults.add(field, "is required", Rule.REQUIRED)
        start = convert.read_time(request, "start_time", faults)
        end = convert.read_time(request, "end_time", faults)
        if start and end and end <= start:
            faults.add("end_time", "must be later than start_time", Rule.OUT_OF_RANGE)
        if end and end > self._clock.now():
            faults.add("end_time", "must not be in the future: what comes is started then", Rule.OUT_OF_RANGE)
        overlap = convert.overlap_from_proto(request.overlap)
        faults.raise_any()
        assert start is not None
        assert end is not None
        done = await self._runs.backfill(request.schedule, (start, end), overlap, key, again=request.again)
        return pb.BackfillScheduleResponse(
            count=done.count, first_time=timestamp(done.first), last_time=timestamp(done.last)
        )

    async def ListScheduleTimes(
        self, request: pb.ListScheduleTimesRequest, context: object
    ) -> pb.ListScheduleTimesResponse:
        """List the next times of a schedule."""
        faults = Faults(request)
        faults.ref("schedule", request.schedule)
        count = _read_count(request.count, faults)
        after = convert.read_time(request, "after", faults)
        faults.raise_any()
        times = await self._runs.times(request.schedule, count, after)
        return pb.ListScheduleTimesResponse(times=convert.times_to_proto(times))

    async def PreviewSchedule(
        self, request: pb.PreviewScheduleRequest, context: object
    ) -> pb.PreviewScheduleResponse:
        """List the next times of a spec."""
        faults = Faults(request)
        spec = convert.spec_from_proto(request.spec, faults, "spec")
        count = _read_count(request.count, faults)
        after = convert.read_time(request, "after", faults)
        faults.raise_any()
        times = await self._runs.preview(spec, count, after)
        return pb.PreviewScheduleResponse(times=convert.times_to_proto(times))

    async def ListScheduleRuns(
        self, request: pb.ListScheduleRunsRequest, context: object
    ) -> pb.ListScheduleRunsResponse:
        """List the runs of a schedule, newest first."""
        faults = Faults(request)
        faults.ref("schedule", request.schedule)
        state = convert.run_state_from_proto(request.state)
        scope = ("schedule runs", request.schedule, str(state))
        page = read_page(request, scope, faults, numeric=True)
        faults.raise_any()
        found = await self._runs.page(request.schedule, state, page)
        messages = [convert.run_to_proto(run) for run in found.items]
        shown, token = close_page(found, messages, lambda run: str(run.number), scope)
        return pb.ListScheduleRunsResponse(runs=shown, next_page_token=token, total_size=found.total)


def _read(message: schedule_pb2.Schedule, field: str, faults: Faults) -> Any:
    match field:
        case "spec":
            return convert.spec_from_proto(message.spec, faults, "schedule.spec")
        case "action":
            return convert.action_from_proto(message.action, faults, "schedule.action")
        case "policies":
            return convert.policies_from_proto(message.policies, faults, "schedule.policies")
        case _:
            faults.text("schedule.description", message.description)
            return message.description


def _read_count(count: int, faults: Faults) -> int:
    if count < 0:
        faults.add("count", "must not be negative", Rule.OUT_OF_RANGE)
    return min(count or _TIMES, _MAX_TIMES)
