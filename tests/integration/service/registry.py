"""A registry that tests command, and a service that is registered there."""

# ruff: noqa: N802, ARG002 - handlers are named as their RPCs, and have their signature

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc.aio

from weft.api.registry.v1 import registry_pb2, registry_service_pb2_grpc
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.core.errors import PreconditionError, ResourceNotFoundError, WeftError
from weft.core.reasons import Reason
from weft.core.testing import ManualClock
from weft.mesh.rpc import SERVER_OPTIONS, abort_with
from weft.service import Service

__all__ = ["Registry", "advance_until", "made", "served", "service"]


class Registry(registry_service_pb2_grpc.RegistryServiceServicer):
    """Records what it is told, and forgets what it is told to forget."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.instances: dict[str, registry_pb2.Instance] = {}
        self.refusal: WeftError | None = None
        self.stored: registry_pb2.Service | None = None
        self.token = ""
        self._changed = asyncio.Condition()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    async def seen(self, test: Callable[[], object]) -> None:
        """Wait until the record passes a test."""
        async with self._changed, asyncio.timeout(10):
            await self._changed.wait_for(test)

    async def RegisterService(self, request: pb.RegisterServiceRequest, context: Any) -> Any:
        await self._record("RegisterService", request)
        if self.refusal is not None:
            await abort_with(context, self.refusal)
        self.stored = request.service
        return pb.RegisterServiceResponse(service=request.service)

    async def GetService(self, request: pb.GetServiceRequest, context: Any) -> Any:
        if self.stored is None or self.stored.name != request.service:
            await abort_with(context, ResourceNotFoundError("service", request.service))
        return pb.GetServiceResponse(service=self.stored)

    async def RegisterInstance(self, request: pb.RegisterInstanceRequest, context: Any) -> Any:
        self.instances[request.instance.id] = request.instance
        await self._record("RegisterInstance", request)
        self.token = f"token-{len(self.calls)}"
        response = pb.RegisterInstanceResponse(instance=request.instance, registration_token=self.token)
        response.heartbeat_interval.FromTimedelta(request.instance.ttl.ToTimedelta() / 3)
        return response

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: Any) -> Any:
        await self._record("Heartbeat", request)
        if request.instance_id not in self.instances:
            await abort_with(context, ResourceNotFoundError("instance", request.instance_id))
        if request.registration_token != self.token:
            await abort_with(context, PreconditionError("replaced", reason=Reason.INSTANCE_REPLACED))
        return pb.HeartbeatResponse()

    async def DeregisterInstance(self, request: pb.DeregisterInstanceRequest, context: Any) -> Any:
        self.instances.pop(request.instance_id, None)
        await self._record("DeregisterInstance", request)
        return pb.DeregisterInstanceResponse()

    async def _record(self, name: str, request: object) -> None:
        async with self._changed:
            self.calls.append((name, request))
            self._changed.notify_all()


def made(kind: type[Registry] = Registry) -> Registry:
    """Make a registry; it is abstract to type checkers, as it leaves RPCs out."""
    return kind()


@asynccontextmanager
async def served(registry: Registry, port: int = 0) -> AsyncIterator[int]:
    server = grpc.aio.server(options=SERVER_OPTIONS)
    registry_service_pb2_grpc.add_RegistryServiceServicer_to_server(registry, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def service(**options: Any) -> Service:
    demo = Service("demo", version="1.2.3", tags=("production",), zone="z1", weight=5, **options)

    @demo.action(idempotent=True, timeout=timedelta(seconds=9))
    async def extract(document_url: str) -> dict[str, str]:
        """Extract text."""
        return {"text": document_url}

    return demo


async def advance_until(clock: ManualClock, registry: Registry, test: Callable[[], object]) -> None:
    """Turn the clock on, second by second, until the registry was told."""
    for _ in range(200):
        await clock.advance(1)
        try:
            async with asyncio.timeout(0.05):
                await registry.seen(test)
        except TimeoutError:
            continue
        return
    raise AssertionError(f"not told: {registry.names}")
