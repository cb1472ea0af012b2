"""How a run holds sessions and faults together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.faults.rig.plan import PlannedFault
from tests.faults.rig.run import Progress

ALL, FAULTS = 10_000, 240


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fault(at: float) -> PlannedFault:
    return PlannedFault(kind="kill-server", at=at, delay=0.0, lasts=0.0, choice=0)


def held(progress: Progress) -> int:
    """Return the first session that is held back."""
    return next(number for number in count() if not progress.may_begin(number))


@pytest.mark.parametrize("begun", [0, 4_000, 4_500, 5_500, 5_616, 9_900])
def test_a_fault_that_is_late_still_has_somebody_to_disturb(begun: int, clock: Clock) -> None:
    """However far sessions ran ahead of it, its share of them begins beside it, spread over its time."""
    progress = Progress(all=ALL, ahead=0.05, clock=clock)
    progress.wait_for(fault(0.41))
    assert held(progress) == 4_600
    progress.begun = begun
    progress.disturbed(faults_left=100)
    share = (ALL - begun) // 100
    assert held(progress) == begun
    clock.now += 1.25
    assert held(progress) == pytest.approx(begun + share / 2, abs=1)
    clock.now += 60
    assert held(progress) == pytest.approx(begun + share, abs=1)


def test_faults_that_take_long_leave_sessions_for_the_last_ones(clock: Clock) -> None:
    """Though the servers could do all of them beside the first half of the faults."""
    progress = Progress(all=ALL, ahead=0.05, clock=clock)
    for number, at in enumerate(_spread(0.02, 0.85)):
        progress.wait_for(fault(at))
        progress.begun = max(progress.begun, held(progress))
        before = progress.begun
        progress.disturbed(faults_left=FAULTS - number)
        clock.now += 60
        progress.begun = held(progress)
        assert progress.begun - before >= (1 if number < FAULTS - 1 else 5)


def _spread(first: float, last: float) -> Iterator[float]:
    return (first + (last - first) * number / (FAULTS - 1) for number in range(FAULTS))
