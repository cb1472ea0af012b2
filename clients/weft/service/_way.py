"""The way to the registry: a channel to one address, or over the mesh to any of several servers."""

from __future__ import annotations

from typing import Final

import grpc.aio

from weft.discovery.resolvers import Resolvers, SourcesConfig
from weft.discovery.server_target import parse_server
from weft.mesh.call_options import CallOptions, RetryMethods
from weft.mesh.mesh import Mesh, MeshConfig
from weft.mesh.rpc import CHANNEL_OPTIONS
from weft.service._config import HostConfig

__all__ = ["RegistryWay"]

_OPTIONS: Final = (
    *CHANNEL_OPTIONS,
    # Ours is the back-off: the channel's own would grow to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 500),
)

_MESH: Final = MeshConfig(calls=CallOptions(retry_methods=RetryMethods.NONE))
"""Whoever registers tries again by itself."""


class RegistryWay:
    """Opens the channel to the registry.

    Args:
        server: ``host:port``, or a target.
        config: Says how Consul is reached.
    """

    def __init__(self, server: str, config: HostConfig) -> None:
        self._mesh: Mesh | None = None
        found = parse_server(server, "server")
        if isinstance(found, str):
            self.channel: grpc.aio.Channel = grpc.aio.insecure_channel(found, options=_OPTIONS)
        else:
            self._mesh = Mesh(Resolvers(SourcesConfig(consul=config.consul), clock=config.clock), _MESH)
            self.channel = self._mesh.channel(found)

    async def close(self) -> None:
        """Hang up."""
        await self.channel.close()
        if self._mesh is not None:
            await self._mesh.close()
