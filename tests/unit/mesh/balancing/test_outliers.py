"""Outlier ejection: who fails is left out, comes back through one call, and never are too many out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.mesh.balancing.fleet import World, endpoint, fleet
from weft.discovery.model import Health
from weft.mesh.balancing import POLICIES, BalancerConfig, OutlierConfig

SPREADING = [policy for policy in POLICIES if policy not in {"consistent_hash", "pick_first"}]


def world_of(count: int, policy: str = "round_robin", outliers: OutlierConfig | None = None) -> World:
    world = World(config=BalancerConfig(policy=policy, outliers=outliers or OutlierConfig()))
    world.update(fleet(count))
    return world


def keep_ejected(world: World, key: str) -> None:
    """Let the probe fail that is due now."""
    node = world.pick()
    assert node.endpoint.key == key
    world.balancer.done(node, failed=True, seconds=0.01)


@pytest.mark.parametrize("policy", SPREADING)
def test_failures_in_a_row_eject_at_once(policy: str) -> None:
    """The fifth failed call is the last one, without waiting for anything."""
    world = world_of(3, policy)
    open_calls = [world.pick() for _ in range(60)]
    for node in [node for node in open_calls if node.endpoint.key == "echo-1"][:5]:
        world.balancer.done(node, failed=True, seconds=0.01)
    assert world.ejected() == {"echo-1"}
    assert "echo-1" not in world.calls(60)


def test_a_good_call_between_breaks_the_row() -> None:
    """Four failures, a success, four failures: not ejected."""
    world = world_of(3)
    world.fail("echo-1", 4)
    world.balancer.done(world.at("echo-1"), failed=False, seconds=0.01)
    world.fail("echo-1", 4)
    assert world.ejected() == set()


def test_a_call_that_says_nothing_changes_nothing() -> None:
    """A cancelled call is neither a failure nor a success."""
    world = world_of(3)
    world.fail("echo-1", 4)
    world.balancer.done(world.at("echo-1"), failed=None, seconds=0.01)
    assert world.ejected() == set()
    world.fail("echo-1", 1)
    assert world.ejected() == {"echo-1"}


def test_the_first_call_after_the_time_is_a_probe() -> None:
    """One call goes there; until it ends, no other does; when it ends well, all is as before."""
    world = world_of(3)
    world.fail("echo-1", 5)
    world.clock.turn(29.9)
    assert "echo-1" not in world.calls(30)
    world.clock.turn(0.1)
    probe = world.pick()
    assert probe.endpoint.key == "echo-1"
    assert "echo-1" not in world.calls(30)
    world.balancer.done(probe, failed=False, seconds=0.01)
    assert world.calls(30) == {"echo-0": 10, "echo-1": 10, "echo-2": 10}


def test_a_probe_that_does_not_end_is_repeated() -> None:
    """A long stream, or a node that hangs, gets one call in ten seconds."""
    world = world_of(3)
    world.fail("echo-1", 5)
    world.clock.turn(30)
    for _ in range(3):
        assert world.pick().endpoint.key == "echo-1"
        assert "echo-1" not in world.calls(30)
        world.clock.turn(10)


def test_a_probe_that_ends_after_its_node_was_removed_changes_nothing() -> None:
    """It neither fails nor lets back in what the source has taken out; who returns then is still ejected."""
    world = world_of(3)
    world.fail("echo-1", 5)
    world.clock.turn(30)
    probe = world.pick()
    world.update([fleet(3)[0], endpoint(1, health=Health.CRITICAL), fleet(3)[2]])
    world.balancer.done(probe, failed=False, seconds=0.01)
    assert "echo-1" not in world.calls(30)
    world.update(fleet(3))
    assert world.ejected() == {"echo-1"}


def test_a_late_success_of_an_old_call_is_no_probe() -> None:
    """What was sent before the failures says nothing of now."""
    world = world_of(3)
    old = world.at("echo-1")
    world.fail("echo-1", 5)
    world.balancer.done(old, failed=False, seconds=9)
    assert world.ejected() == {"echo-1"}


def test_the_time_grows_with_every_ejection_up_to_a_cap() -> None:
    """30 s, 60 s, 90 s … 300 s."""
    world = world_of(3)
    world.fail("echo-1", 5)
    for expected in (30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300):
        state = next(state for state in world.balancer.states() if state.key == "echo-1")
        assert state.ejected_for == pytest.approx(expected)
        world.clock.turn(expected)
        keep_ejected(world, "echo-1")


def test_being_well_is_remembered_too() -> None:
    """Each interval without an ejection takes one off the count."""
    world = world_of(3)
    world.fail("echo-1", 5)
    world.clock.turn(30)
    keep_ejected(world, "echo-1")
    world.clock.turn(60)
    assert world.call() == "echo-1"
    for left in (1, 0, 0):
        world.clock.turn(10)
        world.calls(3)
        assert [state.ejections for state in world.balancer.states()] == [0, left, 0]


@pytest.mark.parametrize(("count", "most"), [(1, 0), (2, 1), (3, 1), (4, 2), (7, 3), (10, 5)])
def test_at_most_half_are_out(count: int, most: int) -> None:
    """Of one none, of two or three one; when all fail, the rest goes on."""
    world = world_of(count)
    for _ in range(30 * count):
        world.call(failed=True)
    assert len(world.ejected()) == most


def test_nodes_that_leave_let_ejected_ones_back() -> None:
    """Half of what is there now, at any time."""
    world = world_of(4)
    world.fail("echo-0", 5)
    world.clock.turn(1)
    world.fail("echo-1", 5)
    world.update(fleet(3))
    assert world.ejected() == {"echo-1"}
    world.update(fleet(2)[1:])
    assert world.ejected() == set()
    assert world.call() == "echo-1"


def test_a_call_that_tried_all_others_goes_to_an_ejected_one() -> None:
    """Better a doubtful instance than none; when it answers, it is back."""
    world = world_of(2)
    world.fail("echo-1", 5)
    good = world.pick()
    assert good.endpoint.key == "echo-0"
    other = world.pick(tried=(good,))
    assert other.endpoint.key == "echo-1"
    assert world.balancer.pick(tried=(good, other)) is None
    world.balancer.done(other, failed=False, seconds=0.01)
    assert world.ejected() == set()


def test_a_failed_last_resort_does_not_prolong() -> None:
    """It was sent there for want of another, not because its time was over."""
    world = world_of(2)
    world.fail("echo-1", 5)
    for _ in range(10):
        node = world.pick(tried=(world.pick(),))
        world.balancer.done(node, failed=True, seconds=0.01)
    assert world.balancer.states()[1].ejected_for == pytest.approx(30)


def rates(world: World, bad: float, calls: int = 1_000) -> None:
    """Let ``echo-0`` fail that part of its calls, evenly, and time go on by one interval."""
    owed = 0.0
    for _ in range(calls):
        node = world.pick()
        owed += bad if node.endpoint.key == "echo-0" else 0
        failed = node.endpoint.key == "echo-0" and owed >= 1
        owed -= failed
        world.balancer.done(node, failed=failed, seconds=0.01)
    world.clock.turn(10)
    world.balancer.done(world.pick(), failed=None, seconds=0)


def test_a_low_success_rate_ejects() -> None:
    """A node that fails a third of its calls, never five in a row, is out after the interval."""
    world = world_of(6)
    rates(world, 1 / 3)
    assert world.ejected() == {"echo-0"}


@pytest.mark.parametrize(
    ("count", "bad", "calls", "why"),
    [
        (6, 0.02, 1_000, "close to the others, though they are all alike"),
        (4, 1 / 3, 1_000, "too few nodes to compare"),
        (6, 1 / 3, 500, "too few calls of each"),
    ],
)
def test_rates_are_compared_only_when_that_means_something(
    count: int, bad: float, calls: int, why: str
) -> None:
    """Few nodes, few calls or small differences eject nobody."""
    world = world_of(count)
    rates(world, bad, calls)
    assert world.ejected() == set(), why


def test_all_alike_is_no_outlier() -> None:
    """When every node fails half of its calls, none is worse than the others."""
    world = world_of(6)
    for number in range(3_000):
        node = world.pick()
        world.balancer.done(node, failed=(number // 6) % 2 == 0, seconds=0.01)
    world.clock.turn(10)
    world.pick()
    assert world.ejected() == set()


def test_rules_can_be_turned_off() -> None:
    """Without configuration nothing is ever ejected."""
    world = World(config=BalancerConfig(outliers=None))
    world.update(fleet(6))
    rates(world, 1)
    assert world.ejected() == set()
    off = world_of(6, outliers=OutlierConfig(consecutive_failures=0, success_rate_factor=0))
    rates(off, 1)
    assert off.ejected() == set()


def test_an_instance_that_comes_back_at_another_address_starts_anew() -> None:
    """Another process is not to blame for the one before."""
    world = world_of(3)
    world.fail("echo-1", 5)
    moved = endpoint(77)
    world.update(
        [fleet(3)[0], type(moved)(host=moved.host, port=moved.port, instance_id="echo-1"), fleet(3)[2]]
    )
    assert world.ejected() == set()


@pytest.mark.parametrize("policy", ["consistent_hash", "pick_first"])
def test_affine_policies_send_no_call_elsewhere_to_probe(policy: str) -> None:
    """The node is back in its place after its time, and one failure is enough to eject it again."""
    world = world_of(3, policy)
    first = world.pick("key")
    for _ in range(5):
        world.balancer.done(first, failed=True, seconds=0.01)
    second = world.call("key")
    assert second != first.endpoint.key
    world.clock.turn(30)
    assert world.call("key") == (first.endpoint.key if policy == "consistent_hash" else second)
    assert world.ejected() == set()
    if policy == "consistent_hash":
        for _ in range(4):
            world.call("key", failed=True)
        assert world.ejected() == set(), "it was well since"
    else:
        world.balancer.done(first, failed=True, seconds=0.01)
        assert world.ejected() == {first.endpoint.key}


def test_limits_are_configurable() -> None:
    """Each of them."""
    world = world_of(
        4,
        outliers=OutlierConfig(consecutive_failures=2, ejection_time=timedelta(seconds=1), max_ejected=0.25),
    )
    world.fail("echo-0", 2)
    world.fail("echo-1", 2)
    assert world.ejected() == {"echo-0"}
    assert world.balancer.states()[0].ejected_for == 1
