"""Work that must be done to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from weft.core.clock import Clock

__all__ = ["supervise", "to_its_end"]

_log = logging.getLogger("weft.server")

T = TypeVar("T")

_RESTART_SECONDS: Final = 1.0


def _nothing() -> None:
    pass


async def to_its_end(work: Coroutine[Any, Any, T], then: Callable[[], None] = _nothing) -> T:
    """Wait for work that goes on also when nobody waits any more.

    A write that is queued is committed whether its caller stays or not; what
    memory holds of it has to follow either way.

    Args:
        work: What to do.
        then: Called afterwards, also when the work failed.
    """

    async def whole() -> T:
        try:
            return await work
        finally:
            then()

    task = asyncio.create_task(whole())
    # When its caller has left, nobody asks how it ended; that is no defect.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(task)


async def supervise(name: str, job: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Keep a job of the background running until cancelled: one that fails is told and begun again."""
    while True:
        try:
            await job()
        except Exception:
            _log.exception("%s failed; it is begun again", name)
        else:
            _log.error("%s ended; it is begun again", name)
        await clock.sleep(_RESTART_SECONDS)
