"""Descriptors that services were registered with, read from the registry."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Final

import grpc.aio
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from weft.api.registry.v1 import registry_pb2, registry_service_pb2_grpc
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.core.version import VersionRange
from weft.discovery.resolvers import Resolvers
from weft.discovery.target import Target, parse_target

__all__ = ["RegisteredDescriptors"]

_log = logging.getLogger("weft.client")

_TIMEOUT: Final = timedelta(seconds=5)


class RegisteredDescriptors:
    """Asks the registry for the descriptors of services that it knows.

    Args:
        sources: Says which services those are.
        channel: Opens the channel to the registry at an address; empty for the configured one.
    """

    def __init__(self, sources: Resolvers, channel: Callable[[str], grpc.aio.Channel]) -> None:
        self._sources = sources
        self._open = channel
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def find(self, service: str) -> bytes:
        """Return a FileDescriptorSet; empty when there is none, and the service itself is to be asked."""
        target = parse_target(service)
        if self._sources.source_of(target) != "weft":
            return b""
        request = pb.GetServiceRequest(service=target.name)
        try:
            answer = await self._stub(target.authority).GetService(
                request, timeout=_TIMEOUT.total_seconds(), wait_for_ready=False
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                _log.warning("the registry did not tell the descriptors of %s: %s", service, error.details())
            return b""
        return _fitting(answer.service, target)

    def _stub(self, authority: str) -> Any:
        """Return the stub, whose generated types do not know ``grpc.aio``."""
        channel = self._channels.get(authority)
        if channel is None:
            channel = self._channels[authority] = self._open(authority)
        return registry_service_pb2_grpc.RegistryServiceStub(channel)


def _fitting(service: registry_pb2.Service, target: Target) -> bytes:
    """Choose the newest API version that the target takes."""
    versions = VersionRange.parse(target.version)
    if versions.any or versions.admits(service.version):
        return _served(service.descriptor_set, service.actions)
    found = (it for it in service.other_versions if versions.admits(it.version))
    other = next(found, None)
    return _served(other.descriptor_set, other.actions) if other is not None else b""


def _served(content: bytes, actions: Iterable[registry_pb2.Action]) -> bytes:
    """Leave out services of the same files that have no action: nobody has said that they are served."""
    names = {it.grpc_method.partition("/")[0] for it in actions if it.grpc_method}
    if not content or not names:
        return content
    files = FileDescriptorSet.FromString(content)
    for file in files.file:
        kept = [it for it in file.service if f"{file.package}.{it.name}".lstrip(".") in names]
        del file.service[:]
        file.service.extend(kept)
    return files.SerializeToString()
