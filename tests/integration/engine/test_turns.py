"""Keys and turns under kill -9 of the server: one execution of each key, and never more at once than may."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import datetime, timedelta

import pytest

from tests.integration.engine.processes import ServerProcess, until
from tests.integration.engine.work import Journal, work_service
from weft.client import Client, RetryPolicies, RetryPolicy, connect
from weft.service import Service

pytestmark = pytest.mark.integration

PATIENT = RetryPolicy(
    max_retries=400, base_delay=timedelta(milliseconds=30), max_delay=timedelta(seconds=0.2)
)
RETRY = {"max_attempts": -1, "initial_backoff": 0.05, "max_backoff": 0.2}
LIMIT = 2


def patient(server: ServerProcess) -> Client:
    policies = RetryPolicies(create=PATIENT, read=PATIENT, update=PATIENT, watch=PATIENT)
    return connect(server.address, retry=policies)


async def make_work(weft: Client, name: str, **definition: object) -> None:
    step = {"id": "only", "service": "work", "action": "work", "retry": RETRY}
    await weft.workflows.create(name, [step], **definition)  # type: ignore[arg-type]  # as a definition has them


async def kill_and_restart(server: ServerProcess) -> None:
    server.kill()
    await server.up()


def most_at_once(spans: list[tuple[datetime, datetime]]) -> int:
    """Return how many of them overlap at the most; one that ends as another begins is over."""
    moments = sorted([(end, -1) for _, end in spans] + [(begin, 1) for begin, _ in spans])
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


async def test_turns_are_kept_across_kills(server: ServerProcess, journal: Journal) -> None:
    """All complete, in turns of each customer, whenever the server dies; by what their histories say."""
    await server.up()
    service: Service = work_service(journal)
    async with patient(server) as weft, service.hosted(server=server.address, ttl=timedelta(seconds=30)):
        await make_work(weft, "turns", concurrency={"limit": LIMIT, "key": "${input.customer}"})
        values = [{"n": 0, "seconds": 0.25, "customer": f"c{number % 2}"} for number in range(12)]
        started = [(await weft.executions.start("turns", value)).id for value in values]
        waiting = [await weft.executions.get(execution) for execution in started]
        assert {it.waits_for for it in waiting[2 * LIMIT :]} == {"SLOT"}
        for runs in (2, 5):
            await until(lambda runs=runs: len(journal.lines()) >= 2 * runs)  # type: ignore[misc]
            await kill_and_restart(server)
        spans: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
        for execution in started:
            async with asyncio.timeout(60):
                events = [event async for event in weft.executions.watch(execution)]
            assert events[-1].kind == "execution_completed"
            begin = next(event.time for event in events if event.kind == "step_scheduled")
            assert begin is not None
            assert events[-1].time is not None
            key = (await weft.executions.get(execution)).concurrency_key
            spans[key].append((begin, events[-1].time))
        assert [len(found) for found in spans.values()] == [6, 6]
        assert all(most_at_once(found) <= LIMIT for found in spans.values())


async def test_a_crowd_with_one_key_in_a_crash_starts_one_execution(
    server: ServerProcess, journal: Journal
) -> None:
    """Every caller, also one whose answer was lost, gets the same."""
    await server.up()
    service: Service = work_service(journal)
    async with patient(server) as weft, service.hosted(server=server.address, ttl=timedelta(seconds=30)):
        await make_work(weft, "keyed")
        value = {"n": 0, "seconds": 30}

        async def start(key: str) -> str:
            found = await weft.executions.start("keyed", value, key=key, key_conflict="USE_EXISTING")
            return found.id

        keys = [f"k{number % 3}" for number in range(60)]
        starting = [asyncio.create_task(start(key)) for key in keys]
        await asyncio.sleep(0.03)
        await kill_and_restart(server)
        async with asyncio.timeout(60):
            ids = await asyncio.gather(*starting)
        assert len(set(ids)) == 3
        assert {key: (await weft.executions.get(key)).id for key in set(keys)} == dict(
            zip(keys, ids, strict=True)
        )
        assert (await weft.executions.list(workflow="keyed")).total_size == 3
        for execution in set(ids):
            await weft.executions.cancel(execution)
