"""Which lists are stale: told one by one, but not by the thousand when a source of everything is gone."""

from __future__ import annotations

import logging
from typing import Final
from weakref import WeakSet

from weft.discovery.model import Snapshot

__all__ = ["OUTAGES", "Outages"]

_log = logging.getLogger("weft.discovery")

_MOST: Final = 10
"""How many stale lists are named at a time."""


class Outages:
    """Says in the log that a list is stale, and that it is not any more.

    While more than ten are, further ones are told at level DEBUG.
    """

    def __init__(self) -> None:
        self._stale: WeakSet[object] = WeakSet()
        self._named: WeakSet[object] = WeakSet()
        self._many = False

    def begin(self, watch: object, snapshot: Snapshot) -> None:
        """Take note that what a watch knows is stale."""
        self._stale.add(watch)
        level = logging.DEBUG
        if len(self._stale) <= _MOST:
            self._named.add(watch)
            level = logging.WARNING
        elif not self._many:
            self._many = True
            _log.warning("more than %d lists are stale; the others are told at level DEBUG", _MOST)
        message = "the list of %s is stale (%d known): %s"
        _log.log(level, message, snapshot.service, len(snapshot.endpoints), snapshot.problem)

    def end(self, watch: object, snapshot: Snapshot) -> None:
        """Take note that it is up to date again."""
        level = logging.INFO if watch in self._named else logging.DEBUG
        message = "the list of %s is up to date again (%d known)"
        _log.log(level, message, snapshot.service, len(snapshot.endpoints))
        self.forget(watch)

    def forget(self, watch: object) -> None:
        """Leave out a watch that has ended."""
        self._stale.discard(watch)
        self._named.discard(watch)
        if self._many and not self._stale:
            self._many = False
            _log.info("no list is stale any more")


OUTAGES: Final = Outages()
"""Those of this process: its log is one, whoever watches."""
