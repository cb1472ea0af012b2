"""Messages of the registry to records."""

from __future__ import annotations

from weft.api.registry.v1 import registry_pb2, registry_service_pb2
from weft.client._reading.fields import object_of, span_of, time_of
from weft.client._reading.workflow import problem
from weft.client._writing import enums
from weft.client.records import (
    Action,
    BrokenWorkflow,
    DependencyHealth,
    Instance,
    IntegrationHealth,
    Service,
    ServiceHealth,
    ServiceVersion,
)
from weft.core.payload import from_struct

__all__ = [
    "action",
    "broken",
    "dependency_health",
    "instance",
    "integration_health",
    "service",
    "service_health",
    "service_version",
]


def action(message: registry_pb2.Action) -> Action:
    """Read an action."""
    return Action(
        name=message.name,
        description=message.description,
        input_schema=object_of(message, "input_schema"),
        output_schema=object_of(message, "output_schema"),
        idempotent=message.idempotent,
        timeout=span_of(message, "timeout"),
        grpc_method=message.grpc_method,
        compensation=message.compensation,
    )


def service_version(message: registry_pb2.ServiceVersion) -> ServiceVersion:
    """Read an API version of a service."""
    return ServiceVersion(
        version=message.version,
        actions=tuple(map(action, message.actions)),
        descriptor_set=message.descriptor_set,
        update_time=time_of(message, "update_time"),
    )


def broken(message: registry_service_pb2.BrokenWorkflow) -> BrokenWorkflow:
    """Read what a change has broken."""
    return BrokenWorkflow(
        workflow=message.workflow,
        version=message.version,
        latest=message.latest,
        open_executions=message.open_executions,
        problems=tuple(map(problem, message.problems)),
    )


def service(message: registry_pb2.Service, breaks: tuple[BrokenWorkflow, ...] = ()) -> Service:
    """Read a service."""
    return Service(
        id=message.id,
        name=message.name,
        description=message.description,
        endpoint=message.endpoint,
        actions=tuple(map(action, message.actions)),
        version=message.version,
        other_versions=tuple(map(service_version, message.other_versions)),
        descriptor_set=message.descriptor_set,
        metadata=from_struct(message.metadata, "metadata"),
        state=enums.SERVICE_STATE.name(message.state),
        revision=message.revision,
        etag=message.etag,
        create_time=time_of(message, "create_time"),
        update_time=time_of(message, "update_time"),
        broken=breaks,
    )


def instance(message: registry_pb2.Instance) -> Instance:
    """Read an instance."""
    return Instance(
        id=message.id,
        service=message.service,
        host=message.host,
        port=message.port,
        protocol=enums.PROTOCOL.name(message.protocol) or "GRPC",
        weight=message.weight or 1,
        tags=tuple(message.tags),
        metadata=dict(message.metadata),
        version=message.version,
        zone=message.zone,
        health=enums.HEALTH_STATE.name(message.health),
        health_note=message.health_note,
        ttl=span_of(message, "ttl"),
        register_time=time_of(message, "register_time"),
        heartbeat_time=time_of(message, "heartbeat_time"),
    )


def service_health(message: registry_pb2.ServiceHealth) -> ServiceHealth:
    """Read the health of a service."""
    return ServiceHealth(
        service_id=message.service_id,
        service=message.service,
        health=enums.HEALTH_STATUS.name(message.health),
        instances=tuple(map(instance, message.instances)),
        note=message.note,
    )


def dependency_health(message: registry_pb2.DependencyHealth) -> DependencyHealth:
    """Read the health of a dependency."""
    return DependencyHealth(
        name=message.name,
        health=enums.HEALTH_STATUS.name(message.health),
        note=message.note,
        latency=span_of(message, "latency"),
    )


def integration_health(message: registry_service_pb2.GetIntegrationHealthResponse) -> IntegrationHealth:
    """Read the health of the whole."""
    return IntegrationHealth(
        health=enums.HEALTH_STATUS.name(message.health),
        dependencies=tuple(map(dependency_health, message.dependencies)),
        services=tuple(map(service_health, message.services)),
        server=from_struct(message.server, "server"),
    )
