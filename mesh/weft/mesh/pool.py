"""One channel per address, dialled when first needed and closed when idle."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import grpc
import grpc.aio

from weft.core.clock import Clock
from weft.mesh.actions import UnreachableError
from weft.mesh.rpc import CHANNEL_OPTIONS

__all__ = ["ChannelPool"]

_OPTIONS = (
    *CHANNEL_OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
)
"""Channels share nothing, not even what the library remembers of an address that could not be connected."""


@dataclass(slots=True)
class _Entry:
    channel: grpc.aio.Channel
    in_flight: int
    last_used: float
    failed: bool = False


class ChannelPool:
    """Shares connections between calls.

    Args:
        clock: For idleness.
        connect_timeout: How long one connection may take to be made.
        idle_timeout: After how long without a call a connection is closed.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        connect_timeout: timedelta = timedelta(seconds=5),
        idle_timeout: timedelta = timedelta(minutes=5),
    ) -> None:
        self._clock = clock
        self._connect_timeout = connect_timeout.total_seconds()
        self._idle_timeout = idle_timeout.total_seconds()
        self._entries: dict[str, _Entry] = {}
        self._next_sweep = clock.monotonic() + self._idle_timeout

    @asynccontextmanager
    async def channel(self, address: str, service: str, timeout: float) -> AsyncIterator[grpc.aio.Channel]:
        """Lend the connected channel to an address.

        Raises:
            UnreachableError: It could not be connected in time.
        """
        await self._sweep()
        entry = self._entries.get(address)
        if entry is None:
            channel = grpc.aio.insecure_channel(_target(address), options=_OPTIONS)
            entry = self._entries[address] = _Entry(channel, 0, self._clock.monotonic())
        entry.in_flight += 1
        try:
            await self._connect_or_drop(entry, address, service, min(timeout, self._connect_timeout))
            yield entry.channel
        finally:
            entry.in_flight -= 1
            entry.last_used = self._clock.monotonic()
            if entry.failed and entry.in_flight == 0:
                await entry.channel.close()

    async def _connect_or_drop(self, entry: _Entry, address: str, service: str, timeout: float) -> None:
        """Connect; a channel that cannot is not kept, so that the next call dials anew.

        Its back-off would go on failing calls for seconds after the instance is back.
        """
        try:
            await self._connect(entry.channel, address, service, timeout)
        except UnreachableError:
            entry.failed = True
            if self._entries.get(address) is entry:
                del self._entries[address]
            raise

    async def _connect(self, channel: grpc.aio.Channel, address: str, service: str, timeout: float) -> None:
        state = channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.READY:
            return
        try:
            async with asyncio.timeout(timeout):
                while state is not grpc.ChannelConnectivity.READY:
                    if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                        raise UnreachableError(service, f"no connection to {service} at {address}")
                    await channel.wait_for_state_change(state)
                    state = channel.get_state(try_to_connect=True)
        except TimeoutError:
            raise UnreachableError(
                service, f"no connection to {service} at {address} within {timeout:.1f} s"
            ) from None

    async def _sweep(self) -> None:
        """Close what was idle for long; looks at most once per idle time."""
        now = self._clock.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + self._idle_timeout
        idle = [
            address
            for address, entry in self._entries.items()
            if entry.in_flight == 0 and now - entry.last_used >= self._idle_timeout
        ]
        for address in idle:
            await self._entries.pop(address).channel.close()

    async def close(self) -> None:
        """Close every channel; calls in flight are cancelled."""
        entries, self._entries = self._entries, {}
        for entry in entries.values():
            await entry.channel.close()


def _target(address: str) -> str:
    """Say how to dial, so that no registered name can choose another scheme, such as a Unix socket."""
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return f"ipv{ipaddress.ip_address(host).version}:{address}"
    except ValueError:
        return f"dns:///{address}"
