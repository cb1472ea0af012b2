"""A rolling upgrade: servers of two releases on one database, and none of them harms what the other does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.rig.next_release import next_release
from tests.faults.rig.plan import Wanted, expand
from tests.faults.rig.postgres import PostgresStoreAdapter
from tests.faults.rig.run import run

pytestmark = pytest.mark.integration

SEED = 20_261_153
ROLLING = Wanted(
    sessions=240,
    faults={"upgrade-server": 3, "pause-upgraded-server": 2, "kill-server": 3, "kill-worker": 1},
    seconds=(0.05, 0.25),
    concurrency=24,
    workers=3,
)
"""Servers become of the next release one after the other, and some of both are killed."""


def test_the_next_release_can_be_loaded(tmp_path: Path) -> None:
    """Only the long run starts it; what it changes has to fit what this release has become all the same."""
    environ = {**os.environ, **next_release(tmp_path / "next")}
    load = "import weft.server.app, weft.server; print(weft.server.__file__ or weft.server.__path__)"
    told = subprocess.run(
        [sys.executable, "-c", load], env=environ, check=True, timeout=60, capture_output=True, text=True
    ).stdout
    assert str(tmp_path / "next") in told


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_two_releases_share_a_database(tmp_path: Path) -> None:
    """D2: all that is promised of one release holds of two together; what only one can read waits for it."""
    report = await run(expand(SEED, ROLLING), PostgresStoreAdapter(), tmp_path / "run")
    print(report.figures())  # noqa: T201 - the figures are the point
    assert report.problems == []
    assert "is left for another server" in _logs(tmp_path / "run"), "no older server met what it cannot read"


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_a_server_that_ends_what_it_cannot_read_is_caught(tmp_path: Path) -> None:
    """The control: the older servers take what is newer for broken."""
    plan = expand(SEED, ROLLING)
    report = await run(plan, PostgresStoreAdapter(), tmp_path / "run", "newer_is_ended")
    assert report.violations, report.figures()


def _logs(folder: Path) -> str:
    return "".join(log.read_text() for log in folder.glob("server-*.log"))
