"""What is known of values before there are any: from schemas, templates and kinds of steps.

All of it errs on one side: a value may be less than what is said of it, and
what is said to be impossible is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from weft.core.schema import ANY_OBJECT, Schema
from weft.server.workflow.checks.basis.compat import ALL_TYPES, Types, types_of_value

__all__ = [
    "ANY_SHAPE",
    "ANY_VALUE",
    "Shape",
    "Value",
    "made",
    "text_or",
    "union",
    "union_of",
    "value_of_json",
]

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
_MOST: Final = 64
"""Elements of a literal list, and sides of a union, that are looked at."""


class Value:
    """What is known of a value.

    Attributes:
        types: What it may be.
    """

    __slots__ = ("_element", "_shape", "types")

    def __init__(
        self, types: frozenset[str] = ALL_TYPES, shape: Shape | None = None, element: Value | None = None
    ) -> None:
        self.types = types
        self._shape = shape
        self._element = element

    @property
    def shape(self) -> Shape:
        """What is known of its members, if it is an object."""
        return self._shape or ANY_SHAPE

    @property
    def element(self) -> Value:
        """What is known of its elements, if it is a list."""
        return self._element or ANY_VALUE

    def at(self, path: Sequence[str | int]) -> Value:
        """Return what a member of a member … is; a number stands for elements of a list."""
        found: Value = self
        for part in path:
            found = found.element if isinstance(part, int) else found.shape.member(part)
        return found


class _Declared(Value):
    """What a part of a schema says."""

    __slots__ = ("_node", "_root")

    def __init__(self, root: Types, node: object) -> None:
        super().__init__(root.of(node))
        self._root = root
        self._node = node

    @property
    def shape(self) -> Shape:
        if self._shape is None:
            node = self._root.follow(self._node)
            known = not _moves(self._node) and not _moves(node)
            self._shape = _shape_of(self._root, self._node, node) if known else ANY_SHAPE
        return self._shape

    @property
    def element(self) -> Value:
        node = self._root.follow(self._node)
        if not isinstance(node, Mapping) or _moves(self._node) or _moves(node) or "prefixItems" in node:
            return ANY_VALUE
        items = node.get("items", True)
        return ANY_VALUE if isinstance(items, list) else _Declared(self._root, items)


def _moves(node: object) -> bool:
    """Tell whether the references of a part start somewhere else."""
    return isinstance(node, Mapping) and "$id" in node


class Shape:
    """What is known of an object's members.

    Attributes:
        names: Those that are declared, in their order.
        required: Those that are always there.
        strict: Whether members that are not named are impossible.
        vague: Whether members that are not named are to be expected.
        schema: Where that comes from; none when it comes from elsewhere.
    """

    __slots__ = ("_members", "_opening", "_others", "names", "required", "schema", "strict", "vague")

    def __init__(
        self,
        members: Mapping[str, Value],
        *,
        required: Iterable[str] = (),
        strict: bool = False,
        vague: bool = False,
        opening: bool = False,
        others: Value | None = None,
        schema: Schema | None = None,
    ) -> None:
        self._members = members
        self.names = list(members)
        self.required = dict.fromkeys(required)
        self.strict = strict
        self.vague = vague
        self._opening = opening
        self._others = others
        self.schema = schema

    @classmethod
    def of_schema(cls, schema: Schema) -> Shape:
        """Return what a compiled schema says of an object."""
        root = Types(schema.definition)
        shape = _shape_of(root, schema.definition, schema.top)
        shape.schema = schema
        return shape

    @property
    def opening(self) -> bool:
        """Whether more may be said about members than is known."""
        return self._opening

    def requires(self, name: str) -> bool:
        """Tell whether the member is always there."""
        return name in self.required

    def is_optional(self, name: str) -> bool:
        """Tell whether the member is declared and may be missing, as far as nothing else is said of it."""
        return name in self._members and not self.requires(name) and not self._opening

    def lacks(self, name: str) -> bool:
        """Tell whether the member is not to be expected."""
        return name not in self._members and not self.requires(name) and not self.vague

    def member(self, name: str) -> Value:
        """Return what is known of a member."""
        return self._members.get(name) or self._others or ANY_VALUE

    def types(self, name: str) -> frozenset[str]:
        """Return the types that the member may have."""
        return self.member(name).types

    def over(self, base: Shape) -> Shape:
        """Return what an object is that takes over the members of another, its own winning."""
        members = dict(base._members)
        for name, value in self._members.items():
            kept = name in members and not self.requires(name)
            members[name] = union([members[name], value]) if kept else value
        if self.vague:
            members = {name: self._members.get(name, ANY_VALUE) for name in members}
        return Shape(
            members,
            required=(*base.required, *self.required),
            strict=self.strict and base.strict,
            vague=self.vague or base.vague,
            opening=self._opening or base._opening,
        )


def _shape_of(root: Types, node: object, top: object) -> Shape:
    """Read a part of a schema; ``top`` is where its references lead."""
    if not isinstance(top, Mapping):
        return ANY_SHAPE
    declared = top.get("properties")
    properties = declared if isinstance(declared, Mapping) else {}
    others = top.get("additionalProperties")
    strict = others is False and "patternProperties" not in top
    opening = not _OPENING.isdisjoint(top) or _has_siblings(node)
    silent = "patternProperties" in top or "$ref" in top or not isinstance(others, Mapping)
    required = top.get("required")
    return Shape(
        {name: _Declared(root, inner) for name, inner in properties.items()},
        required=[name for name in required if isinstance(name, str)] if isinstance(required, list) else (),
        strict=strict,
        vague=not strict and (opening or not properties),
        opening=opening,
        others=None if silent else _Declared(root, others),
    )


def _has_siblings(node: object) -> bool:
    """Tell whether something beside a reference says more about members."""
    return isinstance(node, Mapping) and "$ref" in node and not {"properties", *_OPENING}.isdisjoint(node)


def made(members: Mapping[str, Value], *, optional: Iterable[str] = ()) -> Value:
    """Return an object of just these members."""
    left_out = set(optional)
    required = [name for name in members if name not in left_out]
    return Value(frozenset({"object"}), Shape(members, required=required, strict=True))


def text_or(*types: str) -> Value:
    """Return a scalar of these types."""
    return Value(frozenset(types))


def union(values: Sequence[Value]) -> Value:
    """Return what a value is that is one of several."""
    if len(values) == 1:
        return values[0]
    if not values or len(values) > _MOST or any(value is ANY_VALUE for value in values):
        return ANY_VALUE
    return _Either(values)


class _Either(Value):
    """One of several; its parts are only put together when somebody asks."""

    __slots__ = ("_values",)

    def __init__(self, values: Sequence[Value]) -> None:
        super().__init__(frozenset().union(*(value.types for value in values)))
        self._values = values

    @property
    def shape(self) -> Shape:
        if self._shape is None:
            self._shape = union_of([value.shape for value in self._values if "object" in value.types])
        return self._shape

    @property
    def element(self) -> Value:
        if self._element is None:
            self._element = union([value.element for value in self._values if "array" in value.types])
        return self._element


def union_of(shapes: list[Shape]) -> Shape:
    """Return what an object is that is one of several."""
    if not shapes:
        return ANY_SHAPE
    names = dict.fromkeys(name for shape in shapes for name in shape.names)
    strict = all(shape.strict for shape in shapes)
    return Shape(
        {name: union(_having(shapes, name)) for name in names},
        required=[name for name in names if all(shape.requires(name) for shape in shapes)],
        strict=strict,
        vague=any(shape.vague for shape in shapes),
        opening=any(shape.opening for shape in shapes),
    )


def _having(shapes: list[Shape], name: str) -> list[Value]:
    """Return what a member is in each of the shapes that may have it."""
    return [shape.member(name) for shape in shapes if not shape.lacks(name)]


def value_of_json(value: Any) -> Value:
    """Return what is known of a value that is there."""
    if isinstance(value, dict):
        return made({name: value_of_json(item) for name, item in value.items()})
    if isinstance(value, list):
        few = value[:_MOST]
        element = union([value_of_json(item) for item in few]) if len(value) <= _MOST else ANY_VALUE
        return Value(frozenset({"array"}), None, element if value else ANY_VALUE)
    return Value(types_of_value(value))


ANY_VALUE: Final = Value()
"""A value of which nothing is known."""
ANY_SHAPE: Final = Shape({}, vague=True, schema=ANY_OBJECT)
"""An object of which nothing is known."""
