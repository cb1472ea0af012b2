"""The schemas of actions and the messages of RPCs, compiled once and kept while they are in use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from weft.core.errors import ResourceNotFoundError
from weft.core.names import did_you_mean
from weft.core.schema import Schema, schema_of
from weft.mesh.dynamic.descriptors import ServiceDescriptors
from weft.mesh.grpc_methods import GrpcMethodInvoker
from weft.server.registry.model import Action, Service, ServiceVersion

__all__ = ["ActionSchemas", "SchemaCache"]

_BASE_BYTES: Final = 512
"""What an action counts for beside the text of its schemas."""


@dataclass(frozen=True, slots=True)
class ActionSchemas:
    """An action that is ready to be called."""

    action: Action
    """As it is registered."""
    input: Schema
    """What it takes."""
    output: Schema
    """What it gives."""
    invoker: GrpcMethodInvoker | None
    """Makes the RPC behind the action; None: it is called as an action."""
    size: int
    """How many bytes it counts for."""


@dataclass(slots=True)
class _OfService:
    revision: int
    size: int = 0
    actions: dict[tuple[str, str], ActionSchemas] = field(default_factory=dict)
    """By version and name."""
    invokers: dict[str, GrpcMethodInvoker] = field(default_factory=dict)
    """By version: they share what they look up."""


class SchemaCache:
    """Keeps compiled schemas: of each service one revision, and not more than fits.

    Args:
        max_bytes: How much schema text may be behind what is kept. When it is
            more, the services that were called longest ago go first.
    """

    def __init__(self, max_bytes: int = 16 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._services: OrderedDict[str, _OfService] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """How many bytes count now."""
        return self._size

    def of(self, service: Service, action_name: str, version: ServiceVersion | None = None) -> ActionSchemas:
        """Return the schemas of an action of a service as it is now.

        Args:
            service: Which service.
            action_name: Which action of it.
            version: Which of its API versions; none: the newest.

        Raises:
            ResourceNotFoundError: ACTION_NOT_FOUND.
        """
        known = self._services.get(service.id)
        if known is None or known.revision != service.revision:
            self._drop(service.id)
            known = self._services[service.id] = _OfService(service.revision)
        self._services.move_to_end(service.id)
        offer = version or service.versions[0]
        key = (offer.version, action_name)
        found = known.actions.get(key)
        if found is None:
            found = _compile(service, offer, action_name, known.invokers)
            self._make_room(known, found.size)
            known.actions[key] = found
            known.size += found.size
            self._size += found.size
        return found

    def _make_room(self, wanting: _OfService, size: int) -> None:
        while self._size + size > self._max_bytes and len(self._services) > 1:
            self._drop(next(iter(self._services)))
        if self._size + size > self._max_bytes:
            self._size -= wanting.size
            wanting.size = 0
            wanting.actions.clear()
            wanting.invokers.clear()

    def _drop(self, service_id: str) -> None:
        dropped = self._services.pop(service_id, None)
        if dropped is not None:
            self._size -= dropped.size


def _compile(
    service: Service,
    offer: ServiceVersion,
    action_name: str,
    invokers: dict[str, GrpcMethodInvoker],
) -> ActionSchemas:
    action = offer.action(action_name)
    if action is None:
        raise _no_action(service, offer, action_name)
    size = _BASE_BYTES + _size(action.input_schema) + _size(action.output_schema)
    invoker: GrpcMethodInvoker | None = None
    if action.grpc_method:
        invoker = invokers.get(offer.version)
        if invoker is None:
            descriptors = ServiceDescriptors.from_set(offer.descriptor_set)
            invoker = invokers[offer.version] = GrpcMethodInvoker(descriptors)
            size += len(offer.descriptor_set)
    return ActionSchemas(
        action, schema_of(action.input_schema), schema_of(action.output_schema), invoker, size
    )


def _size(definition: Mapping[str, object] | None) -> int:
    return 0 if definition is None else len(orjson.dumps(definition))


def _no_action(service: Service, offer: ServiceVersion, name: str) -> ResourceNotFoundError:
    hint = did_you_mean(name, [action.name for action in offer.actions])
    which = f" in version {offer.version}" if service.other_versions else ""
    text = f"{service.name!r} has no action {name!r}{which}"
    return ResourceNotFoundError("action", name, message=f"{text}; {hint}" if hint else text)
