"""Which types JSON Schemas allow, as far as that is certain.

Everything here errs on one side: it may fail to notice that two schemas
exclude each other, but it never claims it when they do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from weft.core.schema import Schema, resolve_local

__all__ = ["ALL_TYPES", "FRACTION", "Types", "allows_objects", "disjoint", "show_types", "types_of_value"]

FRACTION: Final = "fraction"
"""A number that is no integer: `number` is `integer` and this."""
ALL_TYPES: Final = frozenset({"null", "boolean", "object", "array", "string", "integer", FRACTION})

_MAX_DEPTH: Final = 16
"""References and branches followed; what lies deeper may be anything."""


def disjoint(some: frozenset[str], others: frozenset[str]) -> bool:
    """Tell whether no value has a type of both; a side that allows nothing says nothing."""
    return bool(some) and bool(others) and some.isdisjoint(others)


def show_types(types: frozenset[str]) -> str:
    """Name types as JSON Schema does: ``string or null``."""
    names = set(types)
    if FRACTION in names:
        names = names - {FRACTION, "integer"} | {"number"}
    return " or ".join(sorted(names)) or "nothing"


def allows_objects(schema: Schema) -> bool:
    """Tell whether a schema may accept an object at all."""
    return "object" in Types(schema.definition).of(schema.definition)


class Types:
    """Tells the types that the subschemas of one schema accept; each is looked at once."""

    __slots__ = ("_known", "root")

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._known: dict[int, frozenset[str]] = {}

    def of(self, node: object, depth: int = 0) -> frozenset[str]:
        """Return a superset of the types that a subschema accepts."""
        if node is False:
            return frozenset()
        if not isinstance(node, Mapping) or depth > _MAX_DEPTH:
            return ALL_TYPES
        if "$id" in node and node is not self.root:
            return ALL_TYPES  # its references start somewhere else
        if id(node) not in self._known:
            self._known[id(node)] = self._find(node, depth)
        return self._known[id(node)]

    def follow(self, node: object) -> object:
        """Return where a reference leads."""
        for _ in range(_MAX_DEPTH):
            if not isinstance(node, Mapping) or "$ref" not in node:
                return node
            node = resolve_local(self.root, node["$ref"])
        return True

    def _find(self, node: Mapping[str, Any], depth: int) -> frozenset[str]:
        if "$ref" in node:
            # Older drafts ignore what stands beside a reference, so only the target counts.
            return self.of(resolve_local(self.root, node["$ref"]), depth + 1)
        types = _declared(node)
        for keyword in ("anyOf", "oneOf"):
            branches = node.get(keyword)
            if isinstance(branches, list) and branches:
                types &= frozenset().union(*(self.of(branch, depth + 1) for branch in branches))
        branches = node.get("allOf")
        for branch in branches if isinstance(branches, list) else ():
            types &= self.of(branch, depth + 1)
        return types


def _declared(node: Mapping[str, Any]) -> frozenset[str]:
    """Return what ``type``, ``enum`` and ``const`` leave."""
    types = ALL_TYPES
    declared = node.get("type")
    if isinstance(declared, str):
        types = _expand(declared)
    elif isinstance(declared, list):
        types = frozenset().union(*(_expand(name) for name in declared))
    if isinstance(node.get("enum"), list):
        types &= frozenset().union(*(types_of_value(value) for value in node["enum"]))
    if "const" in node:
        types &= types_of_value(node["const"])
    return types


def _expand(name: object) -> frozenset[str]:
    if name == "number":
        return frozenset({"integer", FRACTION})
    return frozenset({name}) if isinstance(name, str) and name in ALL_TYPES else ALL_TYPES


def types_of_value(value: object) -> frozenset[str]:
    """Return the type of a JSON value."""
    if value is None:
        return frozenset({"null"})
    names = {bool: "boolean", str: "string", list: "array", dict: "object", int: "integer"}
    if isinstance(value, float):
        return frozenset({"integer" if value.is_integer() else FRACTION})
    return _expand(names.get(type(value)))
