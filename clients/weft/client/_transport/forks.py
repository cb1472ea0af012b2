"""Processes that were forked from one with an open connection: in these, gRPC waits for ever."""

from __future__ import annotations

import os
from typing import Final
from weakref import WeakSet

__all__ = ["check_process", "connected", "disconnected"]

_REFUSAL: Final = (
    "this process was forked while a client was connected, and gRPC does not work in it: start processes by "
    "'spawn' or 'forkserver', or fork before the first call"
)

_connected: WeakSet[object] = WeakSet()
_unusable = False


def connected(client: object) -> None:
    """Take note that a client has a connection."""
    _connected.add(client)


def disconnected(client: object) -> None:
    """Take note that a client has none any more."""
    _connected.discard(client)


def check_process() -> None:
    """Make sure that calls are answered in this process.

    Raises:
        RuntimeError: Nobody would ever hear of them.
    """
    if _unusable:
        raise RuntimeError(_REFUSAL)


def _after_fork() -> None:
    global _unusable  # noqa: PLW0603 - it is of the process
    _unusable = _unusable or len(_connected) > 0


if hasattr(os, "register_at_fork"):  # not where there is no fork
    os.register_at_fork(after_in_child=_after_fork)
