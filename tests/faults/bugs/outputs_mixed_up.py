"""Now and then a step is given the output of another one that ran at the same time."""

from __future__ import annotations

import itertools
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution.engine.dispatch import Dispatcher


def plant() -> None:
    last: list[Any] = []
    count = itertools.count()

    def make(original: Any) -> Any:
        async def call(self: Any, *rest: Any, **named: Any) -> Any:
            outcome = await original(self, *rest, **named)
            given = last[0] if last and next(count) % 7 == 0 else outcome
            last[:] = [outcome]
            return given

        return call

    wrap(Dispatcher, "call", make)
