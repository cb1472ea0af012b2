"""What is kept of a call is never found again."""

from __future__ import annotations

from tests.faults.bugs.seams import wrap
from weft.server.execution.engine.step_cache import StepCache


def plant() -> None:
    async def get(self: StepCache, key: str) -> bytes | None:
        return None

    wrap(StepCache, "get", lambda _: get)
