"""Which connection has a stream: opened when first needed, and not asked for where there is none."""

from __future__ import annotations

import asyncio
from typing import Final
from weakref import WeakKeyDictionary

import grpc

from weft.mesh.dispatch.limits import DispatchConfig
from weft.mesh.dispatch.stream import EngineStream
from weft.mesh.pool import Connection

__all__ = ["Streams"]

_LOST: Final = frozenset({grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
"""How a stream ends when it is not its own fault."""


class _Lane:
    """What is known of one connection."""

    __slots__ = ("made", "next_try", "stream")

    def __init__(self) -> None:
        self.stream: EngineStream | None = None
        self.made = 0
        self.next_try = 0.0


class Streams:
    """The streams of all connections.

    Whether an instance streams is found out by asking it: what a registry said
    of it could be of the process that had its address before.

    Args:
        config: Patience and bounds.
    """

    def __init__(self, config: DispatchConfig) -> None:
        self._config = config
        self._lanes: WeakKeyDictionary[Connection, _Lane] = WeakKeyDictionary()
        self._live: set[EngineStream] = set()

    def ready(self, connection: Connection) -> EngineStream | None:
        """Return the stream of a connection, if there is one that takes calls, or says where they go."""
        lane = self._lanes.get(connection)
        if lane is None or lane.stream is None:
            return None
        return lane.stream if lane.stream.usable or lane.stream.draining else None

    async def open(self, connection: Connection, address: str, patience: float) -> EngineStream | None:
        """Open a stream, or wait for one that is being opened; None when the call is better made without.

        Args:
            connection: To the instance.
            address: Of the instance.
            patience: Seconds to wait at most.
        """
        lane = self._lanes.get(connection)
        if lane is None:
            lane = self._lanes[connection] = _Lane()
        stream = lane.stream
        if stream is None or stream.opened.done():
            asked = lane.made == connection.made
            if asked and asyncio.get_running_loop().time() < lane.next_try:
                return None
            stream = lane.stream = self._start(connection, address, lane)
        limit = min(patience, self._config.opening_patience.total_seconds())
        await asyncio.wait((stream.opened,), timeout=limit)
        return stream if stream.usable else None

    async def close(self) -> None:
        """End every stream at once."""
        await asyncio.gather(*(stream.close() for stream in list(self._live)))

    def _start(self, connection: Connection, address: str, lane: _Lane) -> EngineStream:
        def ended(stream: EngineStream) -> None:
            self._live.discard(stream)
            if lane.stream is stream:
                lane.stream = None
            lane.next_try = self._next_try(stream)

        # What is learnt holds for the process that this connection leads to, and for no later one.
        lane.made = connection.made
        stream = EngineStream(connection.channel, address, self._config, ended)
        self._live.add(stream)
        return stream

    def _next_try(self, stream: EngineStream) -> float:
        """Return when to ask again; a new connection is asked at once."""
        now = asyncio.get_running_loop().time()
        if stream.code not in _LOST:
            return now + self._config.retry_unsupported.total_seconds()
        greeted = stream.opened.result()
        return now if greeted else now + self._config.retry_broken.total_seconds()
