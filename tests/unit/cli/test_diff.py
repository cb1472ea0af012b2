"""``weft workflows diff``: which members of which steps are different."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.cli._files.diff import Change, differences

PAY = {"id": "pay", "service": "cards", "action": "charge", "timeout": "30s"}
SHIP = {"id": "ship", "service": "post", "action": "send"}


def found(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, Any, Any]]:
    return [(it.path, it.what, it.before, it.after) for it in differences(before, after)]


def test_members_are_compared_one_by_one() -> None:
    """What came, what went and what is another; steps by their ids, wherever they stand."""
    before = {"timeout": "1m", "description": "Old.", "steps": [PAY, SHIP]}
    other = {**PAY, "timeout": "1m", "retry": {"max_attempts": 5}}
    after = {"description": "New.", "labels": {"team": "a"}, "steps": [other, {"id": "pack"}, SHIP]}
    assert found(before, after) == [
        ("timeout", "removed", "1m", None),
        ("description", "changed", "Old.", "New."),
        ("steps.pay.timeout", "changed", "30s", "1m"),
        ("steps.pay.retry", "added", None, {"max_attempts": 5}),
        ("steps.pack", "added", None, {"id": "pack"}),
        ("labels", "added", None, {"team": "a"}),
    ]


def test_steps_inside_of_steps_have_a_path() -> None:
    """Branches by their names, too."""

    def parallel(inner: dict[str, Any]) -> dict[str, Any]:
        return {"steps": [{"id": "p", "parallel": {"branches": [{"name": "left", "steps": [inner]}]}}]}

    assert found(parallel(PAY), parallel({**PAY, "action": "refund"})) == [
        ("steps.p.parallel.branches.left.steps.pay.action", "changed", "charge", "refund")
    ]


def test_another_order_is_a_difference() -> None:
    """The first step is where an execution begins."""
    assert found({"steps": [PAY, SHIP]}, {"steps": [SHIP, PAY]}) == [
        ("steps", "reordered", ["pay", "ship"], ["ship", "pay"])
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"input": {"steps": [1]}}, {"input": {"steps": [{"id": 1}]}}),
        ({"input": {"steps": [{"id": "a"}, {"id": "a"}]}}, {"input": {"steps": [{"id": "a"}]}}),
        ({"input": {"a": True}}, {"input": {"a": 1}}),
        ({"input": {}}, {}),
    ],
)
def test_whatever_stands_in_payloads(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Lists that only look like steps are compared as a whole; true is not 1, and empty is not absent."""
    assert len(found(before, after)) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("steps", "id", "a")), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(before=st.dictionaries(st.sampled_from(("steps", "a")), JSON), after=JSON)
def test_nothing_is_different_from_itself_only(before: dict[str, Any], after: Any) -> None:
    """And two that are not equal have a difference."""
    assert found(before, before) == []
    other = {"steps": after}
    assert bool(found(before, other)) is (repr(_sorted(before)) != repr(_sorted(other)))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((name, _sorted(item)) for name, item in value.items())
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def test_a_change_is_json() -> None:
    """For programs."""
    change = Change(path="timeout", what="added", after="1m")
    assert change.to_dict() == {"path": "timeout", "what": "added", "before": None, "after": "1m"}
