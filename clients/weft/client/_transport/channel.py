"""The way to a server: a channel to one address, or over the mesh to all its instances."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, cast

import grpc.aio

from weft.client._transport.connections import Connections
from weft.client._transport.traced import TracedChannel
from weft.discovery.server_target import parse_server
from weft.mesh.rpc import CHANNEL_OPTIONS

if TYPE_CHECKING:
    from weft.client._transport.mesh import MeshClient
    from weft.discovery.target import Target

__all__ = ["Way", "parse_target"]

_OPTIONS: Final = (
    *CHANNEL_OPTIONS,
    # The library's own pauses between connection attempts grow to two minutes;
    # a retry within one answers from memory, though the server is long back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Else all channels to an address share one connection, and what runs on it.
    ("grpc.use_local_subchannel_pool", 1),
)

parse_target = parse_server


class Way:
    """How a client gets to its server; nothing is opened before the first call.

    Args:
        target: Where that is: see ``parse_server``.
        mesh: Looks targets up; by default one of its own, which knows no sources.

    Raises:
        ValidationError: The target is wrong.
    """

    def __init__(self, target: str, mesh: MeshClient | None = None) -> None:
        self._to = parse_server(target)
        self._mesh = mesh
        self._channel: grpc.aio.Channel | None = None
        self._close: Callable[[], Awaitable[None]] | None = None

    @property
    def target(self) -> str:
        """``host:port``, or the target."""
        return str(self._to)

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel for stubs."""
        if self._channel is None:
            self._channel = self._address(self._to) if isinstance(self._to, str) else self._over(self._to)
        return self._channel

    async def close(self) -> None:
        """End all calls, and whatever was opened for them."""
        if self._close is not None:
            await self._close()

    def _address(self, address: str) -> grpc.aio.Channel:
        connections = Connections(lambda: grpc.aio.insecure_channel(address, options=_OPTIONS))
        channel = TracedChannel(connections, address)
        self._close = channel.close
        return cast("grpc.aio.Channel", channel)  # all of it that stubs use

    def _over(self, target: Target) -> grpc.aio.Channel:
        mesh = self._mesh
        if mesh is None:
            from weft.client._transport.mesh import MeshClient  # noqa: PLC0415 - HTTP and DNS are slow to import

            mesh = MeshClient()
            self._close = mesh.close
        channel = mesh.bare_channel(target)
        self._close = self._close or channel.close
        return channel
