"""Schedules of the workflow ``shouting``, and what is asked of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

from google.protobuf import duration_pb2, timestamp_pb2

from tests.support.wire import Wire, payload
from weft.api.schedule.v1 import schedule_pb2 as model
from weft.api.schedule.v1 import schedule_service_pb2 as pb

__all__ = ["DAILY", "SHOUT", "create", "draft", "moment", "new_name", "runs_of", "seconds", "until"]

DAILY = model.ScheduleSpec(crons=[model.CronEntry(expression="0 9 * * *", time_zone="Europe/Berlin")])
SHOUT = model.ScheduleAction(workflow="shouting", input=payload({"text": "hey"}))


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
