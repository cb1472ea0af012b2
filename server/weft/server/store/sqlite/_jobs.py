"""What the threads are given to do, and how the event loop learns the outcome."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeAlias, TypeVar

__all__ = ["Job", "Outcome", "Work", "deliver", "take"]

T = TypeVar("T")
Work: TypeAlias = Callable[[sqlite3.Connection], T]


class Job(NamedTuple):
    """One unit of work, and who waits for it."""

    work: Work[Any]
    """Runs in a thread; it may run again after it was rolled back."""
    future: asyncio.Future[Any]
    """Of the event loop."""
    reads: bool = False
    """Whether it only reads."""


class Outcome(NamedTuple):
    """How a job went."""

    future: asyncio.Future[Any]
    """Who waits."""
    result: Any = None
    """What it returned."""
    error: Exception | None = None
    """What it raised."""


def take(queue: SimpleQueue[Job | None], limit: int, timeout: float | None = None) -> list[Job | None]:
    """Wait for something to do, then return everything that waits, up to a limit."""
    taken: list[Job | None] = []
    with suppress(Empty):
        taken.append(queue.get(timeout=timeout))
        while len(taken) < limit:
            taken.append(queue.get_nowait())
    return taken


def deliver(
    loop: asyncio.AbstractEventLoop, outcomes: Sequence[Outcome], first: Callable[[], None] | None = None
) -> None:
    """Resolve the futures in the event loop, all in one call."""
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(_settle, outcomes, first)


def _settle(outcomes: Sequence[Outcome], first: Callable[[], None] | None) -> None:
    if first is not None:
        first()
    for future, result, error in outcomes:
        if future.done():
            continue  # its caller was cancelled
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
