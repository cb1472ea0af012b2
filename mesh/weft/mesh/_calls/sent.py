"""Metadata of outgoing calls, as they are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import grpc.aio

from weft.mesh.tracing.port import Metadata

__all__ = ["Sent"]


class Sent(grpc.aio.Metadata):
    """Metadata that are made for one call, and read once: by the call that sends them.

    grpc.aio makes an index by key of a tuple, only to make a tuple of it again, which
    costs more than everything else that a trace does to a call. Here it is made when
    somebody asks for a key.
    """

    def __init__(self, entries: Metadata) -> None:
        self._entries = entries

    def __iter__(self) -> Iterator[tuple[str, str | bytes]]:
        """Return the entries in their order."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._entries)

    @cached_property
    def _metadata(self) -> dict[str, list[str | bytes]]:
        """The base's index by key."""
        found: dict[str, list[str | bytes]] = {}
        for key, value in self._entries:
            found.setdefault(key, []).append(value)
        return found
