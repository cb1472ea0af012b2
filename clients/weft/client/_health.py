"""The standard health check of gRPC."""

from __future__ import annotations

from functools import cached_property
from typing import TypeAlias

import grpc.aio
from grpc_health.v1 import health_pb2

from weft.client._transport.calls import Caller
from weft.core.errors import Code, WeftError

_Check: TypeAlias = (
    "grpc.aio.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]"
)


class HealthClient:
    """Whether the server, or one of its gRPC services, takes calls."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @cached_property
    def _check(self) -> _Check:
        # The stub of the package has no types for its methods.
        check: _Check = self._caller.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        return check

    async def check(self, service: str = "") -> str:
        """Return ``SERVING``, ``NOT_SERVING`` or, of a service it does not have, ``SERVICE_UNKNOWN``.

        Args:
            service: Full name such as ``weft.api.registry.v1.RegistryService``;
                empty: the server as a whole.
        """
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            answer = await self._caller.unary(self._check, request, self._caller.retry.read)
        except WeftError as error:
            if error.code is Code.NOT_FOUND:
                return "SERVICE_UNKNOWN"
            raise
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
