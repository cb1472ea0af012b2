"""Any interleaving of updates, calls, their ends and time keeps every promise of the load balancer."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.mesh.balancing.fleet import World, endpoint
from weft.discovery.model import Endpoint, Health
from weft.mesh.balancing import POLICIES, BalancerConfig, Node

endpoints = st.lists(
    st.builds(
        endpoint,
        st.integers(0, 7),
        weight=st.sampled_from([1, 1, 1, 3, 10_000]),
        zone=st.sampled_from(["a", "a", "b"]),
        datacenter=st.sampled_from(["", "dc1", "dc2"]),
        health=st.sampled_from([Health.PASSING] * 4 + list(Health)),
    ),
    max_size=9,
)
index = st.integers(0, 1_000)


class Balancing(RuleBasedStateMachine):
    """Plays calls against a load balancer and remembers what must be so."""

    @initialize(
        policy=st.sampled_from(POLICIES),
        zone=st.sampled_from(["", "a"]),
        subset=st.sampled_from([0, 0, 2]),
        warm=st.sampled_from([0, 20]),
        seed=st.integers(0, 3),
    )
    def start(self, policy: str, zone: str, subset: int, warm: int, seed: int) -> None:
        config = BalancerConfig(
            policy=policy,
            zone=zone,
            datacenter="dc1" if zone else "",
            subset_size=subset,
            slow_start=timedelta(seconds=warm),
        )
        self.world = World(config=config, seed=seed)
        self.named: dict[tuple[str, str], Endpoint] = {}
        self.open: list[Node] = []
        self.broken: set[str] = set()

    @rule(given=endpoints)
    def update(self, given: list[Endpoint]) -> None:
        self.named = {}
        for each in given:
            self.named.setdefault((each.key, each.address), each)
        self.world.update(given)

    @rule(number=st.integers(0, 7))
    def break_or_repair(self, number: int) -> None:
        self.broken ^= {f"echo-{number}"}

    @rule(key=st.sampled_from(["", "x", "y"]), tried=st.integers(0, 3))
    def pick(self, key: str, tried: int) -> None:
        passed: list[Node] = []
        for _ in range(tried + 1):
            good = [each for each in self.world.balancer._outliers._nodes if each.active]
            out = {state.key: state.ejected_for for state in self.world.balancer.states()}
            node = self.world.balancer.pick(key, tuple(passed))
            if node is None:
                assert self.usable() <= {each.endpoint.key for each in passed}, "nobody is left"
                break
            assert self.named.get((node.endpoint.key, node.endpoint.address)) == node.endpoint, (
                "not in the list"
            )
            assert node.endpoint.health in {Health.PASSING, Health.WARNING}
            assert node not in passed, "it was tried"
            assert not out[node.endpoint.key] or set(good) <= set(passed), "ejected, though others are left"
            passed.append(node)
            self.open.append(node)

    @precondition(lambda self: self.open)
    @rule(which=index, seconds=st.floats(0, 5), nothing=st.booleans())
    def done(self, which: int, seconds: float, nothing: bool) -> None:  # noqa: FBT001 - drawn
        node = self.open.pop(which % len(self.open))
        failed = None if nothing else node.endpoint.key in self.broken
        self.world.balancer.done(node, failed, seconds)

    @rule(calls=st.integers(1, 40))
    def burst(self, calls: int) -> None:
        for _ in range(calls):
            node = self.world.balancer.pick()
            if node is not None:
                self.world.balancer.done(node, node.endpoint.key in self.broken, 0.01)

    @rule(seconds=st.sampled_from([0.1, 3.0, 9.0, 31.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.world.clock.turn(seconds)

    def usable(self) -> set[str]:
        return {state.key for state in self.world.balancer.states()}

    @invariant()
    def calls_in_flight_are_counted(self) -> None:
        if not hasattr(self, "world"):
            return
        expected = Counter(id(node) for node in self.open)
        assert all(node.in_flight == expected[id(node)] for node in self.open)
        known = {node.endpoint.key for node in self.open}
        assert all(state.in_flight == 0 for state in self.world.balancer.states() if state.key not in known)

    @invariant()
    def at_most_half_are_ejected(self) -> None:
        if not hasattr(self, "world"):
            return
        states = self.world.balancer.states()
        active = [state for state in states if state.share > 0]
        out = [node for node in self.world.balancer._outliers._nodes if not node.active]
        assert 2 * len(out) <= len(states)
        assert not states or active, "somebody takes calls"
        assert sum(state.share for state in states) == pytest.approx(1 if states else 0)


TestBalancing = Balancing.TestCase
TestBalancing.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "pick_first"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nobody_starves(policy: str, seed: int) -> None:
    """While instances come and go, slow ones included, each that is not ejected is picked again and again."""
    world = World(policy, seed=seed)
    last: dict[str, int] = {}
    for number in range(6_000):
        if number % 50 == 0:
            world.update([endpoint(0), endpoint(1, weight=20), endpoint(2), endpoint(3 + number // 50 % 3)])
        node = world.pick(f"key {number}")
        key = node.endpoint.key
        assert number - last.get(key, number) < 3_000
        last[key] = number
        world.clock.turn(0.02)
        world.balancer.done(node, failed=False, seconds=2.0 if key == "echo-2" else 0.01)
    assert {"echo-0", "echo-1", "echo-2"} <= {key for key, at in last.items() if at > 4_000}
