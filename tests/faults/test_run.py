"""How a run holds sessions and faults together."""

from __future__ import annotations

import pytest

from tests.faults.rig.run import Progress


@pytest.mark.parametrize("done", [0, 4_000, 4_500, 5_500, 5_616, 9_900])
def test_a_fault_that_is_late_still_has_somebody_to_disturb(done: int) -> None:
    """However far sessions ran ahead of it, some more begin beside it, so that an armed place is passed."""
    progress = Progress(all=10_000, ahead=0.05)
    progress.done = done
    progress.next_fault = 0.41
    held = next(number for number in range(10_001) if number == 10_000 or not progress.may_begin(number))
    assert 4_590 < held < 4_610
    progress.disturbed(0.41)
    held = next(number for number in range(20_000) if not progress.may_begin(number))
    assert held > max(5_590, done + 290)
