"""A disk that fails fsync: the outcome is unknown to whoever waits, and what is on the disk decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.rig.eio import FailingDiskStoreAdapter
from tests.faults.rig.plan import Wanted, expand
from tests.faults.rig.run import run

pytestmark = pytest.mark.integration

SEED = 20_261_206
WANTED = Wanted(
    sessions=40,
    faults={"fsync-fails": 3, "fsync-fails-then-kill": 1},
    weights={"watch": 3, "poll": 2, "repeat": 1, "cancel": 1},
    workers=1,
    patience=20,
    stall=5,
)


@pytest.mark.timeout(120)
async def test_an_fsync_that_fails_is_never_acknowledged(tmp_path: Path) -> None:
    """D1: the store lets go and recovers from the disk; no answer was wrong."""
    store = FailingDiskStoreAdapter(tmp_path / "data")
    report = await run(expand(SEED, WANTED), store, tmp_path / "run")
    assert report.problems == []


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_a_swallowed_eio_is_caught(tmp_path: Path) -> None:
    """The control: a server that takes a failed commit for a good one."""
    store = FailingDiskStoreAdapter(tmp_path / "data")
    report = await run(expand(SEED, WANTED), store, tmp_path / "run", "swallowed_eio")
    lost = {"accepted_ends", "history_grows", "records_are_what_bodies_returned"}
    assert lost & report.violations.keys(), report.problems
