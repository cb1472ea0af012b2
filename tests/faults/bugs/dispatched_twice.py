"""Now and then an attempt is sent to two workers, to be faster."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution.engine.dispatch import Dispatcher


def plant() -> None:
    count = itertools.count()

    def make(original: Any) -> Any:
        async def call(self: Any, *rest: Any, **named: Any) -> Any:
            copies = 2 if next(count) % 5 == 0 else 1
            outcomes = await asyncio.gather(*(original(self, *rest, **named) for _ in range(copies)))
            return outcomes[0]

        return call

    wrap(Dispatcher, "call", make)
