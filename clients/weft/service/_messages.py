"""Definitions as the messages of the registry."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf import duration_pb2

from weft.api.common.v1 import payload_pb2
from weft.api.registry.v1 import registry_pb2, registry_service_pb2
from weft.core.payload import JsonObject, PayloadKind, from_payload, to_payload, to_struct
from weft.core.version import api_version
from weft.discovery.model import Health
from weft.service._config import Address, HostConfig
from weft.service._model import ActionDefinition, ServiceDefinition

__all__ = [
    "HEALTH_STATES",
    "action_message",
    "register_instance_request",
    "register_service_request",
    "replaced_actions",
]

HEALTH_STATES = {
    Health.PASSING: registry_pb2.HEALTH_STATE_PASSING,
    Health.WARNING: registry_pb2.HEALTH_STATE_WARNING,
    Health.CRITICAL: registry_pb2.HEALTH_STATE_CRITICAL,
    Health.DRAINING: registry_pb2.HEALTH_STATE_DRAINING,
}


def action_message(action: ActionDefinition, kind: PayloadKind) -> registry_pb2.Action:
    """Describe an action, with its schemas in the kind asked for."""
    message = registry_pb2.Action(
        name=action.name,
        description=action.description,
        input_schema=to_payload(action.input.schema, kind),
        output_schema=to_payload(action.output.schema, kind),
        idempotent=action.idempotent,
        compensation=action.compensation,
    )
    if action.timeout is not None:
        message.timeout.FromTimedelta(action.timeout)
    return message


def register_service_request(service: ServiceDefinition) -> registry_service_pb2.RegisterServiceRequest:
    """Say what the service can do, replacing what was said before."""
    kind = payload_pb2.PAYLOAD_KIND_JSON
    return registry_service_pb2.RegisterServiceRequest(
        service=registry_pb2.Service(
            name=service.name,
            description=service.description,
            actions=[action_message(action, kind) for action in service.actions.values()],
            metadata=to_struct(service.metadata),
            version=service.version,
        ),
        on_conflict=registry_service_pb2.CONFLICT_POLICY_REPLACE,
    )


def replaced_actions(before: registry_pb2.Service, now: registry_pb2.Service) -> tuple[list[str], list[str]]:
    """Return the names of the actions that a registration removed, and of those with other schemas.

    The actions of another API version live side by side with these: nobody took them.
    """
    new = {action.name: _schemas(action) for action in now.actions}
    old = _actions_beside(before, now.version)
    removed = [action.name for action in old if action.name not in new]
    changed = [a.name for a in old if a.name in new and new[a.name] != _schemas(a)]
    return removed, changed


def _actions_beside(service: registry_pb2.Service, version: str) -> Sequence[registry_pb2.Action]:
    """Return the actions that a registration with that version takes the place of."""
    if not version or not service.version or api_version(version) == api_version(service.version):
        return service.actions
    others = (it.actions for it in service.other_versions if api_version(it.version) == api_version(version))
    return next(others, ())


def _schemas(action: registry_pb2.Action) -> tuple[JsonObject, JsonObject]:
    return from_payload(action.input_schema), from_payload(action.output_schema)


def register_instance_request(
    service: ServiceDefinition,
    instance_id: str,
    address: Address,
    config: HostConfig,
) -> registry_service_pb2.RegisterInstanceRequest:
    """Say where one instance of the service is."""
    ttl = duration_pb2.Duration()
    ttl.FromTimedelta(config.ttl)
    return registry_service_pb2.RegisterInstanceRequest(
        service=service.name,
        instance=registry_pb2.Instance(
            id=instance_id,
            host=address.host,
            port=address.port,
            protocol=registry_pb2.PROTOCOL_GRPC,
            weight=service.weight,
            tags=service.tags,
            version=service.version,
            zone=service.zone,
            ttl=ttl,
        ),
    )
