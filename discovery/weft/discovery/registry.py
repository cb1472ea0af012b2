"""The embedded registry of a Weft server as a source of endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Final

import grpc
import grpc.aio

from weft.api.registry.v1 import registry_pb2, registry_service_pb2_grpc
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.core.clock import Clock, SystemClock
from weft.core.errors import ValidationError
from weft.core.transport import CHANNEL_OPTIONS
from weft.discovery.backoff import Backoff
from weft.discovery.binding import look_further
from weft.discovery.endpoint import dial_target, is_host
from weft.discovery.known import KnownList
from weft.discovery.model import Endpoint, Health, Protocol, Snapshot
from weft.discovery.target import Target, parse_location

__all__ = ["RegistryStreamResolver"]

_OPTIONS: Final = (
    *CHANNEL_OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
)
"""A connection of its own, so that nobody's calls are in the way of its keepalive. The second of the
back-offs is no pause: it is how long one connection may take to be made, HTTP/2's greeting included."""

_MAX_PROBLEM: Final = 200
_LAST_PORT: Final = 65_535

_HEALTHS: Final = {
    registry_pb2.HEALTH_STATE_WARNING: Health.WARNING,
    registry_pb2.HEALTH_STATE_CRITICAL: Health.CRITICAL,
    registry_pb2.HEALTH_STATE_DRAINING: Health.DRAINING,
}


class RegistryStreamResolver:
    """Resolves by one stream per service, ``RegistryService.WatchInstances``.

    A stream that breaks is opened again after a pause; what the server does not
    name then is kept for a while, as it may have lost its memory. A service
    without an instance to call resolves to its own endpoint as well, when it has one;
    when that is a target, such as ``consul://orders``, the snapshot says so.

    Args:
        address: ``host:port`` of the server.
        clock: For pauses.
        settle: How long after a break missing instances are kept.
        backoff: Makes the pauses of one stream.
        dial: Opens the connection; by default one of its own to the address.
    """

    def __init__(
        self,
        address: str,
        *,
        clock: Clock | None = None,
        settle: timedelta = timedelta(seconds=10),
        backoff: Callable[[], Backoff] = Backoff,
        dial: Callable[[], grpc.aio.Channel] | None = None,
    ) -> None:
        self._address = address
        self._clock = clock or SystemClock()
        self._settle = settle
        self._backoff = backoff
        self._dial = dial or self._own_channel
        self._channel: grpc.aio.Channel | None = None
        self._watching = 0
        self._closed = False

    async def watch(self, service: str) -> AsyncIterator[Snapshot]:
        """Yield where a service is, now and after every change.

        All watches share one connection, which goes with the last of them.
        """
        self._watching += 1
        try:
            async with aclosing(self._follow(service)) as snapshots:
                async for snapshot in snapshots:
                    yield snapshot
        finally:
            self._watching -= 1
            if not self._watching:
                await self._disconnect()

    async def _follow(self, service: str) -> AsyncGenerator[Snapshot, None]:
        known = KnownList(service, self._clock, settle=self._settle)
        backoff = self._backoff()
        version, bound_to = 0, ""
        while not self._closed:
            stream = _Stream(self._stub(), service)
            problem = "the server ended the stream"
            try:
                while (answer := await stream.next(known.recheck_in)) is not None:
                    changed = _take(known, answer, version)
                    before = bound_to
                    if isinstance(answer, pb.WatchInstancesResponse):
                        version, bound_to = answer.version, _bound_to(answer)
                        backoff.reset()
                    if changed is not None or bound_to != before:
                        yield replace(known.snapshot, bound_to=bound_to)
            except grpc.aio.AioRpcError as error:
                problem = _problem(error)
            finally:
                await stream.close()
            if (failed := known.failed(f"registry {self._address}: {problem}")) is not None:
                yield replace(failed, bound_to=bound_to)
            await self._clock.sleep(backoff.pause())

    async def close(self) -> None:
        """Close the connection; every watch ends."""
        self._closed = True
        await self._disconnect()

    async def _disconnect(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    def _stub(self) -> Any:
        """Return the stub, whose generated types do not know ``grpc.aio``."""
        if self._channel is None:
            self._channel = self._dial()
        return registry_service_pb2_grpc.RegistryServiceStub(self._channel)

    def _own_channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(dial_target(self._address), options=_OPTIONS)


class _Later(Enum):
    """Nothing came until it was time to look again."""

    LOOK_AGAIN = auto()


class _Stream:
    """One stream of answers, read with a limit of time that does not end it."""

    def __init__(self, stub: Any, service: str) -> None:
        self._call: Any = stub.WatchInstances(pb.WatchInstancesRequest(service=service))
        self._read: asyncio.Task[pb.WatchInstancesResponse | None] | None = None

    async def next(self, seconds: float | None) -> pb.WatchInstancesResponse | _Later | None:
        """Return the next answer, ``LOOK_AGAIN`` when none came in time, or none at the end.

        Raises:
            grpc.aio.AioRpcError: The stream broke.
        """
        if self._read is None:
            self._read = asyncio.create_task(_read(self._call))
        done, _ = await asyncio.wait({self._read}, timeout=seconds)
        if not done:
            return _Later.LOOK_AGAIN
        read, self._read = self._read, None
        return read.result()

    async def close(self) -> None:
        """Cancel it, and wait until nothing of it runs."""
        self._call.cancel()
        if self._read is not None:
            self._read.cancel()
            await asyncio.gather(self._read, return_exceptions=True)
        self._call = self._read = None


async def _read(call: Any) -> pb.WatchInstancesResponse | None:
    """Return the next answer; none at the end.

    A cancelled read ends as well, without an error: an error's traceback would
    hold the call, and gRPC keeps the connection for as long as anybody does.
    """
    try:
        answer = await call.read()
    except asyncio.CancelledError:
        return None
    return None if answer is grpc.aio.EOF else answer


def _take(known: KnownList, answer: pb.WatchInstancesResponse | _Later, version: int) -> Snapshot | None:
    """Take one answer in; a version that went backwards is of a server that began anew."""
    if isinstance(answer, _Later):
        return known.recheck()
    return known.answered(_endpoints(answer), reset=answer.version < version)


def _endpoints(answer: pb.WatchInstancesResponse) -> tuple[Endpoint, ...]:
    """Read the instances; and when none can be called, the service's own address, if it has one."""
    return look_further(_instances(answer), _location(answer))[0]


def _bound_to(answer: pb.WatchInstancesResponse) -> str:
    """Return the target under which to look for a service that has no instance to call here."""
    return look_further(_instances(answer), _location(answer))[1]


def _instances(answer: pb.WatchInstancesResponse) -> tuple[Endpoint, ...]:
    return tuple(_endpoint(it) for it in answer.instances if 1 <= it.port <= _LAST_PORT and is_host(it.host))


def _location(answer: pb.WatchInstancesResponse) -> Endpoint | Target | None:
    try:
        return parse_location(answer.endpoint) if answer.endpoint else None
    except ValidationError:  # of a newer server
        return None


def _endpoint(instance: registry_pb2.Instance) -> Endpoint:
    http = instance.protocol == registry_pb2.PROTOCOL_HTTP
    return Endpoint(
        instance_id=instance.id,
        host=instance.host,
        port=instance.port,
        protocol=Protocol.HTTP if http else Protocol.GRPC,
        path=instance.metadata.get("path", "").rstrip("/") if http else "",
        weight=instance.weight,
        tags=tuple(instance.tags),
        metadata=dict(instance.metadata),
        version=instance.version,
        zone=instance.zone,
        health=_HEALTHS.get(instance.health, Health.PASSING),
    )


def _problem(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name}: {error.details() or 'no details'}"[:_MAX_PROBLEM]
