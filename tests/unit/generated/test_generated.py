"""Any definition is refused with every fault located, or runs to an end that can be explained."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.unit.generated.making import Case, cases
from tests.unit.generated.trying import Trial, trials

COUNT = int(os.environ.get("WEFT_GENERATED", "140"))
"""How many; `make generated` tries 2,000."""
SEED = int(os.environ.get("WEFT_SEED", "0")) or random.randrange(1, 2**31)
SLOW = (HealthCheck.too_slow,)
AT_ONCE = 50
"""How many share a world."""


class Worlds:
    """A world for every few definitions, and a new one after whatever went wrong."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._open = AsyncExitStack()
        self._trial: Trial | None = None

    async def try_(self, case: Case) -> None:
        if self._trial is None or self._trial.serial >= AT_ONCE:
            await self.close()
            self._trial = await self._open.enter_async_context(trials())
        try:
            self.counts[await self._trial.try_(case)] += 1
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        self._trial = None
        await self._open.aclose()


@pytest.mark.timeout(max(60, COUNT))
def test_a_definition_is_refused_or_runs_to_its_end() -> None:
    """Never INTERNAL, never stuck; what waits for somebody is what says so. WEFT_SEED repeats a run."""
    print(f"WEFT_SEED={SEED} WEFT_GENERATED={COUNT}")  # noqa: T201 - shown when it fails
    worlds = Worlds()
    with asyncio.Runner() as runner:

        @seed(SEED)
        @settings(max_examples=COUNT, deadline=None, database=None, suppress_health_check=SLOW)
        @given(cases())
        def run(case: Case) -> None:
            runner.run(worlds.try_(case))

        try:
            run()
        finally:
            runner.run(worlds.close())
    print(dict(worlds.counts))  # noqa: T201 - as above
    assert worlds.counts["refused"] > COUNT / 20
    assert worlds.counts["ran"] + worlds.counts["cancelled"] > COUNT / 4
