"""Sessions in which callers meddle with what runs: messages, decisions, and changes of mind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any, Final

from tests.faults.rig.definitions import SIGNAL
from tests.faults.rig.driver import Driver, Start
from tests.faults.rig.plan import Session

_LONGEST: Final = 0.8
"""After how many seconds at the most somebody changes their mind."""
_PART_AGAIN: Final = 0.4
"""Of the cancellations and decisions that are made once more."""
_PART_LEFT_ALONE: Final = 0.5
"""Of the executions that end by themselves, where they can."""


async def regret(driver: Driver, session: Session, what: Start) -> None:
    """Cancel at some moment, also when it closes already, and often twice."""
    execution = (await driver.start(what))["id"]
    chance = random.Random(session.number)
    watching = asyncio.create_task(driver.watch(execution))
    try:
        if session.kind != "tidy" or chance.random() > _PART_LEFT_ALONE:
            await asyncio.sleep(chance.uniform(0.0, _LONGEST))
            copies = 2 if chance.random() < _PART_AGAIN else 1
            await asyncio.gather(*(driver.cancel(execution) for _ in range(copies)))
        await watching
        await driver.get(execution)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def ask_people(driver: Driver, session: Session, what: Start) -> None:
    """Let two decide at once, each in their own way, and sometimes one more when it is decided."""
    execution = (await driver.start(what))["id"]
    chance = random.Random(session.number)
    watching = asyncio.create_task(driver.watch(execution))

    async def decide(outcome: str, delay: float) -> None:
        """Try again and again: it may not be asked yet."""
        while not watching.done():
            await asyncio.sleep(delay)
            answer = await driver.decide(execution, outcome, by=f"{outcome}-{chance.randrange(10**9)}")
            if "id" in answer or answer["reason"] == "EXECUTION_ENDED":
                return

    try:
        delays = chance.uniform(0.02, session.delay + 0.05), chance.uniform(0.02, session.delay + 0.05)
        await asyncio.gather(decide("grant", delays[0]), decide("deny", delays[1]))
        if chance.random() < _PART_AGAIN:
            await driver.decide(execution, "deny", by="too-late")
        await watching
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def write_letters(driver: Driver, session: Session, what: Start) -> None:
    """Send one message before its step can wait, another one later, and either of them often twice."""
    execution = (await driver.start(what))["id"]
    chance = random.Random(session.number)
    watching = asyncio.create_task(driver.watch(execution))
    try:
        await _send(driver, execution, what, "first", chance.choice((1, 2)))
        await asyncio.sleep(session.delay)
        await _send(driver, execution, what, "second", chance.choice((1, 2)))
        if chance.random() < _PART_TOO_LATE:
            await _send(driver, execution, what, "first", 1)
        await watching
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


_PART_TOO_LATE: Final = 0.3
"""Of the sessions that send a message again when it may have been taken long since."""


async def _send(driver: Driver, execution: str, what: Start, name: str, copies: int) -> None:
    payload: Mapping[str, Any] = {"letter": f"{what.request_id}-{name}"}
    await asyncio.gather(
        *(
            driver.signal(
                execution, SIGNAL, payload, correlation=what.request_id, signal_id=f"{what.request_id}-{name}"
            )
            for _ in range(copies)
        )
    )
