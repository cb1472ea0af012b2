"""Everything that is wrong with a value, as a message of a given type by the rules of ProtoJSON.

``json_format`` stops at the first fault, and takes some values for others: text
that is no base64, true for 1. What passes here it takes without a fault.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from weft.core.errors import Violation
from weft.core.names import closest
from weft.core.payload import MAX_DEPTH
from weft.core.reasons import Rule
from weft.mesh.dynamic._scalars import (
    INTEGER_TEXT,
    Fault,
    kind_of,
    scalar_fault,
    shown,
    text_fault,
)
from weft.mesh.dynamic._wellknown import (
    TEXTS,
    WRAPPERS,
    entry_of,
    has_null_elements,
    is_map,
    is_nullable,
    is_special,
    text_form_fault,
)

__all__ = ["Checker"]

_MAX_VIOLATIONS: Final = 100
_EXTENSION: Final = re.compile(r"\[[a-zA-Z0-9._]*\]")


class Checker:
    """Collects the faults of one value.

    Attributes:
        violations: Found so far; at most 100.
        has_any: Whether the value has a google.protobuf.Any in it.
    """

    def __init__(self, pool: DescriptorPool, names: dict[str, dict[str, FieldDescriptor]]) -> None:
        self.violations: list[Violation] = []
        self.has_any = False
        self._pool = pool
        self._names = names
        self._special: Mapping[str, Callable[[Any, str, int], None]] = {
            "google.protobuf.Any": self._any,
            "google.protobuf.ListValue": self._list_value,
            "google.protobuf.Struct": self._struct,
            "google.protobuf.Value": self._json,
        }

    def _add(self, path: str, fault: Fault | None) -> None:
        if fault is not None and len(self.violations) < _MAX_VIOLATIONS:
            self.violations.append(Violation(path, *fault))

    def _too_deep(self, path: str, depth: int) -> bool:
        if depth > MAX_DEPTH:
            self._add(path, (f"the value is deeper than {MAX_DEPTH} levels", Rule.PAYLOAD_TOO_DEEP))
        return depth > MAX_DEPTH or len(self.violations) >= _MAX_VIOLATIONS

    def message(self, kind: Descriptor, value: Any, path: str, depth: int = 1) -> None:
        """Check a value as a message of a type."""
        if self._too_deep(path, depth):
            return
        if kind.full_name in TEXTS:
            self._add(path, text_form_fault(kind.full_name, value))
        elif kind.full_name in WRAPPERS:
            self._add(path, scalar_fault(kind.fields_by_name["value"], value))
        elif kind.full_name in self._special:
            self._special[kind.full_name](value, path, depth)
        elif self._is_object(value, path, kind.full_name):
            self._fields(kind, value, path, depth)

    def _is_object(self, value: Any, path: str, what: str) -> bool:
        if isinstance(value, dict):
            return True
        self._add(path, (f"is {kind_of(value)}, not an object ({what})", Rule.SCHEMA_MISMATCH))
        return False

    def _fields(self, kind: Descriptor, value: dict[Any, Any], path: str, depth: int) -> None:
        given: dict[str, str] = {}
        oneofs: dict[str, str] = {}
        for name, item in value.items():
            inner = _join(path, name)
            field = self._field(kind, name)
            if field is None:
                self._add(inner, (self._unknown(kind, name), Rule.INPUT_UNKNOWN))
                continue
            if field.full_name in given:
                self._add(inner, (f"is the same field as {given[field.full_name]!r}", Rule.DUPLICATE))
                continue
            given[field.full_name] = name
            if item is None and not (_takes_null(field) or has_null_elements(field)):
                continue
            self._oneof(field, name, inner, oneofs)
            self._field_value(field, item, inner, depth + 1)
        for field in kind.fields:
            if field.is_required and value.get(given.get(field.full_name, "")) is None:
                self._add(_join(path, field.name), ("is required", Rule.REQUIRED))

    def _oneof(self, field: FieldDescriptor, name: str, path: str, oneofs: dict[str, str]) -> None:
        if field.containing_oneof is None:
            return
        group = field.containing_oneof.name
        if group in oneofs:
            self._add(path, (f"{oneofs[group]!r} is set as well; of {group} one can be", Rule.DUPLICATE))
        oneofs.setdefault(group, name)

    def _field(self, kind: Descriptor, name: Any) -> FieldDescriptor | None:
        known = self._names.get(kind.full_name)
        if known is None:
            known = self._names[kind.full_name] = {field.json_name: field for field in kind.fields}
            for field in kind.fields:
                known.setdefault(field.name, field)
        found = known.get(name)
        if found is None and isinstance(name, str) and _EXTENSION.fullmatch(name):
            found = self._extension(kind, name[1:-1])
        return found

    def _extension(self, kind: Descriptor, name: str) -> FieldDescriptor | None:
        try:
            found = self._pool.FindExtensionByName(name)
        except KeyError:
            return None
        return found if found.containing_type is kind else None

    def _unknown(self, kind: Descriptor, name: Any) -> str:
        hint = closest(str(name), [field.name for field in kind.fields])
        return f"{kind.full_name} has no such field; {hint or 'it has none at all'}"

    def _field_value(self, field: FieldDescriptor, value: Any, path: str, depth: int) -> None:
        if is_map(field):
            self._map(field, value, path, depth)
        elif not field.is_repeated:
            self._single(field, value, path, depth)
        elif not isinstance(value, list | tuple):
            self._add(path, (f"is {kind_of(value)}, not an array", Rule.SCHEMA_MISMATCH))
        else:
            for number, item in enumerate(value):
                self._single(field, item, f"{path}[{number}]", depth + 1)

    def _single(self, field: FieldDescriptor, value: Any, path: str, depth: int) -> None:
        if field.message_type is not None:
            self.message(field.message_type, value, path, depth)
        elif not (value is None and _takes_null(field) and not field.is_repeated):
            self._add(path, scalar_fault(field, value))

    def _map(self, field: FieldDescriptor, value: Any, path: str, depth: int) -> None:
        if not self._is_object(value, path, "a map"):
            return
        key_field, value_field = entry_of(field)
        seen: set[Any] = set()
        for key, item in value.items():
            inner = _join(path, key)
            fault = _key_fault(key_field, key)
            self._add(inner, fault)
            if fault is None:
                plain = int(key) if key_field.cpp_type in _INTEGER_KEYS else key
                if plain in seen:
                    self._add(inner, ("is the same key as another one", Rule.DUPLICATE))
                seen.add(plain)
            self._single(value_field, item, inner, depth + 1)

    def _any(self, value: Any, path: str, depth: int) -> None:
        self.has_any = True
        if not self._is_object(value, path, "google.protobuf.Any") or not value:
            return
        url = value.get("@type")
        where = _join(path, "@type")
        if not isinstance(url, str):
            self._add(where, ("is required: the URL of the message's type", Rule.REQUIRED))
            return
        try:
            kind = self._pool.FindMessageTypeByName(url.rpartition("/")[2])
        except KeyError:
            text = f"{shown(url)} is no type that the descriptors know"
            self._add(where, (text, Rule.SCHEMA_MISMATCH))
            return
        rest = {key: item for key, item in value.items() if key != "@type"}
        if not is_special(kind):
            self._fields(kind, rest, path, depth)
        elif "value" not in rest:
            self._add(_join(path, "value"), ("is required", Rule.REQUIRED))
        else:
            self.message(kind, rest.pop("value"), _join(path, "value"), depth + 1)
            for name in rest:
                self._add(_join(path, name), ("is neither @type nor value", Rule.INPUT_UNKNOWN))

    def _struct(self, value: Any, path: str, depth: int) -> None:
        if self._is_object(value, path, "google.protobuf.Struct"):
            self._json(value, path, depth)

    def _list_value(self, value: Any, path: str, depth: int) -> None:
        if isinstance(value, list | tuple):
            self._json(value, path, depth)
        else:
            self._add(path, (f"is {kind_of(value)}, not an array", Rule.SCHEMA_MISMATCH))

    def _json(self, value: Any, path: str, depth: int) -> None:
        """Check a value of any JSON type."""
        if isinstance(value, dict | list | tuple):
            if not self._too_deep(path, depth):
                for key, item in _members(value):
                    self._add(_join(path, key), text_fault(key) if isinstance(value, dict) else None)
                    self._json(item, _join(path, key), depth + 1)
        elif isinstance(value, str):
            self._add(path, text_fault(value))
        elif isinstance(value, int | float):
            self._add(path, _number_fault(value))
        elif value is not None:
            self._add(path, (f"is {kind_of(value)}, which JSON does not have", Rule.SCHEMA_MISMATCH))


_INTEGER_KEYS: Final = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
    }
)


def _takes_null(field: FieldDescriptor) -> bool:
    """Tell whether null is a value of a field, rather than its absence."""
    return not field.is_repeated and is_nullable(field)


def _members(value: Any) -> Iterator[tuple[Any, Any]]:
    return iter(value.items()) if isinstance(value, dict) else enumerate(value)


def _key_fault(field: FieldDescriptor, key: Any) -> Fault | None:
    if not isinstance(key, str):
        return f"the key is {kind_of(key)}, not a text", Rule.SCHEMA_MISMATCH
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return (
            None if key in {"true", "false"} else ("the key is neither true nor false", Rule.SCHEMA_MISMATCH)
        )
    if field.cpp_type in _INTEGER_KEYS and not re.fullmatch(INTEGER_TEXT, key):
        return "the key is no integer", Rule.SCHEMA_MISMATCH
    return scalar_fault(field, key)


def _number_fault(value: float) -> Fault | None:
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    return None if finite else (f"{shown(value)} has no JSON form", Rule.SCHEMA_MISMATCH)


def _join(path: str, name: Any) -> str:
    if isinstance(name, int):
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else str(name)
