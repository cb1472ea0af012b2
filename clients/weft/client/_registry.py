"""Typed calls of the RegistryService."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.api.registry.v1 import registry_service_pb2_grpc as pb_grpc
from weft.client._reading import registry as read
from weft.client._transport.calls import Caller, new_request_id
from weft.client._transport.paging import all_pages
from weft.client._writing import enums
from weft.client._writing import fields as write
from weft.client.records import Action, Instance, IntegrationHealth, Page, Service, ServiceHealth
from weft.core.payload import JsonObject


class RegistryClient:
    """Services, their instances and their health.

    A ``service`` is named by its id or its name.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @cached_property
    def _stub(self) -> pb_grpc.RegistryServiceAsyncStub:
        return pb_grpc.RegistryServiceStub(self._caller.channel)

    async def register(
        self,
        name: str,
        *,
        description: str = "",
        endpoint: str = "",
        actions: Sequence[Action | Mapping[str, Any]] = (),
        metadata: Mapping[str, Any] | None = None,
        version: str = "",
        descriptor_set: bytes = b"",
        grpc_services: Sequence[str] = (),
        replace: bool = False,
        reject_breaking: bool = False,
        request_id: str = "",
    ) -> Service:
        """Register a service.

        Args:
            name: A DNS label, unique among services.
            description: For people.
            endpoint: Where to call it when no instance is registered: ``grpc://host:port``,
                ``http://…``, ``https://…``, ``consul://name`` or ``dns:///host:port``.
            actions: Records, or mappings with the same keys. None for an endpoint
                that speaks gRPC: they are read from there.
            metadata: Free JSON object.
            version: Which version the actions belong to, such as ``1.4.2``; another
                API version keeps its own actions beside them.
            descriptor_set: A serialized FileDescriptorSet to read the actions from.
            grpc_services: Full names of the gRPC services to read actions of; none: all.
            replace: Whether to take the place of a service of that name.
            reject_breaking: Whether to refuse schemas that would break workflows; otherwise
                the answer names what is ``broken``.
            request_id: Idempotency key; made when empty.

        Raises:
            ValidationError: A name, endpoint, schema or limit.
            AlreadyExistsError: The name is taken.
            PreconditionError: The actions cannot be read from the endpoint, or the change
                would break workflows.
        """
        values = {
            "name": name,
            "description": description,
            "endpoint": endpoint,
            "actions": actions,
            "metadata": metadata,
            "version": version,
            "descriptor_set": descriptor_set,
        }
        policy = pb.CONFLICT_POLICY_REPLACE if replace else pb.CONFLICT_POLICY_FAIL
        request = pb.RegisterServiceRequest(
            service=write.build(registry_pb2.Service, write.SERVICE, values),
            on_conflict=policy,
            request_id=request_id or new_request_id(),
            grpc_services=grpc_services,
            reject_breaking=reject_breaking,
        )
        answer = await self._caller.unary(self._stub.RegisterService, request, self._caller.retry.create)
        return read.service(answer.service, tuple(map(read.broken, answer.broken)))

    async def update(
        self,
        service: str,
        *,
        name: str | None = None,
        description: str | None = None,
        endpoint: str | None = None,
        actions: Sequence[Action | Mapping[str, Any]] | None = None,
        metadata: Mapping[str, Any] | None = None,
        etag: str = "",
        reject_breaking: bool = False,
        request_id: str = "",
    ) -> Service:
        """Change what is given; None leaves a field as it is.

        Raises:
            ValidationError: A value is not allowed.
            ResourceNotFoundError: There is no such service.
            AlreadyExistsError: The new name is taken.
            ConflictError: It changed since the etag was read.
            PreconditionError: With ``reject_breaking``: the change would break workflows.
        """
        values = {
            "name": name,
            "description": description,
            "endpoint": endpoint,
            "actions": actions,
            "metadata": metadata,
        }
        change = write.build(registry_pb2.Service, write.SERVICE, values)
        change.id = service
        request = pb.UpdateServiceRequest(
            payload_kind=write.JSON,
            service=change,
            update_mask=write.mask(values),
            etag=etag,
            reject_breaking=reject_breaking,
            request_id=request_id or new_request_id(),
        )
        answer = await self._caller.unary(self._stub.UpdateService, request, self._caller.retry.update)
        return read.service(answer.service, tuple(map(read.broken, answer.broken)))

    async def set_state(self, service: str, state: str, *, etag: str = "", request_id: str = "") -> Service:
        """Move a service to ``ACTIVE``, ``INACTIVE`` or ``DEPRECATED``."""
        request = pb.SetServiceStateRequest(
            service=service,
            state=enums.SERVICE_STATE.number(state, "state"),
            etag=etag,
            request_id=request_id or new_request_id(),
            payload_kind=write.JSON,
        )
        answer = await self._caller.unary(self._stub.SetServiceState, request, self._caller.retry.update)
        return read.service(answer.service)

    async def deregister(
        self, service: str, *, version: str = "", etag: str = "", request_id: str = ""
    ) -> None:
        """Remove a service and its instances, or only the actions of one API version."""
        request = pb.DeregisterServiceRequest(
            service=service, etag=etag, request_id=request_id or new_request_id(), version=version
        )
        await self._caller.unary(self._stub.DeregisterService, request, self._caller.retry.delete)

    async def get(self, service: str) -> Service:
        """Read one service."""
        request = pb.GetServiceRequest(service=service, payload_kind=write.JSON)
        answer = await self._caller.unary(self._stub.GetService, request, self._caller.retry.read)
        return read.service(answer.service)

    async def list(
        self, *, state: str = "", page_size: int = 0, page_token: str = "", skip: int = 0
    ) -> Page[Service]:
        """Read one page of services, by name; an empty state means all."""
        request = pb.ListServicesRequest(
            state=enums.SERVICE_STATE.optional(state, "state"),
            payload_kind=write.JSON,
            **write.paging(page_size, page_token, skip),
        )
        answer = await self._caller.unary(self._stub.ListServices, request, self._caller.retry.read)
        return Page(tuple(map(read.service, answer.services)), answer.next_page_token, answer.total_size)

    def iterate(self, *, state: str = "") -> AsyncIterator[Service]:
        """Yield every service, page by page."""
        return all_pages(lambda token: self.list(state=state, page_token=token))

    async def instances(
        self, service: str = "", *, page_size: int = 0, page_token: str = "", skip: int = 0
    ) -> Page[Instance]:
        """Read one page of instances, of one service or of all."""
        request = pb.ListInstancesRequest(service=service, **write.paging(page_size, page_token, skip))
        answer = await self._caller.unary(self._stub.ListInstances, request, self._caller.retry.read)
        return Page(tuple(map(read.instance, answer.instances)), answer.next_page_token, answer.total_size)

    async def watch_instances(self, service: str) -> AsyncGenerator[tuple[Instance, ...], None]:
        """Yield all instances of a service now, and again after every change.

        It goes on by itself after the server was unavailable. A service that
        nobody registered yet has no instances.
        """
        request = pb.WatchInstancesRequest(service=service)
        async with aclosing(self._caller.stream(self._stub.WatchInstances, lambda: request)) as answers:
            async for answer in answers:
                yield tuple(map(read.instance, answer.instances))

    async def register_instance(
        self,
        service: str,
        *,
        host: str,
        port: int,
        instance_id: str = "",
        protocol: str = "GRPC",
        weight: int = 1,
        tags: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
        version: str = "",
        zone: str = "",
        ttl: timedelta = timedelta(seconds=30),
    ) -> Instance:
        """Register a live instance, or replace the one with the same id.

        Without a heartbeat within its ttl it counts as dead.
        """
        values: JsonObject = {
            "id": instance_id,
            "host": host,
            "port": port,
            "protocol": protocol,
            "weight": weight,
            "tags": tags,
            "metadata": metadata,
            "version": version,
            "zone": zone,
            "ttl": ttl,
        }
        request = pb.RegisterInstanceRequest(
            service=service, instance=write.build(registry_pb2.Instance, write.INSTANCE, values)
        )
        answer = await self._caller.unary(self._stub.RegisterInstance, request, self._caller.retry.create)
        return read.instance(answer.instance)

    async def heartbeat(self, instance_id: str, health: str = "PASSING", note: str = "") -> datetime:
        """Say that an instance is alive; return until when it counts so.

        Raises:
            ResourceNotFoundError: It is not known any more: register it again.
        """
        request = pb.HeartbeatRequest(
            instance_id=instance_id, health=enums.HEALTH_STATE.number(health, "health"), health_note=note
        )
        answer = await self._caller.unary(self._stub.Heartbeat, request, self._caller.retry.update)
        return answer.expire_time.ToDatetime(UTC)

    async def deregister_instance(self, instance_id: str) -> None:
        """Remove an instance: no call starts there any more."""
        request = pb.DeregisterInstanceRequest(instance_id=instance_id)
        await self._caller.unary(self._stub.DeregisterInstance, request, self._caller.retry.delete)

    async def service_health(self, service: str) -> ServiceHealth:
        """Read the health of one service and of each of its instances."""
        request = pb.GetServiceHealthRequest(service=service)
        answer = await self._caller.unary(self._stub.GetServiceHealth, request, self._caller.retry.read)
        return read.service_health(answer.health)

    async def integration_health(self) -> IntegrationHealth:
        """Read the health of the whole platform: every dependency and service."""
        request = pb.GetIntegrationHealthRequest()
        answer = await self._caller.unary(self._stub.GetIntegrationHealth, request, self._caller.retry.read)
        return read.integration_health(answer)
