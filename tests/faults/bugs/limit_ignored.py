"""Every call has its turn at once, however many run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution.engine.step_limits import StepLimits

_MANY = 1_000


def plant() -> None:
    def make(original: Any) -> Any:
        async def begin(self: Any, permit: Any, *rest: Any) -> Any:
            return await original(self, replace(permit, concurrency=permit.concurrency and _MANY), *rest)

        return begin

    wrap(StepLimits, "begin", make)
