"""Listens to a running attempt: one that falls silent for too long is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from weft.core.errors import DeadlineExceededError
from weft.core.reasons import Reason
from weft.server.execution.run import Run

__all__ = ["listening"]

_KEEP_SECONDS: Final = 5.0
"""How far apart the heartbeats are whose details go into the history."""


@asynccontextmanager
async def listening(
    run: Run, limit: timedelta | None, tell: Callable[[bytes], None], last: list[bytes]
) -> AsyncIterator[None]:
    """Take the heartbeats of the attempt that the block runs.

    Args:
        run: Whose attempt.
        limit: How long it may be silent; None: to its end.
        tell: Is given details, now and then, for the history.
        last: Gets the newest details when ``tell`` was not given them.

    Raises:
        DeadlineExceededError: HEARTBEAT_TIMEOUT.
    """
    now = asyncio.get_running_loop().time
    kept = float("-inf")
    unkept = b""
    timeout = asyncio.timeout(limit.total_seconds() if limit else None)

    def pulse(details: bytes) -> None:
        nonlocal kept, unkept
        if limit is not None and not timeout.expired():
            timeout.reschedule(now() + limit.total_seconds())
        if not details:
            return
        if now() - kept < _KEEP_SECONDS:
            unkept = details
            return
        kept, unkept = now(), b""
        tell(details)

    run.pulse = pulse
    try:
        async with timeout:
            yield
    except TimeoutError:
        if not timeout.expired():
            raise
        raise _silent(run, limit) from None
    finally:
        run.pulse = None
        if unkept:
            last.append(unkept)


def _silent(run: Run, limit: timedelta | None) -> DeadlineExceededError:
    seconds = f"{limit.total_seconds():g}" if limit else ""
    return DeadlineExceededError(
        f"step {run.step_id} was not heard of for {seconds} s",
        reason=Reason.HEARTBEAT_TIMEOUT,
        metadata={"step_id": run.step_id, "attempt": str(run.attempt), "timeout_seconds": seconds},
    )
