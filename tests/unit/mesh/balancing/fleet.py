"""Endpoints by the number, a clock that is set by hand, and calls that take simulated time."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random

from weft.core.testing import ManualClock
from weft.discovery.model import Endpoint, Health
from weft.mesh.balancing import BalancerConfig, LoadBalancer, Node

__all__ = ["Hands", "World", "endpoint", "fleet"]


class Hands(ManualClock):
    """A clock that jumps, for state machines that only read it."""

    def turn(self, seconds: float) -> None:
        self._elapsed += seconds


def endpoint(
    number: int,
    *,
    weight: int = 1,
    zone: str = "",
    datacenter: str = "",
    health: Health = Health.PASSING,
) -> Endpoint:
    return Endpoint(
        host=f"10.0.{number // 250}.{number % 250 + 1}",
        port=7000,
        instance_id=f"echo-{number}",
        weight=weight,
        zone=zone,
        datacenter=datacenter,
        health=health,
    )


def fleet(count: int) -> list[Endpoint]:
    return [endpoint(number) for number in range(count)]


class World:
    """A load balancer, its clock, and calls at it."""

    def __init__(
        self, policy: str = "round_robin", *, seed: int = 1, config: BalancerConfig | None = None
    ) -> None:
        self.clock = Hands()
        self.chance = Random(seed)
        self.config = config or BalancerConfig(policy=policy)
        self.balancer = LoadBalancer(self.config, self.clock, Random(seed))

    def update(self, endpoints: Iterable[Endpoint]) -> None:
        self.balancer.update(endpoints)

    def pick(self, hash_key: str = "", tried: tuple[Node, ...] = ()) -> Node:
        node = self.balancer.pick(hash_key, tried)
        assert node is not None
        return node

    def call(self, hash_key: str = "", *, failed: bool | None = False, seconds: float = 0.01) -> str:
        """Make a call that ends before the next one, and return where it went."""
        node = self.pick(hash_key)
        self.balancer.done(node, failed, seconds)
        return node.endpoint.key

    def calls(self, count: int) -> Counter[str]:
        return Counter(self.call() for _ in range(count))

    def at(self, key: str) -> Node:
        """Pick until it is that node, and put the others back."""
        held = []
        for _ in range(1000):
            node = self.pick()
            if node.endpoint.key == key:
                break
            held.append(node)
        else:
            raise AssertionError(f"{key} is never picked")
        for other in held:
            self.balancer.done(other, None, 0)
        return node

    def fail(self, key: str, times: int) -> None:
        """Let that many calls at one node fail."""
        for _ in range(times):
            self.balancer.done(self.at(key), failed=True, seconds=0.01)

    def run(
        self, calls: int, concurrency: int, seconds: Callable[[str], float], pace: float = 0.0
    ) -> Counter[str]:
        """Simulate workers that call one after the other, and count where the calls went.

        Args:
            calls: How many.
            concurrency: How many workers.
            seconds: How long a call takes at a node.
            pace: Seconds that a worker rests after a call.
        """
        counts: Counter[str] = Counter()
        events: list[tuple[float, int, Node | None, float]] = [
            (self.clock.monotonic(), number, None, 0.0) for number in range(concurrency)
        ]
        serial = concurrency
        while events:
            moment, _, node, took = heapq.heappop(events)
            self.clock.turn(moment - self.clock.monotonic())
            serial += 1
            if node is not None:
                self.balancer.done(node, failed=False, seconds=took)
                heapq.heappush(events, (moment + pace, serial, None, 0.0))
            elif counts.total() < calls:
                node = self.pick(f"key {serial}")
                counts[node.endpoint.key] += 1
                took = seconds(node.endpoint.key)
                heapq.heappush(events, (moment + took, serial, node, took))
        return counts

    def ejected(self) -> set[str]:
        return {state.key for state in self.balancer.states() if state.ejected_for}
