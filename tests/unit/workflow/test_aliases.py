"""Which version an alias stands for."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.unit.workflow.builders import NOW
from weft.api.workflow.v1 import workflow_pb2 as pb
from weft.core.errors import ResourceNotFoundError, ValidationError
from weft.core.reasons import Reason
from weft.server.requests import Faults
from weft.server.workflow.aliases import (
    LATEST,
    MAX_ALIASES,
    alias_from_proto,
    choose_version,
    with_alias,
    without_alias,
)
from weft.server.workflow.model import Definition, Share, Workflow

SEEDS = [f"order-{number}" for number in range(2_000)]


def workflow(**aliases: dict[int, int]) -> Workflow:
    return Workflow(
        id="wf_1",
        name="orders",
        definition=Definition(),
        version=9,
        create_time=NOW,
        update_time=NOW,
        version_create_time=NOW,
        aliases={name: shares_of(shares) for name, shares in aliases.items()},
    )


def shares_of(shares: dict[int, int]) -> tuple[Share, ...]:
    return tuple(Share(version=version, percent=percent) for version, percent in shares.items())


def test_an_alias_of_one_version_is_that_version() -> None:
    """Whatever the seed; `latest` is always the latest."""
    orders = workflow(stable={3: 100})
    assert {choose_version(orders, "stable", seed) for seed in SEEDS[:50]} == {3}
    assert choose_version(orders, LATEST, "any") == 0


def test_a_ramp_shares_executions_out() -> None:
    """About as many run each version as the percentages say."""
    orders = workflow(stable={3: 70, 4: 20, 5: 10})
    counts = Counter(choose_version(orders, "stable", seed) for seed in SEEDS)
    for version, percent in {3: 70, 4: 20, 5: 10}.items():
        assert counts[version] == pytest.approx(len(SEEDS) * percent / 100, rel=0.25)


def test_the_same_seed_gets_the_same_version() -> None:
    """Also after a restart: the choice is a pure function of workflow, alias and seed."""
    orders = workflow(stable={3: 50, 4: 50})
    assert [choose_version(orders, "stable", seed) for seed in SEEDS[:8]] == [3, 3, 4, 3, 4, 4, 4, 3]


def test_who_has_the_new_version_keeps_it_when_it_gets_more() -> None:
    """A ramp goes one way: from 10 to 60 percent nobody falls back."""
    early, late = workflow(stable={3: 90, 4: 10}), workflow(stable={3: 40, 4: 60})
    first = {seed for seed in SEEDS if choose_version(early, "stable", seed) == 4}
    second = {seed for seed in SEEDS if choose_version(late, "stable", seed) == 4}
    assert first < second


def test_an_unknown_alias_is_named_with_a_close_one() -> None:
    """The miss says what there is."""
    with pytest.raises(ResourceNotFoundError) as missed:
        choose_version(workflow(stable={3: 100}), "stabel", "x")
    assert missed.value.reason == Reason.WORKFLOW_ALIAS_NOT_FOUND
    assert missed.value.message == "workflow 'orders' has no alias 'stabel'; did you mean 'stable'?"
    with pytest.raises(ResourceNotFoundError):
        without_alias(workflow(), "stable")


def test_an_alias_names_versions_that_are_there() -> None:
    """One that is not is refused; so is one alias too many."""
    with pytest.raises(ResourceNotFoundError) as missed:
        with_alias(workflow(), "stable", shares_of({10: 100}))
    assert missed.value.reason == Reason.WORKFLOW_VERSION_NOT_FOUND
    full = workflow(**{f"a{number}": {1: 100} for number in range(MAX_ALIASES)})
    assert with_alias(full, "a0", shares_of({2: 100}))["a0"][0].version == 2
    with pytest.raises(ValidationError):
        with_alias(full, "one-more", shares_of({1: 100}))


@pytest.mark.parametrize(
    ("name", "shares", "fields"),
    [
        ("", [], {"alias.name", "alias.shares"}),
        ("latest", [(1, 100)], {"alias.name"}),
        ("7", [(1, 100)], {"alias.name"}),
        ("Stable", [(1, 100)], {"alias.name"}),
        ("stable", [(0, 100)], {"alias.shares[0].version"}),
        ("stable", [(1, 50), (2, 49)], {"alias.shares"}),
        ("stable", [(1, 50), (1, 50)], {"alias.shares"}),
        ("stable", [(1, 0), (2, 100)], {"alias.shares[0].percent"}),
        ("stable", [(1, -5), (2, 105)], {"alias.shares[0].percent", "alias.shares[1].percent"}),
    ],
)
def test_every_fault_of_an_alias_is_found(name: str, shares: list[tuple[int, int]], fields: set[str]) -> None:
    """All of them at once, each where it is."""
    faults = Faults()
    message = pb.WorkflowAlias(name=name, shares=[pb.VersionShare(version=v, percent=p) for v, p in shares])
    alias_from_proto(message, faults)
    assert {fault.field for fault in faults.found} == fields


def test_the_only_version_needs_no_percentage() -> None:
    """Shares are kept by version, whatever their order was."""
    faults = Faults()
    message = pb.WorkflowAlias(name="stable", shares=[pb.VersionShare(version=2)])
    assert alias_from_proto(message, faults) == ("stable", shares_of({2: 100}))
    message = pb.WorkflowAlias(
        name="stable",
        shares=[pb.VersionShare(version=3, percent=40), pb.VersionShare(version=2, percent=60)],
    )
    assert alias_from_proto(message, faults) == ("stable", shares_of({2: 60, 3: 40}))
    assert not faults.found
