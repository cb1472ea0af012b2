"""The loop of a program that is a service: it ends, whatever becomes of the tasks that are left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

__all__ = ["run"]

T = TypeVar("T")

_log = logging.getLogger("weft.service")

_PATIENCE: Final = 1.0
"""Seconds that a task may take to end once it is cancelled."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop of its own, as ``asyncio.run`` does.

    That one waits at the end for every task, and so for ever for an action that takes its
    cancellation for a failure that it can live with.

    Raises:
        RuntimeError: A loop runs here already.
    """
    if _is_running():
        main.close()
        raise RuntimeError(
            "run() starts an event loop, and one runs here already: await serve(), or use hosted()"
        )
    loop = _new_loop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main)
    finally:
        try:
            loop.run_until_complete(_end_tasks())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def _is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _end_tasks() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, left = await asyncio.wait(left, timeout=_PATIENCE)
    if left:
        _log.warning("left %d tasks behind, which do not end when they are cancelled", len(left))


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - it does not exist on every platform
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
