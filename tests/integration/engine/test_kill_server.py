"""kill -9 of the server at random moments: each accepted execution ends once, nothing is recorded twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.engine.processes import ServerProcess, until
from tests.integration.engine.work import Journal, make_chain, work_service
from weft.client import (
    Client,
    Event,
    Execution,
    RetryPolicies,
    RetryPolicy,
    ServiceUnavailableError,
    WeftError,
    connect,
)

pytestmark = pytest.mark.integration

SEED = 20_260_712
EXECUTIONS = 60
KILLS = 8
STEPS = (3, 4, 5)

PATIENT = RetryPolicy(
    max_retries=200, base_delay=timedelta(milliseconds=30), max_delay=timedelta(seconds=0.2)
)


@dataclass
class Ledger:
    """What the outside knows: acked starts, answered ends, and every piece of history that was ever read."""

    acked: dict[str, str] = field(default_factory=dict)
    answered: dict[str, Execution] = field(default_factory=dict)
    read: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def ack(self, request_id: str, execution_id: str) -> None:
        assert self.acked.setdefault(request_id, execution_id) == execution_id

    def saw(self, execution_id: str, events: Iterable[Event]) -> None:
        """Keep a history; what was read before must be its beginning."""
        new = [event.to_dict() for event in events]
        old = self.read.get(execution_id, [])
        shorter = min(len(old), len(new))
        assert new[:shorter] == old[:shorter]
        if len(new) > len(old):
            self.read[execution_id] = new


async def _use(weft: Client, ledger: Ledger, number: int, chance: random.Random) -> None:
    """Start one execution and follow it to its end, one way or another."""
    request_id = f"request-{number}"
    values = {"n": 0, "seconds": chance.uniform(0.002, 0.06)}
    workflow = f"chain-{STEPS[number % len(STEPS)]}"
    if number % 2:
        ended = await weft.executions.execute(workflow, values, request_id=request_id)
        ledger.ack(request_id, ended.id)
    else:
        started = await weft.executions.start(workflow, values, request_id=request_id)
        ledger.ack(request_id, started.id)
        watched = [event async for event in weft.executions.watch(started.id)]
        assert [event.number for event in watched] == list(range(1, len(watched) + 1))
        ended = await weft.executions.get(started.id)
    ledger.answered[ended.id] = ended


async def _read_again_and_again(weft: Client, ledger: Ledger) -> None:
    while True:
        for execution_id in list(ledger.acked.values()):
            with suppress(ServiceUnavailableError):
                ledger.saw(execution_id, [event async for event in weft.executions.history(execution_id)])
        await asyncio.sleep(0.01)


async def _kill_and_restart(server: ServerProcess, chance: random.Random) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.0, 0.35))
        server.kill()
        await server.up()


@pytest.mark.timeout(90)
async def test_random_kills_lose_nothing_and_record_nothing_twice(
    server: ServerProcess, journal: Journal
) -> None:
    """W1, W2, W3, W6: one end each, no acked start lost, histories without gaps that only ever grow."""
    chance = random.Random(SEED)
    ledger = Ledger()
    policies = RetryPolicies(create=PATIENT, update=PATIENT, read=PATIENT, watch=PATIENT)
    await server.up()
    async with (
        connect(server.address, retry=policies, timeout=timedelta(seconds=5)) as weft,
        work_service(journal).hosted(server=server.address),
    ):
        for count in STEPS:
            await make_chain(weft, f"chain-{count}", count)
        reading = asyncio.create_task(_read_again_and_again(weft, ledger))
        killing = asyncio.create_task(_kill_and_restart(server, chance))
        places = asyncio.Semaphore(12)

        async def use(number: int) -> None:
            async with places:
                await asyncio.sleep(number * 0.03)
                await _use(weft, ledger, number, random.Random(SEED + number))

        await asyncio.gather(*(use(number) for number in range(EXECUTIONS)))
        await killing
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        assert server.starts == KILLS + 1
        await _check(weft, ledger, journal)


async def _check(weft: Client, ledger: Ledger, journal: Journal) -> None:
    stored = (await weft.executions.list(page_size=1_000)).items
    assert len(ledger.acked) == EXECUTIONS
    assert {execution.id for execution in stored} == set(ledger.acked.values())
    assert {execution.state for execution in stored} == {"COMPLETED"}
    for execution in stored:
        whole = await weft.executions.get(execution.id)
        assert ledger.answered[execution.id].result == whole.result == {"n": len(whole.steps)}
        events = [event async for event in weft.executions.history(execution.id)]
        ledger.saw(execution.id, events)
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert events[-1].number == whole.last_event_number
        kinds = [event.kind for event in events]
        assert kinds.count("execution_completed") == 1
        assert kinds[-1] == "execution_completed"
        recorded = [event.data["step_id"] for event in events if event.kind == "step_completed"]
        assert recorded == [step.step_id for step in whole.steps]
    _check_bodies(stored, journal)


def _check_bodies(stored: Iterable[Execution], journal: Journal) -> None:
    """Every step ran; some ran twice, which is allowed, and shows that the kills came amid work."""
    bodies = journal.bodies()
    assert {execution for execution, _ in bodies} == {execution.id for execution in stored}
    again = {step: times for step, times in bodies.items() if times > 1}
    assert again, "no kill hit a running step: the test proves nothing"
    print(f"{sum(bodies.values())} bodies for {len(bodies)} steps; {len(again)} steps ran more than once")  # noqa: T201 - the figure is the point


async def test_a_waiting_caller_does_not_notice_a_restart(
    server: ServerProcess, weft: Client, journal: Journal
) -> None:
    """While the client retries, ``execute`` returns the one result, over a kill and a restart."""
    await server.up()
    # Longer than the default: a restart takes its time where tests starve each other.
    lasting = RetryPolicy(
        max_retries=100, base_delay=timedelta(seconds=0.1), max_delay=timedelta(seconds=0.5)
    )
    patient = connect(server.address, retry=RetryPolicies(create=lasting))
    async with work_service(journal).hosted(server=server.address), patient:
        await make_chain(weft, "chain", 3, seconds=0.2)
        executing = asyncio.create_task(patient.executions.execute("chain", {"n": 0, "seconds": 0}))
        await until(lambda: bool(journal.lines()))
        server.kill()
        await server.up()
        ended = await executing
        assert (ended.state, ended.result) == ("COMPLETED", {"n": 3})
        assert len((await weft.executions.list()).items) == 1
        assert [step.attempt for step in ended.steps] == [2, 1, 1]
        scheduled = [
            event.data async for event in weft.executions.history(ended.id) if event.kind == "step_scheduled"
        ]
        assert scheduled[1]["cause"] == "the server restarted"
        keys = {line[4] for line in journal.lines() if line[0] == "run" and line[2] == "s0"}
        assert keys == {f"{ended.id}/s0"}


async def test_a_timeout_and_a_cancellation_survive_a_kill(
    server: ServerProcess, weft: Client, journal: Journal
) -> None:
    """What was due during the outage happens after it; what was acked before it stays."""
    await server.up()
    async with work_service(journal).hosted(server=server.address):
        await make_chain(weft, "chain", 1, seconds=30)
        due = await weft.executions.start("chain", {"n": 0}, timeout=timedelta(seconds=0.5))
        gone = await weft.executions.start("chain", {"n": 0})
        await until(lambda: len(journal.lines()) == 2)
        await weft.executions.cancel(gone.id, reason="before the kill")
        server.kill()
        await asyncio.sleep(0.5)
        await server.up()
        kinds = [event.kind async for event in weft.executions.watch(due.id)]
        assert kinds[-1] == "execution_timed_out"
        kept = await weft.executions.get(gone.id)
        assert kept.state == "CANCELLED"
        assert kept.failure is not None
        assert "before the kill" in kept.failure.message
        with pytest.raises(WeftError) as caught:
            await weft.executions.cancel(due.id)
        assert caught.value.reason == "EXECUTION_ENDED"
