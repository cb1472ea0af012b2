"""Retries are a part of the calls, whatever happens."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.mesh.policies.budget import BudgetConfig, RetryBudget

STEP = st.tuples(st.sampled_from(["call", "retry", "wait"]), st.floats(0, 3))


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(STEP, max_size=200),
    ratio=st.sampled_from([0.0, 0.2, 1.0]),
    floor=st.sampled_from([0.0, 0.5, 10.0]),
)
def test_no_window_has_more_retries_than_its_budget(
    steps: list[tuple[str, float]], ratio: float, floor: float
) -> None:
    """Of any ten seconds: at most the ratio of the calls, and the floor for each second.

    The window is counted in tenths of itself, so the oldest tenth may be cut.
    """
    budget = RetryBudget(BudgetConfig(ratio=ratio, floor=floor))
    now, calls, retries = 0.0, [], []
    for kind, seconds in steps:
        if kind == "wait":
            now += seconds
        elif kind == "call":
            budget.called(now)
            calls.append(now)
        elif budget.retry(now):
            retries.append(now)
            recent_calls = sum(now - each <= 10 for each in calls)
            recent_retries = sum(now - each < 9 for each in retries)
            assert recent_retries <= floor * 10 + ratio * recent_calls


def test_the_floor_lets_single_calls_be_retried() -> None:
    """A process that hardly calls has no ratio to speak of."""
    budget = RetryBudget()
    assert all(budget.retry(0.0) for _ in range(100))
    assert not budget.retry(0.0)
    assert budget.retry(11.0)


def test_calls_add_to_the_budget() -> None:
    """Five calls for one retry, and they count for as long as the window is."""
    budget = RetryBudget(BudgetConfig(floor=0))
    assert not budget.retry(0.0)
    for _ in range(5):
        budget.called(0.0)
    assert budget.retry(5.0)
    assert not budget.retry(5.0)
    for _ in range(5):
        budget.called(5.0)
    assert budget.retry(5.1)
    assert not budget.retry(16.0)


@pytest.mark.parametrize("wrong", [{"ratio": -0.1}, {"floor": -1.0}, {"window": timedelta(0)}])
def test_wrong_budgets(wrong: dict[str, float]) -> None:
    """They are refused when they are made."""
    with pytest.raises(ValueError, match="must not be negative"):
        BudgetConfig(**wrong)  # type: ignore[arg-type]  # a table of values
