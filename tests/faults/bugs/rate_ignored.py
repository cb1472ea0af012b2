"""Calls begin as fast as they come, whatever their rate is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution.engine.step_limits import StepLimits


def plant() -> None:
    def make(original: Any) -> Any:
        async def begin(self: Any, permit: Any, *rest: Any) -> Any:
            return await original(self, replace(permit, rate=1_000 * permit.rate), *rest)

        return begin

    wrap(StepLimits, "begin", make)
