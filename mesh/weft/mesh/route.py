"""One service as calls see it: what is known of it, what of that fits, and who gets the next call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from weft.core.errors import PreconditionError, ServiceUnavailableError, WeftError
from weft.core.reasons import Reason
from weft.core.version import VersionRange, sort_versions
from weft.discovery.model import Endpoint, Protocol, Snapshot
from weft.discovery.target import Target
from weft.discovery.watch import Watch
from weft.mesh.balancing import LoadBalancer, Node
from weft.mesh.policies.budget import RetryBudget

__all__ = ["Route"]

_SPOKEN: Final[Mapping[Protocol | None, str]] = {Protocol.GRPC: "gRPC", Protocol.HTTP: "HTTP"}
"""Protocols, as people write them."""


class Route:
    """Picks instances of one service among those that fit its target.

    Make it where an event loop runs.

    Args:
        target: Which instances fit: tags and range of versions.
        watch: What is known of the service; closed with the route.
        balancer: Chooses among those that fit.
        protocol: What an instance must speak; None: anything.
        versions: Which of its versions will do; by default those that the target names.
        budget: How many retries all calls of the route may make together.
        on_change: Is told every endpoint that fits, whatever its health, at once and
            after every change.
    """

    def __init__(
        self,
        target: Target,
        watch: Watch,
        balancer: LoadBalancer,
        *,
        protocol: Protocol | None = Protocol.GRPC,
        versions: VersionRange | None = None,
        budget: RetryBudget | None = None,
        on_change: Callable[[Route, tuple[Endpoint, ...]], None] | None = None,
    ) -> None:
        self.target = target
        self.service = target.name
        self.protocol = protocol
        self.balancer = balancer
        self.budget = budget or RetryBudget()
        self.closed = False
        self.last_used = 0.0
        """When a call last asked, by the clock of whoever keeps the route."""
        self.running = 0
        """How many calls run, or look for an instance."""
        self.pick: Callable[..., Node | None] = balancer.pick
        """``pick(hash_key, tried, now)``: who gets a call, which is then in flight; None: nobody can."""
        self.done: Callable[..., None] = balancer.done
        """``done(node, failed, seconds, now)``: how it ended; ``failed`` None: that says nothing."""
        self.policy = balancer.policy
        """Name of the policy that picks."""
        self._watch = watch
        self._places: frozenset[tuple[str, int, bool]] = frozenset()
        self._versions = VersionRange.parse(target.version) if versions is None else versions
        self._on_change = on_change
        self._unsubscribe = watch.subscribe(self._changed)

    @property
    def snapshot(self) -> Snapshot:
        """Everything that is known of the service, what does not fit included."""
        return self._watch.snapshot

    @property
    def known(self) -> bool:
        """Whether the source has said anything yet."""
        return self._watch.snapshot.version > 0

    def holds(self, node: Node) -> bool:
        """Whether an instance that was picked is still one of those that fit."""
        endpoint = node.endpoint
        return (endpoint.host, endpoint.port, endpoint.secure) in self._places

    async def moment(self, seconds: float) -> None:
        """Wait for the next change of what is known, but not longer than that."""
        await self._watch.moment(seconds)

    def unavailable(self, seen: Iterable[str] = ()) -> WeftError:
        """Say why no instance can be called.

        Args:
            seen: What became of the instances that were tried, as texts.

        Returns:
            A PreconditionError VERSION_NOT_AVAILABLE that lists the versions there are,
            when instances exist and none has a version in the range; else a
            ServiceUnavailableError NO_INSTANCE that says what is known of the service.
        """
        similar = tuple(each for each in self.snapshot.endpoints if self._similar(each))
        if similar and not any(self._versions.admits(each.version) for each in similar):
            return self._no_version({each.version for each in similar})
        tried = "; ".join(seen)
        return ServiceUnavailableError(
            self.service,
            f"no instance of {self._wanted()} can be called: {self._summary()}{self._strangers()}"
            + (f"; {tried}" if tried else ""),
            reason=Reason.NO_INSTANCE,
            metadata={"target": str(self.target), "seen": self._summary()},
        )

    def states(self) -> dict[str, Any]:
        """Return what people and metrics want to know of it."""
        snapshot = self.snapshot
        return {
            "target": str(self.target),
            "versions": str(self._versions),
            "protocol": self.protocol.value if self.protocol else "",
            "summary": self._summary(),
            "stale": snapshot.stale,
            "problem": snapshot.problem,
            "policy": self.policy,
            "instances": [asdict(state) for state in self.balancer.states()],
        }

    async def close(self) -> None:
        """Stop following the service; calls in flight go on."""
        if self.closed:
            return
        self.closed = True
        self._unsubscribe()
        await self._watch.close()

    def _changed(self, snapshot: Snapshot) -> None:
        fitting = tuple(each for each in snapshot.endpoints if self._fits(each))
        self._places = frozenset((each.host, each.port, each.secure) for each in fitting)
        self.balancer.update(fitting)
        if self._on_change is not None:
            self._on_change(self, fitting)

    def _similar(self, endpoint: Endpoint) -> bool:
        return (self.protocol is None or endpoint.protocol is self.protocol) and _has_all(
            endpoint.tags, self.target.tags
        )

    def _fits(self, endpoint: Endpoint) -> bool:
        return self._similar(endpoint) and self._versions.admits(endpoint.version)

    def _no_version(self, versions: Collection[str]) -> PreconditionError:
        available = ", ".join(sort_versions(version for version in versions if version))
        there = f"there is {available or 'none that is named'}"
        return PreconditionError(
            f"no instance of {self.service} has a version in {self._versions}; {there}",
            reason=Reason.VERSION_NOT_AVAILABLE,
            metadata={"service": self.service, "required": str(self._versions), "available": available},
        )

    def _wanted(self) -> str:
        """Name the service, and what an instance of it must have."""
        said = self.protocol is Protocol.HTTP or self._strangers()
        wants: Mapping[str, str] = {
            "tagged": ", ".join(self.target.tags),
            "of version": "" if self._versions.any else str(self._versions),
            "that speaks": _SPOKEN[self.protocol] if said else "",
        }
        return " ".join((self.service, *(f"{word} {value}" for word, value in wants.items() if value)))

    def _strangers(self) -> str:
        """Say what the known instances speak, where none speaks what calls of this route do."""
        spoken = {each.protocol for each in self.snapshot.endpoints}
        if self.protocol is None or self.protocol in spoken or not spoken:
            return ""
        return f"; all speak {' or '.join(sorted(_SPOKEN[it] for it in spoken))}"

    def _summary(self) -> str:
        return self.snapshot.summary() if self.known else "no source has answered yet"


def _has_all(tags: Collection[str], wanted: Iterable[str]) -> bool:
    return all(tag in tags for tag in wanted)
