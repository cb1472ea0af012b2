"""What JSON Schemas say for certain about the members of an object.

Everything here errs on one side: it may fail to notice that two schemas
exclude each other, but it never claims it when they do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from weft.core.schema import ANY_OBJECT, Schema, resolve_local

__all__ = ["ALL_TYPES", "ANY_SHAPE", "FRACTION", "Shape", "Types", "allows_objects", "disjoint", "show_types"]

FRACTION: Final = "fraction"
"""A number that is no integer: `number` is `integer` and this."""
ALL_TYPES: Final = frozenset({"null", "boolean", "object", "array", "string", "integer", FRACTION})

_MAX_DEPTH: Final = 16
"""References and branches followed; what lies deeper may be anything."""
_OPENING: Final = frozenset(
    {
        "$dynamicRef",
        "$recursiveRef",
        "allOf",
        "anyOf",
        "dependencies",
        "dependentSchemas",
        "else",
        "if",
        "not",
        "oneOf",
        "patternProperties",
        "propertyNames",
        "then",
        "unevaluatedProperties",
    }
)
"""Keywords by which more may be said about members than ``properties`` tells."""


class Shape:
    """What is known of an object's members.

    Attributes:
        schema: Where that comes from.
        strict: Whether members that it does not name are impossible.
        vague: Whether members that it does not name are to be expected.
    """

    __slots__ = ("_opening", "_others", "_types", "schema", "strict", "vague")

    def __init__(self, schema: Schema) -> None:
        top = schema.top
        opening = not _OPENING.isdisjoint(top) or _has_siblings(schema.definition)
        self.schema = schema
        self.strict = schema.closed and "patternProperties" not in top
        self.vague = not self.strict and (opening or not schema.properties)
        self._types = Types(schema.definition)
        others = top.get("additionalProperties")
        silent = "patternProperties" in top or "$ref" in top or not isinstance(others, Mapping)
        self._others = True if silent else others
        self._opening = opening

    @property
    def names(self) -> list[str]:
        """The members it names."""
        return list(self.schema.properties)

    def requires(self, name: str) -> bool:
        """Tell whether the member is always there."""
        return name in self.schema.required

    def is_optional(self, name: str) -> bool:
        """Tell whether the member is declared and may be missing, as far as nothing else is said of it."""
        return name in self.schema.properties and not self.requires(name) and not self._opening

    def lacks(self, name: str) -> bool:
        """Tell whether the member is not to be expected."""
        return name not in self.schema.properties and not self.requires(name) and not self.vague

    def types(self, name: str) -> frozenset[str]:
        """Return the types that the member may have."""
        return self._types.of(self.schema.properties.get(name, self._others))

    def types_at(self, path: Sequence[str | int]) -> frozenset[str]:
        """Return the types that a member of a member … may have; a number stands for elements of a list."""
        node: object = self.schema.properties.get(str(path[0]), self._others)
        for part in path[1:]:
            node = _inner(self._types.follow(node), part)
        return self._types.of(node)


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

    __slots__ = ("_known", "_root")

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._known: dict[int, frozenset[str]] = {}

    def of(self, node: object, depth: int = 0) -> frozenset[str]:
        """Return a superset of the types that a subschema accepts."""
        if node is False:
            return frozenset()
        if not isinstance(node, Mapping) or depth > _MAX_DEPTH:
            return ALL_TYPES
        if "$id" in node and node is not self._root:
            return ALL_TYPES  # its references start somewhere else
        if id(node) not in self._known:
            self._known[id(node)] = self._find(node, depth)
        return self._known[id(node)]

    def follow(self, node: object) -> object:
        """Return where a reference leads."""
        for _ in range(_MAX_DEPTH):
            if not isinstance(node, Mapping) or "$ref" not in node:
                return node
            node = resolve_local(self._root, node["$ref"])
        return True

    def _find(self, node: Mapping[str, Any], depth: int) -> frozenset[str]:
        if "$ref" in node:
            # Older drafts ignore what stands beside a reference, so only the target counts.
            return self.of(resolve_local(self._root, node["$ref"]), depth + 1)
        types = _declared(node)
        for keyword in ("anyOf", "oneOf"):
            branches = node.get(keyword)
            if isinstance(branches, list) and branches:
                types &= frozenset().union(*(self.of(branch, depth + 1) for branch in branches))
        branches = node.get("allOf")
        for branch in branches if isinstance(branches, list) else ():
            types &= self.of(branch, depth + 1)
        return types


def _inner(node: object, part: str | int) -> object:
    """Return what a subschema says of one member or of the elements; anything when it says nothing."""
    if not isinstance(node, Mapping) or "$id" in node:
        return True
    if isinstance(part, int):
        return True if "prefixItems" in node else node.get("items", True)
    named = node.get("properties")
    return named.get(part, True) if isinstance(named, Mapping) else True


def _declared(node: Mapping[str, Any]) -> frozenset[str]:
    """Return what ``type``, ``enum`` and ``const`` leave."""
    types = ALL_TYPES
    declared = node.get("type")
    if isinstance(declared, str):
        types = _expand(declared)
    elif isinstance(declared, list):
        types = frozenset().union(*(_expand(name) for name in declared))
    if isinstance(node.get("enum"), list):
        types &= frozenset().union(*(_types_of_value(value) for value in node["enum"]))
    if "const" in node:
        types &= _types_of_value(node["const"])
    return types


def _expand(name: object) -> frozenset[str]:
    if name == "number":
        return frozenset({"integer", FRACTION})
    return frozenset({name}) if isinstance(name, str) and name in ALL_TYPES else ALL_TYPES


def _types_of_value(value: object) -> frozenset[str]:
    if value is None:
        return frozenset({"null"})
    names = {bool: "boolean", str: "string", list: "array", dict: "object", int: "integer"}
    if isinstance(value, float):
        return frozenset({"integer" if value.is_integer() else FRACTION})
    return _expand(names.get(type(value)))


def _has_siblings(definition: Mapping[str, Any]) -> bool:
    """Tell whether something beside a reference at the top says more about members."""
    return "$ref" in definition and not {"properties", *_OPENING}.isdisjoint(definition)


ANY_SHAPE: Final = Shape(ANY_OBJECT)
"""An object of which nothing is known."""
