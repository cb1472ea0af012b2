"""Schedules under kill -9 of the server: one execution for each time, and none forgotten."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.integration.engine.processes import ServerProcess, until
from tests.integration.engine.work import Journal, work_service
from weft.client import Client, RetryPolicies, RetryPolicy, connect

pytestmark = pytest.mark.integration

PATIENT = RetryPolicy(
    max_retries=400, base_delay=timedelta(milliseconds=30), max_delay=timedelta(seconds=0.2)
)
POLICIES = RetryPolicies(create=PATIENT, read=PATIENT, update=PATIENT, watch=PATIENT)


async def started(weft: Client) -> int:
    return (await weft.schedules.get("ticks")).info.started


async def test_each_time_has_one_execution_across_kills(server: ServerProcess, journal: Journal) -> None:
    """Whenever the server dies, also while it starts them: those that it missed are made up for."""
    await server.up()
    service = work_service(journal)
    async with connect(server.address, retry=POLICIES) as weft, service.hosted(server=server.address):
        await weft.workflows.create("tick", [{"id": "only", "service": "work", "action": "work"}])
        await weft.schedules.create(
            "ticks",
            {"intervals": [1]},
            {"workflow": "tick", "input": {"n": 1}},
            policies={"overlap": "ALLOW_ALL", "catch_up_window": 600, "max_runs": 4},
        )
        for number in (1, 2):

            async def so_many(number: int = number) -> bool:
                return await started(weft) >= number

            await until(so_many)
            server.kill()
            await asyncio.sleep(0.2)
            await server.up()

        async def completed() -> bool:
            return (await weft.schedules.get("ticks")).state == "COMPLETED"

        await until(completed)
        runs = (await weft.schedules.runs("ticks")).items
        found = (await weft.executions.list(filter="attributes.schedule = ticks")).items
    planned = [run.planned_time for run in runs if run.planned_time]
    assert {earlier - later for earlier, later in pairwise(planned)} == {timedelta(seconds=1)}
    assert len(planned) == len(found) == 4
    assert [run.execution_id for run in runs] == [execution.id for execution in found]
    assert [execution.search_attributes["scheduled_time"] for execution in found] == [
        time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in planned
    ]
