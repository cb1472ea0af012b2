"""Which of several endpoints gets the next call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from weft.discovery.model import Endpoint

__all__ = ["Balancer", "RoundRobin"]


class Balancer(Protocol):
    """Picks an endpoint and learns how the call went. A pure state machine."""

    def pick(self, endpoints: Sequence[Endpoint]) -> Endpoint:
        """Return one of the endpoints; there is at least one."""
        ...

    def done(self, endpoint: Endpoint, error: BaseException | None) -> None:
        """Take note of how a call at a picked endpoint ended."""
        ...


class RoundRobin:
    """Takes the endpoints in turn."""

    def __init__(self) -> None:
        self._next = 0

    def pick(self, endpoints: Sequence[Endpoint]) -> Endpoint:
        """Return the next one in turn."""
        self._next += 1
        return endpoints[self._next % len(endpoints)]

    def done(self, endpoint: Endpoint, error: BaseException | None) -> None:
        """Ignore it: a turn is a turn."""
