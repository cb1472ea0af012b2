"""Notices that a lost connection to the registry is there again."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from grpc import ChannelConnectivity

from weft.core.clock import Clock
from weft.mesh.policies.retry import RandomSource

__all__ = ["Connection", "Return"]

_SPREAD: Final = 0.3
"""Seconds over which the hosts that saw the same connection come back speak up."""


class Connection(Protocol):
    """What a ``grpc.aio.Channel`` tells of its connection."""

    def get_state(self, try_to_connect: bool = False) -> ChannelConnectivity:  # noqa: FBT001, FBT002 - grpc's
        """Return how it is now."""
        ...

    async def wait_for_state_change(self, last_observed_state: ChannelConnectivity) -> None:
        """Wait until it is another way."""
        ...


class Return:
    """Says when a registry is back that was away: it is told at once, not with the next heartbeat.

    Attributes:
        seen: Set when the registry is back and has heard nothing since.

    Args:
        channel: The connection to the registry.
        clock: For the time until hosts speak up.
        chance: Spreads them, so that a restarted registry does not hear all of them at once.
    """

    def __init__(self, channel: Connection, clock: Clock, chance: RandomSource) -> None:
        self.seen = asyncio.Event()
        self._channel = channel
        self._clock = clock
        self._chance = chance
        self._lost = False

    def told(self) -> None:
        """Take note that the registry has just answered."""
        self._lost = False
        self.seen.clear()

    async def watch(self) -> None:
        """Watch the connection until it is closed, and make it anew when it is lost."""
        state = self._channel.get_state()
        while state is not ChannelConnectivity.SHUTDOWN:
            if state is ChannelConnectivity.READY:
                await self._speak_up()
            else:
                self._lost = True
                self._channel.get_state(try_to_connect=True)
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state()

    async def _speak_up(self) -> None:
        if self._lost:
            await self._clock.sleep(self._chance.uniform(0, _SPREAD))
            if self._lost:
                self.seen.set()
