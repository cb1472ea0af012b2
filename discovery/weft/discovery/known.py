"""What a source said of one service, made safe against the source's own failures.

Two promises pull in opposite directions: a source that fails must not empty a
known list, and an instance that a source removed must not be called again. They
meet here: an omission is believed when the source was seen to make it, in one
unbroken watch. After a failure or a reset (such as a Consul that lost its data)
an instance that the source has not named since is in doubt. It is kept, and the
list is stale, until the source has been answering for some time; and as long as
such a source names nobody at all, until something is registered again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from weft.core.clock import Clock
from weft.discovery.model import Endpoint, Snapshot

__all__ = ["KnownList"]

_MISSING = "the source failed, and has not named every known instance since"


class KnownList:
    """The last good list of one service. A pure state machine.

    Args:
        service: Name of the service.
        clock: For how long a source has been answering again.
        settle: How long after a failure or a reset omissions are doubted.
    """

    def __init__(self, service: str, clock: Clock, *, settle: timedelta = timedelta(seconds=10)) -> None:
        self._clock = clock
        self._settle = settle.total_seconds()
        self._now = Snapshot(service=service, endpoints=())
        self._said: tuple[Endpoint, ...] | None = None
        self._broken = False
        self._doubted: dict[str, Endpoint] = {}
        """What the source has not named since it failed or was reset, by key."""
        self._doubt_ends: float | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The list as it stands."""
        return self._now

    @property
    def recheck_in(self) -> float | None:
        """Seconds after which ``recheck`` is due; none when nothing is in doubt, or the source fails."""
        if self._doubt_ends is None or self._broken:
            return None
        return max(0.0, self._doubt_ends - self._clock.monotonic())

    def failed(self, problem: str) -> Snapshot | None:
        """Take note that the source failed; return the list when that changed it."""
        self._broken = True
        return self._become(self._now.endpoints, problem)

    def answered(self, endpoints: Iterable[Endpoint], *, reset: bool = False) -> Snapshot | None:
        """Take the source's answer; return the list when that changed it.

        Args:
            endpoints: Everything that the source knows.
            reset: Whether the source has lost what it knew, so that it did not
                remove what it does not name.
        """
        said = tuple(endpoints)
        if self._broken or reset:
            self._doubted = {endpoint.key: endpoint for endpoint in self._now.endpoints}
        came_back = bool(said) and not self._said
        for endpoint in said:
            self._doubted.pop(endpoint.key, None)
        if not self._doubted:
            self._doubt_ends = None
        elif self._broken or reset or came_back:
            self._doubt_ends = self._clock.monotonic() + self._settle
        self._broken = False
        self._said = said
        return self.recheck()

    def recheck(self) -> Snapshot | None:
        """Look again, as doubts end with time; return the list when that changed it."""
        if self._broken or self._said is None:
            return None
        if self._doubt_ends is not None and self._clock.monotonic() >= self._doubt_ends:
            self._doubt_ends = None
            if self._said:
                self._doubted = {}
        kept = tuple(self._doubted.values())
        return self._become(self._said + kept, _MISSING if kept else "")

    def _become(self, endpoints: tuple[Endpoint, ...], problem: str) -> Snapshot | None:
        before = self._now
        if (endpoints, problem) == (before.endpoints, before.problem) and before.version:
            return None
        self._now = Snapshot(
            service=before.service,
            endpoints=endpoints,
            version=before.version + 1,
            stale=bool(problem),
            problem=problem,
        )
        return self._now
