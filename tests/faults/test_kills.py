"""A short run with kills of servers and workers at random moments and at every failpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.rig.faults import FAILPOINTS
from tests.faults.rig.plan import Wanted, expand
from tests.faults.rig.run import run
from tests.faults.rig.stores import SqliteStoreAdapter

pytestmark = pytest.mark.integration

SEED = 20_261_201


@pytest.mark.timeout(180)
async def test_kills_lose_nothing_and_record_nothing_twice(tmp_path: Path) -> None:
    """W1-W7, W9, W12: whatever is killed whenever, all invariants hold."""
    faults = {"kill-server": 2, "kill-worker": 1, **{f"kill-at-{name}": 1 for name in FAILPOINTS}}
    plan = expand(SEED, Wanted(sessions=100, faults=faults))
    report = await run(plan, SqliteStoreAdapter(tmp_path / "data"), tmp_path / "run")
    print(report.figures())  # noqa: T201 - the figures are the point
    assert report.problems == []
