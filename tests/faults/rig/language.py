"""What sessions with more than calls one after another start, and give it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

from tests.faults.rig.definitions import AT_THE_END, DEFINITIONS
from tests.faults.rig.driver import Driver, Start
from tests.faults.rig.plan import Session
from weft.client import Client

ITEMS: Final = 5
"""How many a map has."""
_SLOWER: Final = 0.03
"""By how many seconds an item takes longer than the one behind it: they do not end as they began."""
_CURRENCIES: Final = 5
"""How many keys the steps that are spared have."""


async def create_language(weft: Client) -> None:
    """Create what these sessions start; some children are flat workflows."""
    for name, steps in DEFINITIONS.items():
        await weft.workflows.create(name, steps, finally_=AT_THE_END.get(name))


def more_input(session: Session, run: str) -> Mapping[str, Any]:
    """Return what a session gives beside what all give."""
    chance = random.Random(session.number)
    match session.kind:
        case "bodies":
            return {"items": items(session.seconds)}
        case "tidy":
            return {"ends": chance.choice(("well", "badly"))}
        case "rounds":
            return {"rounds": chance.randrange(1, 5)}
        case "sparing":
            currency = f"{run}-{chance.randrange(_CURRENCIES)}"
            return {"items": items(session.seconds), "currency": currency}
        case _:
            return {}


def items(seconds: float) -> list[dict[str, Any]]:
    """Return the items of a map: each takes less long than the one before it."""
    return [{"n": n, "seconds": round(seconds + _SLOWER * (ITEMS - n), 4)} for n in range(ITEMS)]


async def follow(driver: Driver, _session: Session, what: Start) -> None:
    """Start, follow to the end, and look again."""
    started = await driver.start(what)
    await driver.watch(started["id"])
    await driver.get(started["id"])
