"""The event loop of every process here: the one that the server runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from importlib.metadata import version
from typing import Any, TypeVar

__all__ = ["LOOP", "run"]

T = TypeVar("T")

try:
    import uvloop
except ImportError:  # it does not exist on every platform
    _FACTORY = None
    LOOP = "asyncio"
else:
    _FACTORY = uvloop.new_event_loop
    LOOP = f"uvloop {version('uvloop')}"
"""Its name, for the record."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program to its end."""
    with asyncio.Runner(loop_factory=_FACTORY) as runner:
        return runner.run(main)
