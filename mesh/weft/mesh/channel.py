"""A channel to a service: wherever its instances are, generated stubs work on it unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import grpc
import grpc.aio

from weft.mesh._calls.method import Method, Shape
from weft.mesh._calls.multicallables import (
    StreamStreamMethod,
    StreamUnaryMethod,
    UnaryStreamMethod,
    UnaryUnaryMethod,
)
from weft.mesh._calls.origin import Origin
from weft.mesh._calls.placing import Placing, Tried

__all__ = ["MeshChannel"]

_Serializer = Callable[[Any], bytes] | None
_Deserializer = Callable[[bytes], Any] | None

_STATES: Final = (
    grpc.ChannelConnectivity.READY,
    grpc.ChannelConnectivity.CONNECTING,
    grpc.ChannelConnectivity.IDLE,
    grpc.ChannelConnectivity.TRANSIENT_FAILURE,
)
"""The state of a channel is the best one among its instances."""

_LOOK_SECONDS: Final = 0.05
_CONNECT_SECONDS: Final = 10.0
"""How long ``get_state`` goes on trying to connect."""


class MeshChannel(grpc.aio.Channel):
    """A ``grpc.aio.Channel`` to every instance of a service. ``Mesh.channel`` makes it.

    Each call goes to an instance that the balancer picks. What is different from a
    plain channel, and what is retried, is told in ``docs/mesh.md``.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._connecting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Take no new calls, and cancel those that run.

        Connections belong to the mesh, and stay.

        Args:
            grace: Seconds that running calls get to end by themselves.
        """
        origin = self._origin
        if origin.closed:
            return
        if grace and grace < 0:
            raise ValueError(f"grace must be non-negative, got {grace}.")
        origin.refuse()
        if grace and origin.active:
            ends = [asyncio.ensure_future(call.code()) for call in origin.active]
            await asyncio.wait(ends, timeout=grace)
            for end in ends:
                end.cancel()
        origin.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - grpc's
        """Return the best state among the connections to instances.

        Args:
            try_to_connect: Connect to one instance, when none is connected.
        """
        if self._origin.closed:
            return grpc.ChannelConnectivity.SHUTDOWN
        route = self._origin.route()
        pool = self._origin.pool
        states = {pool.state(endpoint) for endpoint in route.snapshot.callable()}
        best = next((state for state in _STATES if state in states), grpc.ChannelConnectivity.IDLE)
        connecting = self._connecting is not None and not self._connecting.done()
        if try_to_connect and not connecting and best is not grpc.ChannelConnectivity.READY:
            self._connecting = self._origin.wait(self._connect_one(_CONNECT_SECONDS))
            connecting = True
        if connecting and best is grpc.ChannelConnectivity.IDLE:
            return grpc.ChannelConnectivity.CONNECTING
        return best

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the state is another one."""
        while self.get_state() is last_observed_state:  # noqa: ASYNC110 - many connections, no single event
            await asyncio.sleep(_LOOK_SECONDS)

    async def channel_ready(self) -> None:
        """Wait until an instance is connected.

        Raises:
            UsageError: The channel is closed.
        """
        self._origin.route()
        connecting = self._origin.wait(self._connect_one(None))
        try:
            await asyncio.wait((connecting,))
        finally:
            connecting.cancel()
        if connecting.cancelled():
            raise grpc.aio.UsageError("Channel is closed.")
        connecting.result()

    def unary_unary(
        self,
        method: str,
        request_serializer: _Serializer = None,
        response_deserializer: _Deserializer = None,
        _registered_method: bool | None = False,  # noqa: FBT001, FBT002 - generated stubs say so
    ) -> UnaryUnaryMethod:
        """Return a method with one request and one response."""
        made = (method, Shape.UNARY_UNARY, request_serializer, response_deserializer, _registered_method)
        return UnaryUnaryMethod(self._origin, Method(*made, self._origin.options))

    def unary_stream(
        self,
        method: str,
        request_serializer: _Serializer = None,
        response_deserializer: _Deserializer = None,
        _registered_method: bool | None = False,  # noqa: FBT001, FBT002 - generated stubs say so
    ) -> UnaryStreamMethod:
        """Return a method with one request and a stream of responses."""
        made = (method, Shape.UNARY_STREAM, request_serializer, response_deserializer, _registered_method)
        return UnaryStreamMethod(self._origin, Method(*made, self._origin.options))

    def stream_unary(
        self,
        method: str,
        request_serializer: _Serializer = None,
        response_deserializer: _Deserializer = None,
        _registered_method: bool | None = False,  # noqa: FBT001, FBT002 - generated stubs say so
    ) -> StreamUnaryMethod:
        """Return a method with a stream of requests and one response."""
        made = (method, Shape.STREAM_UNARY, request_serializer, response_deserializer, _registered_method)
        return StreamUnaryMethod(self._origin, Method(*made, self._origin.options))

    def stream_stream(
        self,
        method: str,
        request_serializer: _Serializer = None,
        response_deserializer: _Deserializer = None,
        _registered_method: bool | None = False,  # noqa: FBT001, FBT002 - generated stubs say so
    ) -> StreamStreamMethod:
        """Return a method with a stream of requests and a stream of responses."""
        made = (method, Shape.STREAM_STREAM, request_serializer, response_deserializer, _registered_method)
        return StreamStreamMethod(self._origin, Method(*made, self._origin.options))

    async def _connect_one(self, seconds: float | None) -> None:
        """Connect to one instance, and wait for one to come where there is none."""
        origin = self._origin
        route = origin.route()
        placing = Placing(origin, route, "", None, Tried(), waits=True)
        route.running += 1
        try:
            async with asyncio.timeout(seconds):
                node, connection = await placing.connected(None)
            route.done(node, None, 0.0)
            origin.pool.give_back(connection)
        except TimeoutError:
            if seconds is None:
                raise
        finally:
            route.running -= 1
