"""The arithmetic of figures."""

from __future__ import annotations

import pytest

from benchmarks.stats import Summary, percentile, ratios, summarize


def test_summary_is_median_and_range() -> None:
    """An outlier shows in the range and leaves the value alone."""
    assert summarize([3.0, 1.0, 100.0, 2.0, 4.0]) == Summary(3.0, 1.0, 100.0, 5)


def test_summary_of_an_even_number_lies_between_the_middle_two() -> None:
    assert summarize([4.0, 1.0, 2.0, 3.0]).value == 2.5


def test_summary_of_nothing_is_refused() -> None:
    """A figure is never made of no measurement."""
    with pytest.raises(ValueError, match="no values"):
        summarize([])


@pytest.mark.parametrize(("percent", "expected"), [(1, 1.0), (50, 50.0), (99, 99.0), (100, 100.0)])
def test_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    """It is always a value that was measured, whatever the order."""
    assert percentile([float(number) for number in range(100, 0, -1)], percent) == expected


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 0), ([1.0], 101)])
def test_percentile_refuses_what_has_no_answer(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="percent"):
        percentile(values, percent)


def test_ratios_are_taken_within_a_round() -> None:
    """A machine that slows down by half between rounds leaves the ratio where it is."""
    assert ratios([2.0, 4.0, 8.0], [1.0, 2.0, 4.0]) == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(("bases", "why"), [([1.0], "rounds"), ([1.0, 0.0], "zero")])
def test_ratios_refuse_rounds_that_do_not_match(bases: list[float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ratios([1.0, 2.0], bases)
