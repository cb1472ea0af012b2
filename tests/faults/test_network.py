"""Connections that are cut, slow, deaf or dead, and a server that stands still: all invariants hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.rig.plan import Wanted, expand
from tests.faults.rig.run import run
from tests.faults.rig.stores import SqliteStoreAdapter

pytestmark = pytest.mark.integration

SEED = 20_261_204


@pytest.mark.timeout(180)
async def test_a_bad_network_loses_nothing_and_starts_nothing_twice(tmp_path: Path) -> None:
    """W1, W2, W6, W7: a caller whose answer is lost asks again, and is told the same."""
    faults = {"cut": 2, "drop-replies": 2, "delay": 1, "blackhole": 1, "pause-server": 1}
    wanted = Wanted(sessions=80, faults=faults, weights={"watch": 3, "poll": 2, "repeat": 3, "cancel": 2})
    report = await run(expand(SEED, wanted), SqliteStoreAdapter(tmp_path / "data"), tmp_path / "run")
    print(report.figures())  # noqa: T201 - the figures are the point
    assert report.problems == []
