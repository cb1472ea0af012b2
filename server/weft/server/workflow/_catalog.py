"""The schemas of the actions that a definition names, compiled once each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from weft.core.errors import ValidationError, Violation
from weft.core.payload import JsonObject
from weft.core.schema import Schema, compile_schema
from weft.core.version import VersionRange
from weft.server.registry.model import Action, Service, ServiceVersion
from weft.server.registry.versions import choose
from weft.server.workflow._compat import ANY_SHAPE, Shape
from weft.server.workflow.model import Step

__all__ = ["ANY_PORTS", "Catalog", "Ports", "offer_for"]

_KEPT: Final = ("$schema", "$defs", "definitions")


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What an action takes and gives."""

    input: Shape = field(default=ANY_SHAPE)
    """What is known of its input."""
    output: Shape = field(default=ANY_SHAPE)
    """What is known of its output."""

    def literal_faults(self, literals: JsonObject, path: str) -> list[Violation]:
        """Hold single members of the input against their subschemas, whether others are there or not."""
        return self._members.violations(literals, path) if self._members and literals else []

    @cached_property
    def _members(self) -> Schema | None:
        """Return the input schema without what it says of the object as a whole."""
        schema = self.input.schema
        kept = {key: schema.definition[key] for key in _KEPT if key in schema.definition}
        try:
            return compile_schema({**kept, "properties": dict(schema.properties)})
        except ValidationError:
            return None  # a reference to elsewhere: then the execution will tell


ANY_PORTS: Final = Ports()
"""An action of which nothing is known."""


class Catalog:
    """Finds what the action of a step takes and gives."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        self._services = services
        self._ports: dict[tuple[str, str, str], Ports | None] = {}

    def ports(self, step: Step) -> Ports | None:
        """Return what the step's action takes and gives; nothing for an unknown action."""
        key = (step.service, step.service_version, step.action)
        if key not in self._ports:
            service = self._services.get(step.service)
            offer = offer_for(step, service) if service else None
            action = offer.action(step.action) if offer else None
            self._ports[key] = _ports_of(action) if action else None
        return self._ports[key]


def offer_for(step: Step, service: Service) -> ServiceVersion | None:
    """Return the API version whose actions a step calls; None when there is none, or its range is none."""
    try:
        choice = choose(service, VersionRange.parse(step.service_version))
    except ValidationError:
        return None
    return choice.offer if choice else None


def _ports_of(action: Action) -> Ports:
    return Ports(input=_shape(action.input_schema), output=_shape(action.output_schema))


def _shape(definition: JsonObject | None) -> Shape:
    """Compile a registered schema; one that a later release refuses tells nothing."""
    if definition is None:
        return ANY_SHAPE
    try:
        return Shape(compile_schema(definition))
    except ValidationError:
        return ANY_SHAPE
