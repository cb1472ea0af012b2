"""Schedules of two servers on one PostgreSQL under kill -9: one execution for each time, none forgotten."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.engine.processes import until
from tests.integration.engine.work import Journal, work_service
from tests.integration.replicas.fleet import Fleet, fleet_of, replicas_of
from weft.client import Client

pytestmark = pytest.mark.integration

SEED = 20_261_208
KILLS = 10
SCHEDULES = 4
RUNS = 30
RETRY = {"max_attempts": -1, "initial_backoff": 0.1, "max_backoff": 0.5}


async def make(weft: Client) -> None:
    step = {"id": "only", "service": "work", "action": "work", "retry": RETRY}
    await weft.workflows.create("tick", [step])
    for number in range(SCHEDULES):
        overlap = "ALLOW_ALL" if number % 2 else "BUFFER_ALL"
        await weft.schedules.create(
            f"s{number}",
            {"intervals": [1]},
            {"workflow": "tick", "input": {"n": number}},
            policies={"overlap": overlap, "catch_up_window": 600, "max_runs": RUNS},
        )


async def kill_some(fleet: Fleet) -> None:
    chance = random.Random(SEED)
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.3, 2))
        replica = chance.choice(fleet.replicas)
        replica.running.kill()
        await asyncio.sleep(chance.choice((0, 0, 2)))
        await replica.up()


async def check(weft: Client, name: str) -> None:
    async def completed() -> bool:
        return (await weft.schedules.get(name)).state == "COMPLETED"

    await until(completed, within=90)
    runs = (await weft.schedules.runs(name, page_size=1_000)).items
    found = (await weft.executions.list(filter=f"attributes.schedule = {name}", page_size=1_000)).items
    planned = sorted(run.planned_time for run in runs if run.planned_time)
    assert planned == [planned[0] + number * timedelta(seconds=1) for number in range(RUNS)]
    assert {run.execution_id for run in runs} == {execution.id for execution in found}
    assert len(found) == RUNS


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_each_time_has_one_execution(place: Callable[[], Awaitable[str]], tmp_path: Path) -> None:
    """Whoever dies, whenever; those that were missed are made up for."""
    service = work_service(Journal(tmp_path / "journal"))
    with replicas_of(2, tmp_path, await place(), lease=2) as replicas:
        async with (
            fleet_of(replicas) as fleet,
            service.hosted(server=replicas[0].address),
            service.hosted(server=replicas[1].address, instance_id="work-2"),
        ):
            await make(fleet.clients[0])
            await kill_some(fleet)
            await asyncio.gather(*(check(fleet.clients[1], f"s{number}") for number in range(SCHEDULES)))
