"""What callers do with executions, one way for each kind of session."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final

from tests.faults.rig.driver import Driver, Start
from tests.faults.rig.evidence import LAST_EVENTS
from tests.faults.rig.language import create_language, follow, more_input
from tests.faults.rig.meddling import ask_people, regret, write_letters
from tests.faults.rig.plan import Session
from tests.faults.rig.steps import work
from weft.client import Client

SLOW_SECONDS: Final = 30.0
_COPIES: Final = 4
_STEPS: Final = {"chain-3": 3, "chain-5": 5}


async def create_workflows(weft: Client) -> None:
    """Create what sessions start."""
    for name, count in _STEPS.items():
        await weft.workflows.create(name, [_step(number, count) for number in range(count)])
    await weft.workflows.create("flaky", [_step(number, 3, failures=number % 2) for number in range(3)])
    await weft.workflows.create("slow", [_step(0, 1, seconds=SLOW_SECONDS)])
    await create_language(weft)


def _step(number: int, count: int, **given: object) -> dict[str, object]:
    prior = {"n": f"${{steps.s{number - 1}.n}}", "prior": f"${{steps.s{number - 1}.mark}}"}
    following = f"s{number + 1}" if number + 1 < count else None
    return work(f"s{number}", next=following, **{**(prior if number else {}), **given})


async def attend(driver: Driver, session: Session, run: str) -> None:
    """Do one session."""
    request_id = f"{run}-{session.number}"
    what = Start(
        workflow=session.workflow,
        request_id=request_id,
        input={
            "token": request_id,
            "seconds": session.seconds,
            **more_input(session, run),
        },
        timeout=session.timeout,
    )
    await _WAYS[session.kind](driver, session, what)
    if session.again:
        await driver.start(what)


async def _execute(driver: Driver, session: Session, what: Start) -> None:
    ended = await driver.execute(what)
    if "id" in ended:
        await driver.history(ended["id"])


async def _poll(driver: Driver, session: Session, what: Start) -> None:
    """Read a history again and again, at moments that nobody chose."""
    started = await driver.start(what)
    chance = random.Random(session.number)
    end = time.monotonic() + driver.patience
    while time.monotonic() < end:
        await asyncio.sleep(chance.uniform(0.01, 0.02 + session.delay / 3))
        seen = await driver.history(started["id"])
        if "events" not in seen or seen["events"][-1]["kind"] in LAST_EVENTS:
            return


async def _cancel(driver: Driver, session: Session, what: Start) -> None:
    started = await driver.start(what)
    await asyncio.sleep(session.delay)
    await driver.cancel(started["id"])
    await driver.get(started["id"])
    await driver.watch(started["id"])


async def _repeat(driver: Driver, session: Session, what: Start) -> None:
    """Start the same several times at once, and something else under the same name."""
    started = await asyncio.gather(*(driver.start(what) for _ in range(_COPIES)))
    await driver.start_otherwise(what)
    await driver.watch(started[0]["id"])


_WAYS: Final = {
    "watch": follow,
    "execute": _execute,
    "poll": _poll,
    "cancel": _cancel,
    "timeout": follow,
    "flaky": follow,
    "repeat": _repeat,
    "bodies": follow,
    "letter": write_letters,
    "family": follow,
    "saga": follow,
    "rest": follow,
    "clan": _cancel,
    "regret": regret,
    "tidy": regret,
    "ask": ask_people,
    "rounds": follow,
    "sparing": follow,
}
