"""One service in one datacenter, followed with blocking queries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import WeftError
from weft.discovery.backoff import Backoff
from weft.discovery.consul._entries import Reader
from weft.discovery.consul.client import Answer, ConsulClient
from weft.discovery.known import KnownList
from weft.discovery.model import Endpoint, Health, Snapshot

__all__ = ["Part"]

_log = logging.getLogger("weft.discovery.consul")

_LAST_PAUSE: Final = timedelta(seconds=3)
_FAST: Final = 1.0
"""An answer that comes sooner than this is no wait that ended by itself."""
_SPACE: Final = 0.05
"""Seconds between changes that come without end, as of an agent that lies."""
_SETTLE: Final = 10.0
"""Seconds that instances have to report, once Consul is back."""
_UNHEARD: Final = "Consul was away, and has not heard of every instance since"


class Part:
    """Follows one service in one datacenter.

    Args:
        client: How Consul is reached.
        service: Name of the service.
        datacenter: Where to look; empty for the configured one.
        clock: For pauses.
        changed: Set after every change.
    """

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
        self._said: Sequence[Endpoint] = ()
        self._hurried = False
        """Whether the last change came at once."""
        self._failing = False
        self._back_since: float | None = None
        """When Consul answered again after a failure, or lost its data."""
        self._spared = False
        """Whether an instance keeps its health against Consul's word."""
        self._settling: asyncio.Task[None] | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The list of this datacenter."""
        return self._known.snapshot

    @property
    def problem(self) -> str:
        """Why the list may be wrong, with the datacenter's name."""
        problem = self.snapshot.problem if self.snapshot.version else "no answer yet"
        problem = problem or (_UNHEARD if self._spared else "")
        return f"{self._datacenter}: {problem}" if problem and self._datacenter else problem

    async def follow(self) -> None:
        """Ask for ever."""
        self._client.turns.enter()
        try:
            while True:
                await self._clock.sleep(await self._ask())
                if self._failing:
                    await self._client.pace.repeat(self._clock)
        finally:
            self._client.turns.leave()
            if self._settling is not None:
                self._settling.cancel()

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
        took = self._clock.monotonic() - began
        if (reset or not changed) and took < _FAST:
            return self._idle.pause()
        self._idle.reset()
        return self._space(took)

    def _space(self, took: float) -> float:
        """Return the pause after a change: changes that come one upon the other are read together."""
        hurried, self._hurried = self._hurried, took < _SPACE
        return _SPACE if hurried and self._hurried else 0.0

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
        if self._failing or reset:
            self._back_since = self._clock.monotonic()
        self._failing = False
        self._index = 0 if reset else index
        self._said = endpoints
        changed = self._believe(reset=reset)
        if self._unsettled() is not None and (self._settling is None or self._settling.done()):
            self._settling = asyncio.create_task(self._settle(), name=f"settle {self._service}")
        return changed

    def _failed(self, problem: str) -> float:
        # What is read next is read anew: a wiped Consul counts from the beginning.
        self._index = 0
        self._failing = True
        if self._known.failed(problem) is not None:
            self._changed.set()
        return self._backoff.pause()

    def _believe(self, *, reset: bool = False) -> bool:
        """Take what was said last, as far as it is credible."""
        spared = self._spared
        changed = self._known.answered(self._credible(), reset=reset) is not None
        if changed or spared is not self._spared:
            self._changed.set()
        return changed

    def _credible(self) -> Sequence[Endpoint]:
        """Keep the health of instances that could not report while Consul was away.

        An agent that was down for longer than a time to live starts with every TTL
        check critical, until it hears of the instance; and a server tells what was
        so before the outage first, and of these checks later. So for some time
        silence is not taken for death. What an instance reports itself is believed.
        """
        self._spared = False
        if self._trust_in() is None or not self._reader.unheard:
            return self._said
        before = {e.key: e for e in self.snapshot.endpoints if e.health is not Health.CRITICAL}
        spared = {key: before[key].health for key in self._reader.unheard & before.keys()}
        self._spared = bool(spared)
        return [replace(e, health=spared[e.key]) if e.key in spared else e for e in self._said]

    def _trust_in(self) -> float | None:
        """Return the seconds until silence is taken for death again; none when it is now."""
        if self._back_since is None:
            return None
        left = self._back_since + _SETTLE - self._clock.monotonic()
        return left if left > 0 else None

    def _unsettled(self) -> float | None:
        """Return the seconds until something is decided; none when nothing is left to decide."""
        if self._failing:
            return None
        due = [self._known.recheck_in, (self._trust_in() or 0.0) if self._spared else None]
        return min((seconds for seconds in due if seconds is not None), default=None)

    async def _settle(self) -> None:
        """Decide when doubts end."""
        while (seconds := self._unsettled()) is not None:
            await self._clock.sleep(seconds)
            if self._failing:
                return
            if self._known.recheck() is not None:
                self._changed.set()
            if self._spared and self._trust_in() is None:
                self._believe()
