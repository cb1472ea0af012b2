"""Calls methods of gRPC services by name, with objects for messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableSet
from contextlib import aclosing
from datetime import timedelta
from typing import Final

import grpc
import grpc.aio

from weft.core.clock import Clock, SystemClock
from weft.core.errors import (
    AlreadyExistsError,
    ConflictError,
    DeadlineExceededError,
    ExhaustedError,
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
    WeftError,
)
from weft.core.metadata import STATUS_DETAILS
from weft.core.payload import JsonObject
from weft.core.reasons import Reason
from weft.mesh.dynamic._cache import DescriptorCache, Known
from weft.mesh.dynamic._rpc import Metadata, Request, Rpc
from weft.mesh.dynamic.descriptors import Method, ServiceDescriptors
from weft.mesh.dynamic.metadata import metadata_pairs
from weft.mesh.dynamic.reflection import ReflectionLimits, read_descriptors
from weft.mesh.grpc_failures import gives_reason, is_too_large
from weft.mesh.rpc import error_from_rpc

__all__ = ["MethodCaller", "Request"]

_MOST_CHANNELS: Final = 1_000
"""Services that a channel is kept for; those called longest ago are looked up anew."""


class MethodCaller:
    """Calls any gRPC service by the names of its methods.

    What the methods are is read from one of the service's instances by
    reflection, once, and again when a method is not known, when the service
    answers that it does not have it, or after the time to live. Or it is given.

    Args:
        channels: Returns the channel to a service, by what callers call it: a name
            or a target. ``Mesh.channel`` is one.
        clock: For the age of descriptors.
        ttl: How long descriptors that were read are used.
        limits: What reading them may take.
        registered: Returns the serialized FileDescriptorSet that a service was registered with,
            which is taken instead of reading; empty where there is none.
        idempotent: Is given the full name of each called method that may run twice. Shared with the
            ``CallOptions`` of the channels, it lets them call such a method again.
    """

    def __init__(
        self,
        channels: Callable[[str], grpc.aio.Channel],
        *,
        clock: Clock | None = None,
        ttl: timedelta = timedelta(minutes=10),
        limits: ReflectionLimits | None = None,
        registered: Callable[[str], Awaitable[bytes]] | None = None,
        idempotent: MutableSet[str] | None = None,
    ) -> None:
        self._make_channel = channels
        self._idempotent: MutableSet[str] = set() if idempotent is None else idempotent
        self._registered = registered
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._limits = limits or ReflectionLimits()
        self._cache = DescriptorCache(self._read, clock or SystemClock(), ttl)

    def use_descriptors(self, service: str, descriptors: ServiceDescriptors | bytes) -> None:
        """Give the descriptors of a service that does not serve reflection.

        Args:
            service: As it is named in calls.
            descriptors: They, or a serialized google.protobuf.FileDescriptorSet.

        Raises:
            ValidationError: DESCRIPTORS_INVALID.
        """
        if isinstance(descriptors, bytes):
            descriptors = ServiceDescriptors.from_set(descriptors)
        self._cache.use(service, descriptors)

    def forget(self, service: str) -> None:
        """Read the descriptors of a service anew when it is called next; given ones stay."""
        self._cache.forget(service)

    async def describe(self, service: str) -> ServiceDescriptors:
        """Return what a service can be asked.

        Raises:
            PreconditionError: DESCRIPTORS_UNAVAILABLE.
        """
        return (await self._cache.get(service)).descriptors

    async def call_service(
        self,
        service: str,
        method: str,
        request: Request = None,
        *,
        timeout: timedelta | None = None,
        metadata: Mapping[str, str | bytes] | Metadata = (),
    ) -> JsonObject:
        """Call a method that answers once.

        Args:
            service: Name or target of the service, such as ``consul://carts``.
            method: ``shop.v1.Carts/GetCart``, or just ``GetCart`` where that is one.
            request: An object; where the method takes a stream of requests, a list
                or an iterator of objects, asynchronous or not.
            timeout: What it may take in all; by default what the channel allows.
            metadata: Sent along; a key that ends in ``-bin`` has bytes.

        Returns:
            The response by the rules of ProtoJSON, with the fields' own names.

        Raises:
            ResourceNotFoundError: METHOD_NOT_FOUND.
            ValidationError: The request, or the metadata, do not fit; every fault is
                named. Or the method is of another shape.
            PreconditionError: DESCRIPTORS_UNAVAILABLE, ACTION_OUTPUT_INVALID.
            WeftError: What the service answered.
        """
        deadline = _Deadline(timeout)
        pairs = metadata_pairs(metadata)
        rpc, found = await self._rpc(service, method, request, deadline)
        try:
            return await rpc.one(deadline.left(), pairs)
        except grpc.aio.AioRpcError as error:
            raise self._failure(error, service, found) from None

    async def stream_service(
        self,
        service: str,
        method: str,
        request: Request = None,
        *,
        timeout: timedelta | None = None,
        metadata: Mapping[str, str | bytes] | Metadata = (),
    ) -> AsyncGenerator[JsonObject, None]:
        """Call a method that answers with a stream, and yield its responses as they come.

        Leaving the loop cancels the call; so does closing the iterator.

        Args:
            service: As for ``call_service``.
            method: As for ``call_service``.
            request: As for ``call_service``.
            timeout: As for ``call_service``.
            metadata: As for ``call_service``.

        Raises:
            WeftError: As ``call_service``.
        """
        deadline = _Deadline(timeout)
        pairs = metadata_pairs(metadata)
        rpc, found = await self._rpc(service, method, request, deadline)
        try:
            async with aclosing(rpc.many(deadline.left(), pairs)) as responses:
                async for response in responses:
                    yield response
        except grpc.aio.AioRpcError as error:
            raise self._failure(error, service, found) from None

    async def _rpc(
        self, service: str, method: str, request: Request, deadline: _Deadline
    ) -> tuple[Rpc, Method]:
        known, found = await self._find(service, method, deadline)
        if found.idempotent:
            self._idempotent.add(f"/{found.full_name}")
        return Rpc(self._channel(service), known.codec, found, request), found

    async def _find(self, service: str, method: str, deadline: _Deadline) -> tuple[Known, Method]:
        try:
            async with asyncio.timeout(deadline.left()):
                return await self._look_up(service, method)
        except TimeoutError:
            raise DeadlineExceededError(
                f"the descriptors of {service} were not read in time", metadata={"service": service}
            ) from None

    async def _look_up(self, service: str, method: str) -> tuple[Known, Method]:
        known = await self._cache.get(service)
        try:
            return known, known.descriptors.method(method)
        except ResourceNotFoundError:
            known = await self._cache.newer(service, known)
        try:
            return known, known.descriptors.method(method)
        except ResourceNotFoundError as error:
            error.metadata["service"] = service
            raise

    async def _read(self, service: str) -> ServiceDescriptors:
        if self._registered is not None and (content := await self._registered(service)):
            return ServiceDescriptors.from_set(content)
        try:
            return await read_descriptors(self._channel(service), service, limits=self._limits)
        except PreconditionError as error:
            if isinstance(error.__cause__, WeftError):  # there is nobody to ask, or to call
                raise error.__cause__ from None
            raise

    def _channel(self, service: str) -> grpc.aio.Channel:
        channel = self._channels.pop(service, None) or self._make_channel(service)
        self._channels[service] = channel
        if len(self._channels) > _MOST_CHANNELS:
            del self._channels[next(iter(self._channels))]  # calls that run hold theirs
        return channel

    def _failure(self, rpc_error: grpc.aio.AioRpcError, service: str, method: Method) -> WeftError:
        bare = all(key != STATUS_DETAILS for key, _ in rpc_error.trailing_metadata() or ())
        if rpc_error.code() is grpc.StatusCode.UNIMPLEMENTED and bare:
            self._cache.forget(service)
            return ResourceNotFoundError(
                "method",
                method.full_name,
                message=f"{service} does not serve {method.full_name}, which its descriptors have",
                reason=Reason.METHOD_NOT_FOUND,
                metadata={"service": service, "method": method.full_name},
            )
        return _without_guess(error_from_rpc(rpc_error, service), rpc_error, service)

    async def close(self) -> None:
        """End what is being read, and close the channels that it made."""
        await self._cache.close()
        channels = list(self._channels.values())
        self._channels.clear()
        for channel in channels:
            await channel.close()


def _without_guess(error: WeftError, rpc_error: grpc.aio.AioRpcError, service: str) -> WeftError:
    """Take back what stands in where a peer gives no ErrorInfo: a reason of ours, and our name."""
    if isinstance(error, ServiceUnavailableError) and not gives_reason(rpc_error):
        error.metadata["service"] = service
    guessed = isinstance(error, AlreadyExistsError | ConflictError | ExhaustedError | PreconditionError)
    if guessed and not is_too_large(error) and not gives_reason(rpc_error):
        error.reason = Reason.UNEXPECTED_STATUS
    return error


class _Deadline:
    """What is left of the time that a call may take."""

    def __init__(self, timeout: timedelta | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = None if timeout is None else self._loop.time() + timeout.total_seconds()

    def left(self) -> float | None:
        return None if self._end is None else max(0.001, self._end - self._loop.time())
