"""Sessions with more than calls one after another: bodies, messages, children, undoing and waits.

Ids of steps say what the steps are: those of ``KINDS`` call no action, and those of
``UNDONE`` have something that undoes them. Checkers rely on that.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any, Final

from tests.faults.rig.driver import Driver, Start
from tests.faults.rig.evidence import PAUSE
from tests.faults.rig.plan import Session
from tests.faults.rig.steps import INPUT, work
from weft.client import Client

ITEMS: Final = 5
"""How many a map has."""
SIGNAL: Final = "paid"
"""Name of the messages."""
_AT_ONCE: Final = 3
_SLOWER: Final = 0.03
"""By how many seconds an item takes longer than the one behind it: they do not end as they began."""


async def create_language(weft: Client) -> None:
    """Create what these sessions start; the child is one of the flat workflows."""
    for name, steps in _DEFINITIONS.items():
        await weft.workflows.create(name, steps)


def _then(step: dict[str, Any], following: str) -> dict[str, Any]:
    return {**step, "next": following}


def _prior(step: str) -> dict[str, str]:
    return {"n": f"${{steps.{step}.n}}", "prior": f"${{steps.{step}.mark}}"}


def _undone(step: dict[str, Any]) -> dict[str, Any]:
    """Add what undoes a step: it is given the mark that the step gave."""
    given = {"token": "${input.token}", "prior": "${output.mark}"}
    retry = {name: value for name, value in step["retry"].items() if name != "on_exhausted"}
    return {**step, "compensate": {"action": "work", "input": given, "retry": retry}}


_EACH: Final = {
    "id": "each",
    "map": {
        "items": "${input.items}",
        "max_concurrency": _AT_ONCE,
        "steps": [
            work("one", n="${item.n}", seconds="${item.seconds}", next="two"),
            work("two", **_prior("one")),
        ],
    },
}
_BOTH: Final = {
    "id": "both",
    "parallel": {
        "branches": [
            {"name": "left", "steps": [work("l0")]},
            {"name": "right", "steps": [work("r0", next="r1"), work("r1", **_prior("r0"))]},
        ]
    },
}
_PAID: Final = {"signal": {"name": SIGNAL, "correlation": "${input.token}"}}
_CHILD: Final = {"id": "sub", "workflow": {"name": "chain-3"}, "input": INPUT}
_BOOK: Final = {
    "id": "both",
    "parallel": {
        "branches": [
            {"name": "left", "steps": [_undone(work("u1"))]},
            {
                "name": "right",
                "steps": [_undone(work("u2", next="u3")), _undone(work("u3", **_prior("u2")))],
            },
        ]
    },
}
_REFUSED: Final = work("u4", failures=1_000_000)

_DEFINITIONS: Final[dict[str, list[dict[str, Any]]]] = {
    "bodies": [_then(_EACH, "both"), _BOTH],
    "letter": [
        work("s0", next="paid"),
        {"id": "paid", **_PAID, "next": "paid-again"},
        {"id": "paid-again", **_PAID, "next": "s1"},
        work("s1", **_prior("s0")),
    ],
    "family": [work("s0", next="sub"), _then(_CHILD, "s1"), work("s1", **_prior("s0"))],
    "saga": [
        _undone(work("u0", next="both")),
        _then(_BOOK, "u4"),
        _undone({**_REFUSED, "retry": {**_REFUSED["retry"], "non_retryable_reasons": ["NOT_YET"]}}),
    ],
    "rest": [
        work("s0", next="pause"),
        {"id": "pause", "wait": {"duration": f"{PAUSE}s"}, "next": "s1"},
        work("s1", **_prior("s0")),
    ],
}
"""The last step of the saga fails on purpose, at its first attempt that runs."""


def items(seconds: float) -> list[dict[str, Any]]:
    """Return the items of a map: each takes less long than the one before it."""
    return [{"n": n, "seconds": round(seconds + _SLOWER * (ITEMS - n), 4)} for n in range(ITEMS)]


async def follow(driver: Driver, _session: Session, what: Start) -> None:
    """Start, follow to the end, and look again."""
    started = await driver.start(what)
    await driver.watch(started["id"])
    await driver.get(started["id"])


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
