"""Servers on a PostgreSQL whose disks are full for a while: every caller is told, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.rig.full_disk import FullDiskStoreAdapter, why_no_disks
from tests.faults.rig.plan import Wanted, expand
from tests.faults.rig.report import Report
from tests.faults.rig.run import run

pytestmark = [pytest.mark.integration, pytest.mark.long]

SEED = 20_261_215


async def _run(folder: Path, wanted: Wanted, bug: str = "") -> Report:
    if missing := why_no_disks():
        pytest.fail(missing)
    report = await run(expand(SEED, wanted), FullDiskStoreAdapter(), folder, bug)
    print(report.figures())  # noqa: T201 - the figures are the point
    return report


def _reasons(report: Report) -> set[str]:
    return {op.answer.get("reason", "") for op in report.evidence.operations if not op.ok}


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("fault", "reason"), [("fill-tables", "STORE_FULL"), ("fill-log", "STORE_UNAVAILABLE")]
)
async def test_a_full_disk_loses_nothing(fault: str, reason: str, tmp_path: Path) -> None:
    """W1-W12, T1: without room for tables nothing is written; without room for its log the database ends."""
    wanted = Wanted(sessions=150, faults={fault: 2, "kill-server": 1}, concurrency=24, workers=3)
    report = await _run(tmp_path / "run", wanted)
    assert report.problems == []
    assert reason in _reasons(report)


@pytest.mark.timeout(240)
async def test_a_server_that_does_not_know_a_full_disk_is_caught(tmp_path: Path) -> None:
    """The control: it takes it for a defect, and says so."""
    wanted = Wanted(sessions=60, faults={"fill-tables": 1}, concurrency=24, patience=8, stall=3, ahead=1.0)
    report = await _run(tmp_path / "run", wanted, "full_disk_is_a_defect")
    assert "answers_say_why" in report.violations, report.problems
