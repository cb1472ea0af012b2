"""Threads for functions that are not async.

``ThreadPoolExecutor`` waits for its threads when Python exits, so that one
function that hangs keeps a stopped process alive for ever. These are daemons.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

__all__ = ["Threads"]

T = TypeVar("T")

_Job = Callable[[], None]


class Threads:
    """At most so many threads, started when needed, kept until closed.

    Args:
        size: The most that run at once; further calls wait.
        name: Before the number of each thread.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size: Final = size
        self._name: Final = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._started = 0
        self._open = 0
        """Jobs that were put and have not ended; touched by the loop only."""

    async def run(self, function: Callable[[], T]) -> T:
        """Call a function in a thread, with the context variables of the caller.

        When the caller is cancelled, a function that runs already runs on.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        call = contextvars.copy_context().run

        def job() -> None:
            outcome = _skipped if future.cancelled() else _outcome(lambda: call(function))
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._end, future, outcome)

        self._open += 1
        self._jobs.put(job)
        self._grow()
        return await future

    def close(self) -> None:
        """Let every thread end after what it does now."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _grow(self) -> None:
        if self._open > self._started < self._size:
            self._started += 1
            name = f"{self._name}-{self._started}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # a waiting thread must not keep the last result alive

    def _end(self, future: asyncio.Future[Any], outcome: Callable[[asyncio.Future[Any]], None]) -> None:
        self._open -= 1
        if not future.done():
            outcome(future)


def _outcome(function: Callable[[], T]) -> Callable[[asyncio.Future[T]], None]:
    """Call a function and return how to tell a future."""
    try:
        result = function()
    except (StopIteration, KeyboardInterrupt) as error:
        # No future can carry the one. The other would end the program; Ctrl-C comes to the main thread alone.
        wrong = RuntimeError(f"the function raised {type(error).__name__}: {error}".removesuffix(": "))
        wrong.__cause__ = error
        return lambda future: future.set_exception(wrong)
    except BaseException as error:  # the caller decides, also about SystemExit
        caught = error
        return lambda future: future.set_exception(caught)
    return lambda future: future.set_result(result)


def _skipped(future: asyncio.Future[Any]) -> None:
    future.cancel()
