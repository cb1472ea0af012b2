"""One service followed for everybody who calls it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import replace

from weft.core.clock import Clock, SystemClock
from weft.discovery._outages import OUTAGES
from weft.discovery.backoff import Backoff
from weft.discovery.base import Resolver
from weft.discovery.known import KnownList
from weft.discovery.model import Snapshot

__all__ = ["Listener", "Watch"]

_log = logging.getLogger("weft.discovery")

Listener = Callable[[Snapshot], None]
"""Is told every snapshot, in the event loop; must not wait."""


class Watch:
    """The newest snapshot of one service, kept up to date by one task.

    It follows the source for good. One that raises is asked again, and what it
    said last still holds, marked stale. Make it where an event loop runs.

    Args:
        resolver: The source.
        service: Name of the service, as the source knows it.
        clock: For pauses.
        backoff: How long to wait before a source that raised is asked again.
    """

    def __init__(
        self,
        resolver: Resolver,
        service: str,
        *,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._resolver = resolver
        self._service = service
        self._clock = clock or SystemClock()
        self._backoff = backoff or Backoff()
        self._known = KnownList(service, self._clock)
        self._problem = ""
        """What the source itself says is wrong with its list."""
        self._bound_to = ""
        self._snapshot = self._known.snapshot
        self._listeners: dict[object, Listener] = {}
        self._changed = asyncio.Event()
        self._rechecking: asyncio.Task[None] | None = None
        # It outlives the call that it was begun for: it has neither its deadline nor its ids.
        self._task = asyncio.create_task(self._follow(), name=f"watch {service}", context=Context())

    @property
    def snapshot(self) -> Snapshot:
        """The newest one; before the source said anything it is empty and its version is 0."""
        return self._snapshot

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell a listener the newest snapshot, at once, and every one that follows.

        Returns:
            What ends that; more than once does no harm.
        """
        key = object()
        self._listeners[key] = listener
        self._tell(listener)

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    async def moment(self, seconds: float) -> None:
        """Wait for the next change, but not longer than that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._changed.wait()

    async def close(self) -> None:
        """Stop following; the newest snapshot stays."""
        tasks = [task for task in (self._task, self._rechecking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        OUTAGES.forget(self)

    async def _follow(self) -> None:
        while True:
            started = self._clock.monotonic()
            try:
                async for snapshot in self._resolver.watch(self._service):
                    self._answered(snapshot)
                problem = "the source ended"
            except Exception as error:  # whatever a source raises must not end the watch
                problem = str(error) or type(error).__name__
            if self._clock.monotonic() - started > self._backoff.last:
                self._backoff.reset()
            self._known.failed(problem)
            self._publish()
            await self._clock.sleep(self._backoff.pause())

    def _answered(self, snapshot: Snapshot) -> None:
        """Take a list of the source, which has its own word on whether it is stale."""
        self._problem = snapshot.problem if snapshot.stale else ""
        self._bound_to = snapshot.bound_to
        self._known.answered(snapshot.endpoints)
        self._publish()
        if self._known.recheck_in is not None and (self._rechecking is None or self._rechecking.done()):
            self._rechecking = asyncio.create_task(self._recheck(), name=f"recheck {self._service}")

    async def _recheck(self) -> None:
        """Look again when doubts about omissions end."""
        while (seconds := self._known.recheck_in) is not None:
            await self._clock.sleep(seconds)
            self._known.recheck()
            self._publish()

    def _publish(self) -> None:
        before = self._snapshot
        problem = self._known.snapshot.problem or self._problem
        newest = replace(
            self._known.snapshot,
            version=before.version,
            stale=bool(problem),
            problem=problem,
            bound_to=self._bound_to,
        )
        if newest == before and before.version:
            return
        self._snapshot = replace(newest, version=before.version + 1)
        self._log_outage(before)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for listener in list(self._listeners.values()):
            self._tell(listener)

    def _log_outage(self, before: Snapshot) -> None:
        """Say once that the list is stale, and once that it is not any more."""
        now = self._snapshot
        if now.stale and not before.stale:
            OUTAGES.begin(self, now)
        elif before.stale and not now.stale:
            OUTAGES.end(self, now)

    def _tell(self, listener: Listener) -> None:
        try:
            listener(self._snapshot)
        except Exception:  # one listener's fault is not the others'
            _log.exception("a listener failed on the list of %s", self._service)
