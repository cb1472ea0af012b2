"""Some of what a server claims it does not work on."""

from __future__ import annotations

from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.store.sqlite import SqliteStore


def plant() -> None:
    def make(original: Any) -> Any:
        async def claim_due(self: Any, *rest: Any, **named: Any) -> Any:
            found = await original(self, *rest, **named)
            return tuple(one for one in found if ord(one.id[-1]) % 2)

        return claim_due

    wrap(SqliteStore, "claim_due", make)
