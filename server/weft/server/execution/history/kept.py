"""Keeps what was read of large payloads: of the executions that were at work last."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Protocol

__all__ = ["KeptParsed", "Reader"]


class Reader(Protocol):
    """Who has read something large."""

    def forget_parsed(self) -> None:
        """Drop what was read; it is read again when it is asked for."""
        ...


class KeptParsed:
    """Says who may keep what was read, so that all of them together do not hold too much.

    Args:
        budget: Bytes of JSON text of which what was read is kept.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._total = 0
        self._kept: OrderedDict[int, tuple[weakref.ref[Reader], int]] = OrderedDict()

    def may_keep(self, reader: Reader, size: int) -> bool:
        """Tell whether somebody may keep what it read of so many bytes; whoever read longest ago may not."""
        self._drop(id(reader))
        if size > self._budget:
            return False
        self._kept[id(reader)] = (weakref.ref(reader), size)
        self._total += size
        while self._total > self._budget:
            oldest = self._drop(next(iter(self._kept)))
            if oldest is not None:
                oldest.forget_parsed()
        return True

    def _drop(self, key: int) -> Reader | None:
        ref, size = self._kept.pop(key, (None, 0))
        self._total -= size
        return ref() if ref is not None else None
