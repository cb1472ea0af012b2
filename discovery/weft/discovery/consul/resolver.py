"""Where a service is, by Consul."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

from weft.core.clock import Clock, SystemClock
from weft.core.errors import WeftError
from weft.discovery.backoff import Backoff
from weft.discovery.consul._entries import Reader
from weft.discovery.consul.client import Answer, ConsulClient
from weft.discovery.known import KnownList
from weft.discovery.model import Endpoint, Snapshot

__all__ = ["ConsulResolver"]

_log = logging.getLogger("weft.discovery.consul")

_LAST_PAUSE = timedelta(seconds=3)
_LEAST = 0.25
_FAST = 1.0
"""An answer that comes sooner than this is no wait that ended by itself."""


class ConsulResolver:
    """Follows services with blocking queries.

    It reads every instance, also those that must not be called, so that an error
    can say what is known. Each datacenter has a list of its own: one that fails
    keeps its part, and the others go on.

    Args:
        client: How Consul is reached; stays open.
        datacenters: Where to look; empty for the configured datacenter.
        clock: For pauses.
    """

    def __init__(
        self, client: ConsulClient, *, datacenters: Sequence[str] = (), clock: Clock | None = None
    ) -> None:
        self._client = client
        self._datacenters = tuple(dict.fromkeys(datacenters)) or ("",)
        self._clock = clock or SystemClock()

    def within(self, datacenters: Sequence[str]) -> ConsulResolver:
        """Return a resolver that looks in these datacenters, over the same client."""
        return ConsulResolver(self._client, datacenters=datacenters, clock=self._clock)

    async def watch(self, service: str) -> AsyncIterator[Snapshot]:
        """Yield the set now, and after every change."""
        changed = asyncio.Event()
        parts = [
            _Part(self._client, service, datacenter, self._clock, changed) for datacenter in self._datacenters
        ]
        tasks = [asyncio.create_task(part.follow(), name=f"consul {service}") for part in parts]
        merged = Snapshot(service=service, endpoints=())
        try:
            while True:
                await changed.wait()
                changed.clear()
                if (newer := _merge(merged, parts)) is not None:
                    merged = newer
                    yield merged
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _merge(before: Snapshot, parts: Sequence[_Part]) -> Snapshot | None:
    """Put the lists together; none when that is nothing new."""
    silent = [part for part in parts if not part.snapshot.version]
    endpoints = tuple(endpoint for part in parts for endpoint in part.snapshot.endpoints)
    if silent and not endpoints and not before.version:
        return None
    problem = "; ".join(part.problem for part in parts if part.problem)
    if before.version and (endpoints, problem) == (before.endpoints, before.problem):
        return None
    return Snapshot(
        service=before.service,
        endpoints=endpoints,
        version=before.version + 1,
        stale=bool(problem),
        problem=problem,
    )


class _Part:
    """One service in one datacenter."""

    def __init__(
        self, client: ConsulClient, service: str, datacenter: str, clock: Clock, changed: asyncio.Event
    ) -> None:
        self._client = client
        self._service = service
        self._datacenter = datacenter
        self._clock = clock
        self._changed = changed
        self._known = KnownList(service, clock)
        where = f" in {datacenter}" if datacenter else ""
        self._reader = Reader(client.name(service) + where)
        self._backoff = Backoff(last=_LAST_PAUSE)
        self._idle = Backoff(first=timedelta(milliseconds=50), last=timedelta(seconds=1))
        self._index = 0
        self._recheck: asyncio.Task[None] | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The list of this datacenter."""
        return self._known.snapshot

    @property
    def problem(self) -> str:
        """Why the list may be wrong, with the datacenter's name."""
        problem = self.snapshot.problem if self.snapshot.version else "no answer yet"
        return f"{self._datacenter}: {problem}" if problem and self._datacenter else problem

    async def follow(self) -> None:
        """Ask for ever."""
        self._client.turns.enter()
        try:
            while True:
                await self._clock.sleep(await self._ask())
        finally:
            self._client.turns.leave()
            if self._recheck is not None:
                self._recheck.cancel()

    async def _ask(self) -> float:
        """Ask once; return the seconds to pause."""
        began = self._clock.monotonic()
        try:
            answer = await self._answer()
            if answer is None:
                return 0.0
            endpoints = self._reader.read(answer.entries)
        except WeftError as error:
            return self._failed(str(error))
        except Exception as error:  # nothing may end a watch
            _log.exception("a look-up in Consul failed")
            return self._failed(f"an unexpected fault: {error}")
        if not self._index:
            self._take(answer.index, endpoints)
            return 0.0
        self._backoff.reset()
        reset = answer.index < self._index
        changed = self._take(answer.index, endpoints, reset=reset)
        # A return is no proof of change: a busy index, or an agent that does not wait, must not spin us.
        if (reset or not changed) and self._clock.monotonic() - began < _FAST:
            return self._idle.pause()
        self._idle.reset()
        return 0.0

    async def _answer(self) -> Answer | None:
        if self._index:
            return await self._client.wait(self._service, self._index, datacenter=self._datacenter)
        return await self._client.look_up(self._service, datacenter=self._datacenter)

    def _take(self, index: int, endpoints: Sequence[Endpoint], *, reset: bool = False) -> bool:
        """Take an answer; tell whether it changed the list.

        Args:
            index: Where the next query goes on from.
            endpoints: What the answer names.
            reset: Whether Consul's history began anew, so that nothing is known of removals.
        """
        self._index = 0 if reset else index
        changed = self._known.answered(self._credible(endpoints), reset=reset) is not None
        if changed:
            self._changed.set()
        if self._known.recheck_in is not None and (self._recheck is None or self._recheck.done()):
            self._recheck = asyncio.create_task(self._settle(), name=f"settle {self._service}")
        return changed

    def _credible(self, endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
        """Keep the health of instances of which Consul knows none.

        An agent that starts again calls every check critical, without an output,
        until it was heard of or has run; often the catalogue says so only seconds
        after its first answers. It ends by itself: a time to live that passes
        leaves an output.
        """
        unheard = self._reader.unheard
        if not unheard:
            return endpoints
        before = {each.key: each.health for each in self.snapshot.endpoints}
        return [
            replace(each, health=before.get(each.key, each.health)) if each.key in unheard else each
            for each in endpoints
        ]

    def _failed(self, problem: str) -> float:
        # What is read next is read anew: a wiped Consul counts from the beginning.
        self._index = 0
        if self._known.failed(problem) is not None:
            self._changed.set()
        return self._backoff.pause()

    async def _settle(self) -> None:
        """Look again when doubts end."""
        while (seconds := self._known.recheck_in) is not None:
            # A source that failed again meanwhile leaves nothing to decide until it answers.
            await self._clock.sleep(max(seconds, _LEAST))
            if self._known.recheck() is not None:
                self._changed.set()
