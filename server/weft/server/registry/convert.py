"""Messages of the registry to its model, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from weft.api.registry.v1 import registry_pb2
from weft.core.names import ACTION_NAME, INSTANCE_ID, INSTANCE_PREFIX, check_name, closest, new_id
from weft.core.payload import UNSAID, JsonObject, PayloadKind, kind_of, to_struct
from weft.core.reasons import Rule
from weft.core.schema import compile_schema
from weft.discovery.endpoint import is_host
from weft.discovery.model import Health, Protocol
from weft.discovery.target import parse_location
from weft.server.protos import (
    duration,
    enum_from_proto,
    enum_to_proto,
    optional_object,
    set_object,
    timestamp,
)
from weft.server.registry.derive import MAX_ACTIONS, MAX_DESCRIPTOR_SET
from weft.server.registry.health import HealthReport
from weft.server.registry.model import Action, Instance, Service, ServiceVersion
from weft.server.requests import Faults, read_duration

__all__ = [
    "health_from_proto",
    "health_to_proto",
    "instance_from_proto",
    "instance_to_proto",
    "read_actions",
    "read_descriptor_set",
    "read_endpoint",
    "read_grpc_services",
    "report_to_proto",
    "service_kind",
    "service_to_proto",
]

_METHOD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,254}/[A-Za-z_][A-Za-z0-9_]{0,254}")
_MAX_GRPC_SERVICES: Final = 256
_MAX_GRPC_SERVICE: Final = 255
_GRPC_SERVICE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_MAX_TAGS: Final = 64
_MAX_TAG_CHARS: Final = 128
_MAX_INSTANCE_METADATA: Final = 64
_MAX_METADATA_VALUE: Final = 512
_MAX_WEIGHT: Final = 10_000
_URL_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_DEFAULT_TTL: Final = timedelta(seconds=30)
_DAY: Final = timedelta(days=1)


def service_kind(message: registry_pb2.Service, asked: PayloadKind = UNSAID) -> PayloadKind:
    """Tell which kind of payload to answer a caller in."""
    return kind_of(*(s for a in message.actions for s in (a.input_schema, a.output_schema)), asked=asked)


def service_to_proto(
    service: Service, kind: PayloadKind, *, descriptors: bool = False
) -> registry_pb2.Service:
    """Show a service, its schemas in the kind asked for, and its descriptor sets on demand."""
    return registry_pb2.Service(
        id=service.id,
        name=service.name,
        description=service.description,
        endpoint=service.endpoint,
        actions=[_action_to_proto(action, kind) for action in service.actions],
        metadata=to_struct(service.metadata),
        state=enum_to_proto(registry_pb2.ServiceState, "SERVICE_STATE", service.state),
        revision=service.revision,
        etag=service.etag,
        create_time=timestamp(service.create_time),
        update_time=timestamp(service.update_time),
        version=service.version,
        other_versions=[
            _version_to_proto(it, kind, descriptors=descriptors) for it in service.other_versions
        ],
        descriptor_set=service.descriptor_set if descriptors else b"",
    )


def _version_to_proto(
    version: ServiceVersion, kind: PayloadKind, *, descriptors: bool
) -> registry_pb2.ServiceVersion:
    return registry_pb2.ServiceVersion(
        version=version.version,
        actions=[_action_to_proto(action, kind) for action in version.actions],
        descriptor_set=version.descriptor_set if descriptors else b"",
        update_time=timestamp(version.update_time),
    )


def _action_to_proto(action: Action, kind: PayloadKind) -> registry_pb2.Action:
    return registry_pb2.Action(
        name=action.name,
        description=action.description,
        input_schema=set_object(action.input_schema, kind),
        output_schema=set_object(action.output_schema, kind),
        idempotent=action.idempotent,
        timeout=duration(action.timeout),
        grpc_method=action.grpc_method,
        compensation=action.compensation,
    )


def read_actions(messages: Iterable[registry_pb2.Action], faults: Faults, field: str) -> tuple[Action, ...]:
    """Read actions, checking names, schemas and limits."""
    listed = list(messages)
    faults.count(field, listed, MAX_ACTIONS)
    seen: set[str] = set()
    actions: list[Action] = []
    for number, message in enumerate(listed[:MAX_ACTIONS]):
        path = f"{field}[{number}]"
        faults.extend(check_name(f"{path}.name", message.name, ACTION_NAME))
        if message.name in seen:
            faults.add(f"{path}.name", f"{message.name!r} stands here twice", Rule.DUPLICATE)
        seen.add(message.name)
        faults.text(f"{path}.description", message.description)
        if message.grpc_method and _METHOD.fullmatch(message.grpc_method) is None:
            faults.add(f"{path}.grpc_method", "is no RPC, such as shop.v1.Carts/GetCart")
        actions.append(
            Action(
                name=message.name,
                description=message.description,
                input_schema=_read_schema(message, "input_schema", f"{path}.input_schema", faults),
                output_schema=_read_schema(message, "output_schema", f"{path}.output_schema", faults),
                idempotent=message.idempotent,
                timeout=read_duration(
                    message,
                    "timeout",
                    faults,
                    path=f"{path}.timeout",
                    at_least=timedelta(milliseconds=1),
                    at_most=_DAY,
                ),
                grpc_method=message.grpc_method,
                compensation=message.compensation,
            )
        )
    _check_compensations(actions, faults, field)
    return tuple(actions)


def _check_compensations(actions: list[Action], faults: Faults, field: str) -> None:
    """Find actions that say to be undone by what cannot undo them."""
    names = [action.name for action in actions]
    for number, action in enumerate(actions):
        path, undo = f"{field}[{number}].compensation", action.compensation
        if undo and undo == action.name:
            faults.add(path, "names the action itself", Rule.INVALID)
        elif undo and undo not in names:
            faults.add(path, f"there is no action {undo[:200]!r} here; {closest(undo, names)}", Rule.INVALID)


def _read_schema(message: registry_pb2.Action, field: str, path: str, faults: Faults) -> JsonObject | None:
    """Read a schema that compiles; None when there is none or it has faults."""
    schema = faults.attempt(lambda: optional_object(message, field, path), None)
    if schema is not None:
        faults.attempt(lambda: compile_schema(schema, path), None)
    return schema


def read_endpoint(url: str, faults: Faults, field: str) -> str:
    """Check where a service is: an endpoint, or a target to look it up; when there is one."""
    if url:
        faults.attempt(lambda: parse_location(url, field), None)
    return url


def read_descriptor_set(content: bytes, faults: Faults, field: str) -> bytes:
    """Check the size of a descriptor set; what it says is checked by whoever reads it."""
    if len(content) > MAX_DESCRIPTOR_SET:
        text = f"has {len(content):,} bytes, at most {MAX_DESCRIPTOR_SET:,} are allowed"
        faults.add(field, text, Rule.DESCRIPTORS_INVALID)
        return b""
    return content


def read_grpc_services(names: Sequence[str], faults: Faults, field: str) -> tuple[str, ...]:
    """Read full names of gRPC services."""
    faults.count(field, names, _MAX_GRPC_SERVICES)
    for number, name in enumerate(names[:_MAX_GRPC_SERVICES]):
        if len(name) > _MAX_GRPC_SERVICE or _GRPC_SERVICE.fullmatch(name) is None:
            faults.add(f"{field}[{number}]", f"{name[:80]!r} is no full name, such as shop.v1.Carts")
    return tuple(names)


def instance_from_proto(message: registry_pb2.Instance, now: datetime, faults: Faults) -> Instance:
    """Read an instance to register, checking all of its limits."""
    _check_instance(message, faults)
    ttl = read_duration(
        message,
        "ttl",
        faults,
        path="instance.ttl",
        at_least=timedelta(seconds=1),
        at_most=timedelta(minutes=10),
    )
    protocol = enum_from_proto(registry_pb2.Protocol, "PROTOCOL", Protocol, message.protocol)
    return Instance(
        id=message.id or new_id(INSTANCE_PREFIX),
        service_id="",
        host=message.host,
        port=message.port,
        protocol=protocol or Protocol.GRPC,
        weight=message.weight or 1,
        tags=tuple(message.tags),
        metadata=dict(message.metadata),
        version=message.version,
        zone=message.zone,
        health=health_from_proto(message.health) or Health.PASSING,
        health_note=message.health_note,
        ttl=ttl or _DEFAULT_TTL,
        register_time=now,
        heartbeat_time=now,
    )


def _check_instance(message: registry_pb2.Instance, faults: Faults) -> None:
    for name in ("protocol", "health"):
        faults.enum(message, name, f"instance.{name}")
    if message.id:
        faults.extend(check_name("instance.id", message.id, INSTANCE_ID))
    faults.required("instance.host", message.host)
    if message.host and not is_host(message.host):
        faults.add("instance.host", f"{message.host[:80]!r} is neither a host name nor an IP address")
    if not 1 <= message.port <= 65_535:
        faults.add("instance.port", "must be between 1 and 65535", Rule.OUT_OF_RANGE)
    if not 0 <= message.weight <= _MAX_WEIGHT:
        faults.add("instance.weight", f"must be between 0 and {_MAX_WEIGHT:,}", Rule.OUT_OF_RANGE)
    faults.count("instance.tags", message.tags, _MAX_TAGS)
    for number, tag in enumerate(message.tags[:_MAX_TAGS]):
        faults.text(f"instance.tags[{number}]", tag, _MAX_TAG_CHARS)
    faults.count("instance.metadata", message.metadata, _MAX_INSTANCE_METADATA)
    for key, value in message.metadata.items():
        faults.text("instance.metadata", key, _MAX_TAG_CHARS)
        faults.text(f"instance.metadata.{key[:80]}", value, _MAX_METADATA_VALUE)
    faults.text("instance.version", message.version, _MAX_TAG_CHARS)
    faults.text("instance.zone", message.zone, _MAX_TAG_CHARS)
    faults.text("instance.health_note", message.health_note, 1_024)
    if message.protocol == registry_pb2.PROTOCOL_HTTP and "path" in message.metadata:
        path = message.metadata["path"]
        if _URL_PATH.fullmatch(path) is None:
            faults.add("instance.metadata.path", f"{path[:80]!r} is no path of a URL, such as /actions")


def instance_to_proto(instance: Instance, service: str) -> registry_pb2.Instance:
    """Show an instance."""
    return registry_pb2.Instance(
        id=instance.id,
        service=service,
        host=instance.host,
        port=instance.port,
        protocol=enum_to_proto(registry_pb2.Protocol, "PROTOCOL", instance.protocol),
        weight=instance.weight,
        tags=instance.tags,
        metadata=instance.metadata,
        version=instance.version,
        zone=instance.zone,
        health=health_to_proto(instance.health),
        health_note=instance.health_note,
        ttl=duration(instance.ttl),
        register_time=timestamp(instance.register_time),
        heartbeat_time=timestamp(instance.heartbeat_time),
    )


def health_to_proto(health: Health) -> registry_pb2.HealthState.ValueType:
    """Show a health."""
    number: registry_pb2.HealthState.ValueType = enum_to_proto(
        registry_pb2.HealthState, "HEALTH_STATE", health
    )
    return number


def health_from_proto(number: int) -> Health | None:
    """Read a health; None when it is not said."""
    return enum_from_proto(registry_pb2.HealthState, "HEALTH_STATE", Health, number)


def report_to_proto(report: HealthReport) -> registry_pb2.ServiceHealth:
    """Show how well a service is."""
    if report.healthy:
        health = registry_pb2.HEALTH_STATUS_HEALTHY
    elif report.callable:
        health = registry_pb2.HEALTH_STATUS_DEGRADED
    else:
        health = registry_pb2.HEALTH_STATUS_UNHEALTHY
    return registry_pb2.ServiceHealth(
        service_id=report.service.id,
        service=report.service.name,
        health=health,
        instances=[instance_to_proto(i, report.service.name) for i in report.instances],
        note=report.note,
    )
