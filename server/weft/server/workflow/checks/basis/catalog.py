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
from weft.server.registry.model import Service, ServiceVersion
from weft.server.registry.versions import choose
from weft.server.workflow.checks.basis.shapes import ANY_SHAPE, Shape

__all__ = ["ANY_PORTS", "Catalog", "Ports", "offer_for", "ports_of", "shape_of"]

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
        if schema is None:
            return None
        kept = {key: schema.definition[key] for key in _KEPT if key in schema.definition}
        try:
            return compile_schema({**kept, "properties": dict(schema.properties)})
        except ValidationError:
            return None  # a reference to elsewhere: then the execution will tell


ANY_PORTS: Final = Ports()
"""An action of which nothing is known."""


class Catalog:
    """Finds what an action takes and gives."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        self._services = services
        self._ports: dict[tuple[str, str, str], Ports | None] = {}

    def ports(self, service: str, action: str, versions: str = "") -> Ports | None:
        """Return what an action takes and gives; nothing for an unknown one."""
        key = (service, versions, action)
        if key not in self._ports:
            known = self._services.get(service)
            offer = offer_for(versions, known) if known else None
            found = offer.action(action) if offer else None
            self._ports[key] = ports_of(found.input_schema, found.output_schema) if found else None
        return self._ports[key]


def offer_for(versions: str, service: Service) -> ServiceVersion | None:
    """Return the API version whose actions a step calls; None when there is none, or its range is none."""
    try:
        choice = choose(service, VersionRange.parse(versions))
    except ValidationError:
        return None
    return choice.offer if choice else None


def ports_of(takes: JsonObject | None, gives: JsonObject | None) -> Ports:
    """Return what somebody takes and gives, from the schemas of that."""
    return Ports(input=shape_of(takes), output=shape_of(gives))


def shape_of(definition: JsonObject | None) -> Shape:
    """Compile a registered schema; one that a later release refuses tells nothing."""
    if definition is None:
        return ANY_SHAPE
    try:
        return Shape.of_schema(compile_schema(definition))
    except ValidationError:
        return ANY_SHAPE
