"""Power cuts: what was not fsynced is forgotten, and nothing that was acknowledged is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.rig.plan import Wanted, expand
from tests.faults.rig.power import PowerCutStoreAdapter, why_no_fuse
from tests.faults.rig.run import run

pytestmark = pytest.mark.integration

SEED = 20_261_211
WANTED = Wanted(
    sessions=40,
    faults={"cut-power": 3},
    weights={"watch": 3, "poll": 2, "repeat": 1},
    workers=1,
    patience=20,
    stall=5,
)


def _require_fuse() -> None:
    if missing := why_no_fuse():
        pytest.fail(missing)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "torn",
    [
        pytest.param(False, id="nothing unsynced is left"),
        pytest.param(True, id="some of it is left", marks=pytest.mark.long),
    ],
)
async def test_a_power_cut_loses_nothing_that_was_acknowledged(torn: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """D1: and the store opens clean."""
    _require_fuse()
    store = PowerCutStoreAdapter(tmp_path / "disk", torn=torn)
    report = await run(expand(SEED, WANTED), store, tmp_path / "run")
    assert report.problems == []
    assert len(store.lost) == 3


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_a_store_that_does_not_wait_for_the_disk_is_caught(tmp_path: Path) -> None:
    """The control: with ``synchronous = NORMAL`` a cut loses what was acknowledged, or the rig is broken."""
    _require_fuse()
    store = PowerCutStoreAdapter(tmp_path / "disk")
    report = await run(expand(SEED, WANTED), store, tmp_path / "run", "synchronous_off")
    assert {"accepted_ends", "history_grows"} & report.violations.keys(), report.problems
    assert sum(store.lost)
