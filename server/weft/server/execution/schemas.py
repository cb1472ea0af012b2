"""The schemas of actions, compiled once and kept while they are in use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from weft.core.errors import ResourceNotFoundError
from weft.core.names import did_you_mean
from weft.core.schema import Schema, schema_of
from weft.server.registry.model import Action, Service

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
    size: int
    """How many bytes it counts for."""


@dataclass(slots=True)
class _OfService:
    revision: int
    size: int = 0
    actions: dict[str, ActionSchemas] = field(default_factory=dict)


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

    def of(self, service: Service, action_name: str) -> ActionSchemas:
        """Return the schemas of an action of a service as it is now.

        Raises:
            ResourceNotFoundError: ACTION_NOT_FOUND.
        """
        known = self._services.get(service.id)
        if known is None or known.revision != service.revision:
            self._drop(service.id)
            known = self._services[service.id] = _OfService(service.revision)
        self._services.move_to_end(service.id)
        found = known.actions.get(action_name)
        if found is None:
            found = _compile(service, action_name)
            self._make_room(known, found.size)
            known.actions[action_name] = found
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

    def _drop(self, service_id: str) -> None:
        dropped = self._services.pop(service_id, None)
        if dropped is not None:
            self._size -= dropped.size


def _compile(service: Service, action_name: str) -> ActionSchemas:
    action = service.action(action_name)
    if action is None:
        raise _no_action(service, action_name)
    size = _BASE_BYTES + _size(action.input_schema) + _size(action.output_schema)
    return ActionSchemas(action, schema_of(action.input_schema), schema_of(action.output_schema), size)


def _size(definition: Mapping[str, object] | None) -> int:
    return 0 if definition is None else len(orjson.dumps(definition))


def _no_action(service: Service, name: str) -> ResourceNotFoundError:
    hint = did_you_mean(name, [action.name for action in service.actions])
    text = f"{service.name!r} has no action {name!r}"
    return ResourceNotFoundError("action", name, message=f"{text}; {hint}" if hint else text)
