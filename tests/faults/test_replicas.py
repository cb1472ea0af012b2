"""Three servers on one PostgreSQL: whoever dies or stands still, the others go on, without a double."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.rig.plan import Wanted, expand
from tests.faults.rig.postgres import PostgresStoreAdapter
from tests.faults.rig.run import run

pytestmark = pytest.mark.integration

SEED = 20_261_208


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_replicas_lose_nothing_and_record_nothing_twice(tmp_path: Path) -> None:
    """W1-W9, W12: kills of servers, of the database, and a server that is stopped past its lease."""
    faults = {"kill-server": 2, "kill-at-commit.after": 1, "kill-database": 1, "pause-server": 1}
    plan = expand(SEED, Wanted(sessions=80, faults=faults, workers=3))
    report = await run(plan, PostgresStoreAdapter(), tmp_path / "run")
    print(report.figures())  # noqa: T201 - the figures are the point
    assert report.problems == []


STOPS = Wanted(
    sessions=150,
    faults={"stop-at-commit.before": 3},
    weights={"poll": 3, "watch": 1},
    seconds=(0.02, 0.1),
    workers=3,
)
"""In front of each commit stands a server that has lost its lease by the time it goes on."""


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_a_write_after_the_lease_is_refused(tmp_path: Path) -> None:
    """W5: what was on its way when the server stood still comes too late, and changes nothing."""
    report = await run(expand(SEED, STOPS), PostgresStoreAdapter(), tmp_path / "run")
    print(report.figures(), report.problems)  # noqa: T201 - the figures are the point
    assert report.problems == []


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_a_server_without_a_fence_is_caught(tmp_path: Path) -> None:
    """The control: it writes over what the others did meanwhile."""
    report = await run(expand(SEED, STOPS), PostgresStoreAdapter(), tmp_path / "run", "no_fencing")
    assert report.violations, report.figures()
