"""RegistryService on the wire: messages to use cases and back, nothing else."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from weft.api.registry.v1 import registry_pb2, registry_service_pb2_grpc
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.core.clock import Clock
from weft.core.payload import JsonObject, prefer, to_struct
from weft.core.version import check_version
from weft.discovery.model import Health
from weft.server.impact import Impact, Judgement
from weft.server.impact_convert import broken_to_proto
from weft.server.protos import duration, enum_from_proto, timestamp
from weft.server.registry import convert
from weft.server.registry.derive import Deriver
from weft.server.registry.instance_service import InstanceService
from weft.server.registry.model import Service, ServiceState
from weft.server.registry.reading import check_methods
from weft.server.registry.service import RegistryService
from weft.server.requests import (
    Faults,
    close_page,
    read_mask,
    read_metadata,
    read_page,
    request_key,
    require_ref,
)

__all__ = ["DependencyCheck", "RegistryServicer"]

_METHOD: Final = "weft.api.registry.v1.RegistryService/"
_CHANGEABLE: Final = ("name", "description", "endpoint", "actions", "metadata")


DependencyCheck = Callable[[], Any]
"""Awaited; raises when the dependency does not work."""


class RegistryServicer(registry_service_pb2_grpc.RegistryServiceServicer):
    """Serves the registry.

    Args:
        registry: Use cases of services.
        instances: Use cases of instances.
        clock: For times of registration.
        dependencies: What the platform stands on, by name.
        about: What this server is, for people.
        deriver: Reads the actions that a registration leaves to its endpoint or descriptors.
        impact: Tells what a change of a service breaks.
    """

    def __init__(
        self,
        registry: RegistryService,
        instances: InstanceService,
        clock: Clock,
        dependencies: dict[str, DependencyCheck],
        about: Callable[[], JsonObject],
        deriver: Deriver,
        impact: Impact,
    ) -> None:
        self._registry = registry
        self._instances = instances
        self._clock = clock
        self._dependencies = dependencies
        self._about = about
        self._deriver = deriver
        self._impact = impact

    async def RegisterService(
        self, request: pb.RegisterServiceRequest, context: object
    ) -> pb.RegisterServiceResponse:
        """Register a service."""
        faults = Faults(request)
        key = request_key(_METHOD + "RegisterService", request, faults)
        draft = self._read_service(request.service, faults)
        grpc_services = convert.read_grpc_services(request.grpc_services, faults, "grpc_services")
        faults.raise_any()
        judgement = Judgement(self._impact, reject=request.reject_breaking)
        service = await self._registry.register(
            draft,
            replace_existing=request.on_conflict == pb.CONFLICT_POLICY_REPLACE,
            key=key,
            complete=lambda it: self._deriver.complete(it, grpc_services),
            judge=judgement,
        )
        kind = convert.service_kind(request.service)
        return pb.RegisterServiceResponse(
            service=convert.service_to_proto(service, kind), broken=broken_to_proto(judgement.broken)
        )

    def _read_service(self, message: registry_pb2.Service, faults: Faults) -> Service:
        faults.name("service.name", message.name)
        faults.text("service.description", message.description)
        faults.extend(check_version("service.version", message.version))
        now = self._clock.now()
        return Service(
            id="",
            name=message.name,
            description=message.description,
            endpoint=convert.read_endpoint(message.endpoint, faults, "service.endpoint"),
            actions=convert.read_actions(message.actions, faults, "service.actions"),
            metadata=read_metadata(message.metadata, faults, "service.metadata"),
            version=message.version,
            descriptor_set=convert.read_descriptor_set(
                message.descriptor_set, faults, "service.descriptor_set"
            ),
            create_time=now,
            update_time=now,
        )

    async def UpdateService(
        self, request: pb.UpdateServiceRequest, context: object
    ) -> pb.UpdateServiceResponse:
        """Change fields of a service."""
        faults = Faults(request)
        key = request_key(_METHOD + "UpdateService", request, faults)
        faults.ref("service.id", request.service.id)
        fields = read_mask(request.update_mask, request.service, _CHANGEABLE, faults)
        changes = self._read_changes(request.service, fields, faults)
        faults.raise_any()

        def change(current: Service) -> Service:
            check_methods(current, changes.get("actions", ()))
            return replace(current, **changes)

        judgement = Judgement(self._impact, reject=request.reject_breaking)
        service = await self._registry.update(request.service.id, request.etag, change, key, judgement)
        kind = convert.service_kind(request.service, request.payload_kind)
        return pb.UpdateServiceResponse(
            service=convert.service_to_proto(service, kind), broken=broken_to_proto(judgement.broken)
        )

    def _read_changes(
        self, message: registry_pb2.Service, fields: frozenset[str], faults: Faults
    ) -> dict[str, Any]:
        """Read only what is to be changed: faults elsewhere do not matter."""
        readers: dict[str, Callable[[], Any]] = {
            "name": lambda: _checked_name(message.name, faults),
            "description": lambda: _checked_text(message.description, faults),
            "endpoint": lambda: convert.read_endpoint(message.endpoint, faults, "service.endpoint"),
            "actions": lambda: convert.read_actions(message.actions, faults, "service.actions"),
            "metadata": lambda: read_metadata(message.metadata, faults, "service.metadata"),
        }
        return {field: readers[field]() for field in _CHANGEABLE if field in fields}

    async def SetServiceState(
        self, request: pb.SetServiceStateRequest, context: object
    ) -> pb.SetServiceStateResponse:
        """Move a service to another state."""
        faults = Faults(request)
        key = request_key(_METHOD + "SetServiceState", request, faults)
        faults.ref("service", request.service)
        state = _state(request.state)
        faults.required("state", request.state)
        faults.raise_any()
        service = await self._registry.set_state(
            request.service, state or ServiceState.ACTIVE, request.etag, key
        )
        kind = prefer(request.payload_kind)
        return pb.SetServiceStateResponse(service=convert.service_to_proto(service, kind))

    async def DeregisterService(
        self, request: pb.DeregisterServiceRequest, context: object
    ) -> pb.DeregisterServiceResponse:
        """Remove a service and its instances, or one API version of it."""
        faults = Faults(request)
        key = request_key(_METHOD + "DeregisterService", request, faults)
        faults.ref("service", request.service)
        faults.extend(check_version("version", request.version))
        faults.raise_any()
        await self._registry.deregister(request.service, request.etag, key, request.version)
        return pb.DeregisterServiceResponse()

    async def GetService(self, request: pb.GetServiceRequest, context: object) -> pb.GetServiceResponse:
        """Read one service."""
        require_ref(request, "service")
        service = await self._registry.get(request.service)
        kind = prefer(request.payload_kind)
        return pb.GetServiceResponse(service=convert.service_to_proto(service, kind, descriptors=True))

    async def ListServices(self, request: pb.ListServicesRequest, context: object) -> pb.ListServicesResponse:
        """List services by name."""
        faults = Faults(request)
        state = _state(request.state)
        scope = ("services", str(state))
        page = read_page(request, scope, faults)
        faults.raise_any()
        found = await self._registry.list(state, page)
        kind = prefer(request.payload_kind)
        messages = [convert.service_to_proto(service, kind) for service in found.items]
        shown, token = close_page(found, messages, lambda service: service.name, scope)
        return pb.ListServicesResponse(services=shown, next_page_token=token, total_size=found.total)

    async def RegisterInstance(
        self, request: pb.RegisterInstanceRequest, context: object
    ) -> pb.RegisterInstanceResponse:
        """Register a live instance."""
        faults = Faults(request)
        faults.ref("service", request.service)
        draft = convert.instance_from_proto(request.instance, self._clock.now(), faults)
        faults.raise_any()
        service, instance = await self._instances.register(request.service, draft)
        return pb.RegisterInstanceResponse(
            instance=convert.instance_to_proto(instance, service.name),
            heartbeat_interval=duration(instance.ttl / 3),
            registration_token=instance.token,
        )

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: object) -> pb.HeartbeatResponse:
        """Take note that an instance is alive."""
        faults = Faults(request)
        faults.ref("instance_id", request.instance_id)
        faults.text("health_note", request.health_note, 1_024)
        faults.raise_any()
        health = convert.health_from_proto(request.health) or Health.PASSING
        expires = await self._instances.heard(
            request.instance_id, request.registration_token, health, request.health_note
        )
        return pb.HeartbeatResponse(expire_time=timestamp(expires))

    async def DeregisterInstance(
        self, request: pb.DeregisterInstanceRequest, context: object
    ) -> pb.DeregisterInstanceResponse:
        """Remove an instance."""
        require_ref(request, "instance_id")
        await self._instances.deregister(request.instance_id, request.registration_token)
        return pb.DeregisterInstanceResponse()

    async def ListInstances(
        self, request: pb.ListInstancesRequest, context: object
    ) -> pb.ListInstancesResponse:
        """List instances by id."""
        faults = Faults(request)
        health = convert.health_from_proto(request.health)
        scope = ("instances", request.service, str(health))
        faults.key("service", request.service)
        page = read_page(request, scope, faults)
        faults.raise_any()
        found = await self._instances.list(request.service, health, page)
        messages = [convert.instance_to_proto(i, service.name) for service, i in found.items]
        shown, token = close_page(found, messages, lambda item: item[1].id, scope)
        return pb.ListInstancesResponse(instances=shown, next_page_token=token, total_size=found.total)

    async def WatchInstances(
        self, request: pb.WatchInstancesRequest, context: object
    ) -> AsyncIterator[pb.WatchInstancesResponse]:
        """Stream the instances of a service."""
        require_ref(request, "service")
        async for instances in self._instances.watch(request.service):
            service = await self._registry.find(request.service)
            name = service.name if service else request.service
            yield pb.WatchInstancesResponse(
                instances=[convert.instance_to_proto(i, name) for i in instances],
                version=self._instances.version,
                endpoint=service.endpoint if service else "",
            )

    async def GetServiceHealth(
        self, request: pb.GetServiceHealthRequest, context: object
    ) -> pb.GetServiceHealthResponse:
        """Read the health of one service."""
        require_ref(request, "service")
        report = await self._instances.health(request.service)
        return pb.GetServiceHealthResponse(health=convert.report_to_proto(report))

    async def GetIntegrationHealth(
        self, request: pb.GetIntegrationHealthRequest, context: object
    ) -> pb.GetIntegrationHealthResponse:
        """Read the health of the whole platform, also when a dependency is down."""
        dependencies = [await _check(name, check) for name, check in self._dependencies.items()]
        services: list[registry_pb2.ServiceHealth] = []
        if all(d.health == registry_pb2.HEALTH_STATUS_HEALTHY for d in dependencies):
            services = [convert.report_to_proto(r) for r in await self._instances.health_of_all()]
        return pb.GetIntegrationHealthResponse(
            health=_overall(dependencies, services),
            dependencies=dependencies,
            services=services,
            server=to_struct(self._about()),
        )


def _overall(
    dependencies: list[registry_pb2.DependencyHealth], services: list[registry_pb2.ServiceHealth]
) -> registry_pb2.HealthStatus.ValueType:
    healthy = registry_pb2.HEALTH_STATUS_HEALTHY
    if any(d.health != healthy for d in dependencies):
        return registry_pb2.HEALTH_STATUS_UNHEALTHY
    if any(s.health != healthy for s in services):
        return registry_pb2.HEALTH_STATUS_DEGRADED
    return healthy


async def _check(name: str, check: DependencyCheck) -> registry_pb2.DependencyHealth:
    started = time.monotonic()
    health, note = registry_pb2.HEALTH_STATUS_HEALTHY, ""
    try:
        await check()
    except Exception as error:
        health, note = registry_pb2.HEALTH_STATUS_UNHEALTHY, str(error)
    took = timedelta(seconds=time.monotonic() - started)
    return registry_pb2.DependencyHealth(name=name, health=health, note=note, latency=duration(took))


def _state(number: int) -> ServiceState | None:
    return enum_from_proto(registry_pb2.ServiceState, "SERVICE_STATE", ServiceState, number)


def _checked_name(name: str, faults: Faults) -> str:
    faults.name("service.name", name)
    return name


def _checked_text(text: str, faults: Faults) -> str:
    faults.text("service.description", text)
    return text
