"""The port that every source of endpoints implements."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from weft.discovery.model import Snapshot

__all__ = ["Resolver"]


class Resolver(Protocol):
    """Tells where a service is, and tells again whenever that changes."""

    def watch(self, service: str) -> AsyncIterator[Snapshot]:
        """Yield the set as it is now, then the whole set after every change.

        A service that nobody registered (yet) has the empty set. A source that
        fails does not end the stream and does not empty a known set.
        """
        ...
