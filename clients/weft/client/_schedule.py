"""Typed calls of the ScheduleService."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeAlias

from weft.api.schedule.v1 import schedule_pb2
from weft.api.schedule.v1 import schedule_service_pb2 as pb
from weft.api.schedule.v1 import schedule_service_pb2_grpc as pb_grpc
from weft.client._reading.fields import time_of
from weft.client._reading.schedule import schedule, schedule_run
from weft.client._transport.calls import Caller, new_request_id
from weft.client._writing import enums
from weft.client._writing import fields as write
from weft.client._writing import schedule as say
from weft.client.records import (
    Backfill,
    Page,
    Schedule,
    ScheduleAction,
    SchedulePolicies,
    ScheduleRun,
    ScheduleSpec,
)
from weft.core.errors import ValidationError, Violation

Spec: TypeAlias = ScheduleSpec | Mapping[str, Any] | str
Action: TypeAlias = ScheduleAction | Mapping[str, Any] | str
Policies: TypeAlias = SchedulePolicies | Mapping[str, Any]
When: TypeAlias = datetime | str


class ScheduleClient:
    """Workflows that are started by the clock."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @cached_property
    def _stub(self) -> pb_grpc.ScheduleServiceAsyncStub:
        return pb_grpc.ScheduleServiceStub(self._caller.channel)

    async def create(
        self,
        name: str,
        spec: Spec,
        action: Action,
        *,
        policies: Policies | None = None,
        description: str = "",
        paused: bool = False,
        note: str = "",
        request_id: str = "",
    ) -> Schedule:
        """Create a schedule.

        Args:
            name: Unique.
            spec: When: a cron expression, or a mapping or record with ``crons``, ``calendars``,
                ``intervals``, ``excluded``, ``time_zone``, ``start_time``, ``end_time``, ``jitter``.
            action: What: the name of a workflow, or a mapping or record with ``workflow``, ``version``
                or ``alias``, ``input``, ``context``, ``search_attributes``, ``timeout``.
            policies: How: ``overlap``, ``catch_up_window``, ``pause_on_failure``, ``max_runs``.
            description: For people.
            paused: Whether it begins paused.
            note: Why it is.
            request_id: Idempotency key; made when empty.

        Raises:
            ValidationError: It has faults, or never fires; all are listed.
            ResourceNotFoundError: There is no such workflow.
            AlreadyExistsError: The name is taken.
        """
        said = {"description": description, "spec": spec, "action": action, "policies": policies}
        request = pb.CreateScheduleRequest(
            schedule=_message({"name": name, **said}),
            paused=paused,
            note=note,
            request_id=request_id or new_request_id(),
        )
        answer = await self._caller.unary(self._stub.CreateSchedule, request, self._caller.retry.create)
        return schedule(answer.schedule)

    async def update(
        self,
        ref: str,
        *,
        spec: Spec | None = None,
        action: Action | None = None,
        policies: Policies | None = None,
        description: str | None = None,
        etag: str = "",
        request_id: str = "",
    ) -> Schedule:
        """Change what is given, each as a whole; another spec holds from now on.

        Raises:
            ConflictError: It changed since the etag was read.
        """
        said = {"description": description, "spec": spec, "action": action, "policies": policies}
        request = pb.UpdateScheduleRequest(
            schedule=_message({"id": ref, **said}),
            update_mask=write.mask(said),
            etag=etag,
            request_id=request_id or new_request_id(),
            payload_kind=write.JSON,
        )
        answer = await self._caller.unary(self._stub.UpdateSchedule, request, self._caller.retry.update)
        return schedule(answer.schedule)

    async def delete(self, ref: str, *, etag: str = "", request_id: str = "") -> None:
        """Delete a schedule; what it started goes on."""
        request = pb.DeleteScheduleRequest(schedule=ref, etag=etag, request_id=request_id or new_request_id())
        await self._caller.unary(self._stub.DeleteSchedule, request, self._caller.retry.update)

    async def get(self, ref: str) -> Schedule:
        """Read a schedule by name or id."""
        request = pb.GetScheduleRequest(schedule=ref, payload_kind=write.JSON)
        answer = await self._caller.unary(self._stub.GetSchedule, request, self._caller.retry.read)
        return schedule(answer.schedule)

    async def list(
        self,
        *,
        workflow: str = "",
        state: str = "",
        page_size: int = 0,
        page_token: str = "",
        skip: int = 0,
    ) -> Page[Schedule]:
        """Read one page of schedules, by name."""
        request = pb.ListSchedulesRequest(
            workflow=write.text(workflow, "workflow"),
            state=enums.SCHEDULE_STATE.optional(state, "state"),
            payload_kind=write.JSON,
            **write.paging(page_size, page_token, skip),
        )
        answer = await self._caller.unary(self._stub.ListSchedules, request, self._caller.retry.read)
        return Page(tuple(map(schedule, answer.schedules)), answer.next_page_token, answer.total_size)

    async def pause(self, ref: str, note: str = "", *, etag: str = "", request_id: str = "") -> Schedule:
        """Stop a schedule from firing; times that go by are not made up for."""
        request = pb.PauseScheduleRequest(
            schedule=ref,
            note=note,
            etag=etag,
            request_id=request_id or new_request_id(),
            payload_kind=write.JSON,
        )
        answer = await self._caller.unary(self._stub.PauseSchedule, request, self._caller.retry.update)
        return schedule(answer.schedule)

    async def resume(self, ref: str, note: str = "", *, etag: str = "", request_id: str = "") -> Schedule:
        """Let a paused schedule fire again, from now on."""
        request = pb.ResumeScheduleRequest(
            schedule=ref,
            note=note,
            etag=etag,
            request_id=request_id or new_request_id(),
            payload_kind=write.JSON,
        )
        answer = await self._caller.unary(self._stub.ResumeSchedule, request, self._caller.retry.update)
        return schedule(answer.schedule)

    async def trigger(self, ref: str, *, overlap: str = "", request_id: str = "") -> ScheduleRun:
        """Start what a schedule starts, now; return the run as soon as it is known what came of it."""
        request = pb.TriggerScheduleRequest(
            schedule=ref,
            overlap=enums.OVERLAP_POLICY.optional(overlap, "overlap"),
            request_id=request_id or new_request_id(),
        )
        answer = await self._caller.unary(self._stub.TriggerSchedule, request, self._caller.retry.create)
        return schedule_run(answer.run)

    async def backfill(
        self,
        ref: str,
        start_time: When,
        end_time: When,
        *,
        overlap: str = "",
        again: bool = False,
        request_id: str = "",
    ) -> Backfill:
        """Start what a schedule would have started in a range of the past.

        Args:
            ref: Name or id.
            start_time: The first time that may be; without a zone it is in UTC.
            end_time: The range ends before this.
            overlap: What happens beside open executions; empty: one starts after the other.
            again: Also for times whose execution is still stored.
            request_id: Idempotency key; made when empty.

        Raises:
            ValidationError: The range has no time, or too many.
        """
        request = pb.BackfillScheduleRequest(
            schedule=ref,
            start_time=say.moment(start_time, "start_time"),
            end_time=say.moment(end_time, "end_time"),
            overlap=enums.OVERLAP_POLICY.optional(overlap, "overlap"),
            again=again,
            request_id=request_id or new_request_id(),
        )
        answer = await self._caller.unary(self._stub.BackfillSchedule, request, self._caller.retry.create)
        return Backfill(
            count=answer.count,
            first_time=time_of(answer, "first_time"),
            last_time=time_of(answer, "last_time"),
        )

    async def times(self, ref: str, count: int = 10, *, after: When | None = None) -> tuple[datetime, ...]:
        """Return the next times of a schedule, without jitter."""
        request = pb.ListScheduleTimesRequest(schedule=ref, count=write.whole(count, "count"))
        if after is not None:
            request.after.CopyFrom(say.moment(after, "after"))
        answer = await self._caller.unary(self._stub.ListScheduleTimes, request, self._caller.retry.read)
        return tuple(time.ToDatetime(UTC) for time in answer.times)

    async def preview(
        self, spec: Spec, count: int = 10, *, after: When | None = None
    ) -> tuple[datetime, ...]:
        """Return the next times of a spec that is not stored."""
        request = pb.PreviewScheduleRequest(spec=say.spec(spec), count=write.whole(count, "count"))
        if after is not None:
            request.after.CopyFrom(say.moment(after, "after"))
        answer = await self._caller.unary(self._stub.PreviewSchedule, request, self._caller.retry.read)
        return tuple(time.ToDatetime(UTC) for time in answer.times)

    async def runs(
        self,
        ref: str,
        *,
        state: str = "",
        page_size: int = 0,
        page_token: str = "",
        skip: int = 0,
    ) -> Page[ScheduleRun]:
        """Read one page of the runs of a schedule, newest first."""
        request = pb.ListScheduleRunsRequest(
            schedule=ref,
            state=enums.SCHEDULE_RUN_STATE.optional(state, "state"),
            **write.paging(page_size, page_token, skip),
        )
        answer = await self._caller.unary(self._stub.ListScheduleRuns, request, self._caller.retry.read)
        return Page(tuple(map(schedule_run, answer.runs)), answer.next_page_token, answer.total_size)


def _message(values: Mapping[str, Any]) -> schedule_pb2.Schedule:
    """Write what is given of a schedule; all faults at once, with the paths that the server gives them."""
    table: Mapping[str, write.Reader] = {
        "id": write.text,
        "name": write.text,
        "description": write.text,
        "spec": say.spec,
        "action": say.action,
        "policies": say.policies,
    }
    try:
        return write.build(schedule_pb2.Schedule, table, values)
    except ValidationError as error:
        raise ValidationError(
            [Violation(f"schedule.{it.field}", it.description, it.reason) for it in error.violations]
        ) from None
