"""JSON Schemas of messages: what the codec takes as input, and what it gives as output.

The two differ. Input may name a field in two ways, give an integer as a text and
null for a field that is not set; output has one form, with every field that has
no presence. Not said by a schema, and found by the codec: that of a oneof one
field can be set, that a text names a number in range or a time that exists.

A schema must stay within the limits of the registry. One that would not says
less, step by step: no comments, then only the fields' own names (others are not
refused any more), then no details of messages nested deeper than 6, 4, 3, 2, 1
levels, then none of nested ones at all; at last that it is an object. That is also
all that is said once the effort for a service is spent: a few hundred bytes can
describe messages whose schemas would take minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from weft.core.errors import ValidationError
from weft.core.payload import JsonObject
from weft.core.schema import compile_schema
from weft.mesh.dynamic._scalars import BASE64_TEXT, FLOAT_TEXT, INTEGER_TEXT, INTEGERS, NULL_ENUM
from weft.mesh.dynamic._schema_parts import PATTERNS, SPECIAL, object_of, or_null, redirected
from weft.mesh.dynamic._wellknown import (
    WRAPPERS,
    entry_of,
    has_null_elements,
    is_map,
)
from weft.mesh.dynamic.codec import is_wrapped
from weft.mesh.dynamic.descriptors import ServiceDescriptors
from weft.mesh.dynamic.effort import COMPILE_PART, COMPILE_REF, Effort

__all__ = ["MAX_REQUESTS", "input_schema", "output_schema"]

MAX_REQUESTS: Final = 1_000
"""Messages of a stream that is given as a list."""

_MAX_PARTS: Final = 1_900
"""Objects and lists that a schema may be made of before it is tried with less."""
_MAX_ENUM: Final = 200
"""Names that an enum lists; a larger one takes any."""
_MAX_PATTERNS: Final = 200
_MAX_DESCRIPTION: Final = 400
_FLOATS: Final = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)
_LARGE: Final = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Detail:
    """How much a schema says."""

    comments: bool = False
    aliases: bool = False
    depth: int


_DEEP: Final = 20
_DETAILS: Final = (
    _Detail(comments=True, aliases=True, depth=_DEEP),
    _Detail(aliases=True, depth=_DEEP),
    *(_Detail(depth=depth) for depth in (_DEEP, 6, 4, 3, 2, 1, 0)),
)


class _TooLargeError(Exception):
    """The schema would have too many parts."""


def input_schema(
    descriptors: ServiceDescriptors, kind: Descriptor, *, stream: bool = False, effort: Effort | None = None
) -> JsonObject:
    """Return the schema of what is taken for a message.

    Args:
        descriptors: Where it is from.
        kind: Its type.
        stream: Whether a list of them is taken, under ``requests``.
        effort: What may be spent; when nothing is left, any object is taken.
    """
    return _made(descriptors, kind, "requests" if stream else "", effort or Effort(), takes=True)


def output_schema(
    descriptors: ServiceDescriptors, kind: Descriptor, *, stream: bool = False, effort: Effort | None = None
) -> JsonObject:
    """Return the schema of what a message is written as.

    Args:
        descriptors: Where it is from.
        kind: Its type.
        stream: Whether a list of them is given, under ``responses``.
        effort: What may be spent; when nothing is left, any object is given.
    """
    return _made(descriptors, kind, "responses" if stream else "", effort or Effort(), takes=False)


def _made(
    descriptors: ServiceDescriptors, kind: Descriptor, listed: str, effort: Effort, *, takes: bool
) -> JsonObject:
    for detail in _DETAILS:
        if effort.left <= 0:
            break
        builder = _Builder(descriptors, detail, takes=takes)
        try:
            schema = builder.build(kind, listed)
            effort.left -= builder.parts * COMPILE_PART + builder.references * COMPILE_REF
            compile_schema(schema)
        except (ValidationError, _TooLargeError):
            continue
        finally:
            effort.left -= builder.parts
        return schema
    return {"type": "object"}


class _Builder:
    """Makes one schema; every message in it is a definition of its own.

    Attributes:
        parts: Fields that were written so far.
        references: Fields among them that are messages.
    """

    def __init__(self, descriptors: ServiceDescriptors, detail: _Detail, *, takes: bool) -> None:
        self._descriptors = descriptors
        self._detail = detail
        self._takes = takes
        self._defs: dict[str, JsonObject] = {}
        self._pending: list[tuple[Descriptor, int]] = []
        self.parts = 0
        self.references = 0
        self._patterns = 0

    def build(self, kind: Descriptor, listed: str) -> JsonObject:
        """Make the schema of a message, or of a list of them under a name."""
        if listed:
            items: JsonObject = {"type": "array", "items": self._element(kind, 1)}
            if self._takes:
                items["maxItems"] = MAX_REQUESTS
            top = object_of({listed: items}, [listed])
        elif is_wrapped(kind):
            top = object_of({"value": self._message(kind, 1)}, ["value"])
        elif kind.full_name in SPECIAL:
            top = self._message(kind, 1)
        else:
            self._defs[kind.full_name] = {}
            top = self._fields(kind, "#", 0)
        self._define()
        if not listed and kind.full_name in self._defs:
            del self._defs[kind.full_name]
            top = redirected(top, self._defs, kind.full_name)
        return {**top, "$defs": self._defs} if self._defs else top

    def _element(self, kind: Descriptor, depth: int) -> JsonObject:
        if is_wrapped(kind):
            return object_of({"value": self._message(kind, depth)}, ["value"])
        return self._message(kind, depth)

    def _define(self) -> None:
        """Define what was referred to, the nearest first."""
        number = 0
        while number < len(self._pending):
            kind, depth = self._pending[number]
            number += 1
            name = kind.full_name
            self._defs[name] = self._fields(kind, f"#/$defs/{name}", depth)

    def _fields(self, kind: Descriptor, where: str, depth: int) -> JsonObject:
        properties: JsonObject = {}
        required: list[str] = []
        for field in kind.fields:
            self.parts += 1
            if self.parts > _MAX_PARTS:
                raise _TooLargeError
            properties[field.name] = self._described(field, self._value(field, depth))
            if self._always(field):
                required.append(field.name)
        if self._takes and self._detail.aliases:
            others = [field for field in kind.fields if field.json_name not in properties]
            properties |= {field.json_name: {"$ref": f"{where}/properties/{field.name}"} for field in others}
        schema = object_of(properties, required)
        if self._takes and not self._detail.aliases:
            del schema["additionalProperties"]
        elif kind.is_extendable:
            schema["patternProperties"] = {"^\\[": {}}
        return {**self._comment(kind.full_name), **schema}

    def _always(self, field: FieldDescriptor) -> bool:
        """Tell whether a member must be there."""
        if not self._takes:
            return field.is_required or not field.has_presence
        return bool(field.is_required) and field.json_name == field.name

    def _comment(self, name: str) -> JsonObject:
        text = self._descriptors.comment(name) if self._detail.comments else ""
        return {"description": text[:_MAX_DESCRIPTION]} if text else {}

    def _described(self, field: FieldDescriptor, schema: JsonObject) -> JsonObject:
        comment = self._comment(field.full_name)
        group = field.containing_oneof
        if self._detail.comments and group is not None and len(group.fields) > 1:
            names = ", ".join(member.name for member in group.fields)
            text = f"One of {names}. {comment.get('description', '')}".strip()
            comment = {"description": text[:_MAX_DESCRIPTION]}
        return {**comment, **schema}

    def _value(self, field: FieldDescriptor, depth: int) -> JsonObject:
        if is_map(field):
            schema = self._map(field, depth)
        elif field.is_repeated:
            schema = {"type": "array", "items": self._single(field, depth)}
        else:
            schema = self._single(field, depth)
        always = field.is_required or has_null_elements(field)
        return or_null(schema) if self._takes and not always else schema

    def _map(self, field: FieldDescriptor, depth: int) -> JsonObject:
        key, value = entry_of(field)
        schema: JsonObject = {"type": "object", "additionalProperties": self._single(value, depth)}
        if key.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            schema["propertyNames"] = {"enum": ["false", "true"]}
        elif key.cpp_type in INTEGERS:
            schema["propertyNames"] = self._patterned(INTEGER_TEXT)
        return schema

    def _single(self, field: FieldDescriptor, depth: int) -> JsonObject:
        if field.message_type is not None:
            return self._message(field.message_type, depth + 1)
        return self._scalar(field)

    def _message(self, kind: Descriptor, depth: int) -> JsonObject:
        name = kind.full_name
        if name in WRAPPERS:
            return self._scalar(kind.fields_by_name["value"])
        if name in SPECIAL:
            schema = dict(SPECIAL[name])
            return {**schema, **self._patterned(PATTERNS[name])} if name in PATTERNS else schema
        if depth > self._detail.depth and name not in self._defs:
            return {"type": "object"}
        if name not in self._defs:
            self._defs[name] = {}
            self._pending.append((kind, depth))
        self.references += 1
        return {"$ref": f"#/$defs/{name}"}

    def _patterned(self, pattern: str) -> JsonObject:
        self._patterns += 1
        return {"pattern": f"^({pattern})$"} if self._patterns <= _MAX_PATTERNS else {}

    def _scalar(self, field: FieldDescriptor) -> JsonObject:
        kind = field.cpp_type
        if field.enum_type is not None:
            return self._enum(field)
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return {"type": "boolean"}
        if kind in INTEGERS:
            return self._integer(kind)
        if kind in _FLOATS:
            return {"type": ["number", "string"], **self._patterned(FLOAT_TEXT)}
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64", **self._patterned(BASE64_TEXT)}
        return {"type": "string"}

    def _integer(self, kind: int) -> JsonObject:
        smallest, largest = INTEGERS[kind]
        if not self._takes and kind not in _LARGE:
            return {"type": "integer", "minimum": smallest, "maximum": largest}
        bounds = {"minimum": smallest, "maximum": largest} if kind not in _LARGE else {}
        if kind == FieldDescriptor.CPPTYPE_UINT64:
            bounds = {"minimum": 0}
        return {"type": ["integer", "string"], **bounds, **self._patterned(INTEGER_TEXT)}

    def _enum(self, field: FieldDescriptor) -> JsonObject:
        enum = field.enum_type
        assert enum is not None
        if enum.full_name == NULL_ENUM:
            return {"type": "null"} if not self._takes else {"enum": [None, "NULL_VALUE", 0]}
        names = list(enum.values_by_name)
        if len(names) > _MAX_ENUM:
            return {"type": ["string", "integer"]}
        numbers = list(enum.values_by_number)
        if enum.is_closed:
            return {"enum": names} if not self._takes else {"anyOf": [{"enum": names}, {"enum": numbers}]}
        smallest, largest = INTEGERS[FieldDescriptor.CPPTYPE_INT32]
        other = {"type": "integer", "minimum": smallest, "maximum": largest}
        return {"anyOf": [{"enum": names}, other]}
