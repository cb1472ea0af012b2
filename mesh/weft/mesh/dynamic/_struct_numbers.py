"""Numbers of google.protobuf.Struct, Value and ListValue, as JSON has them.

They have doubles alone, so that the 5 which a service was given comes back as 5.0.
Here they follow the rule of all payloads: without a fraction it is an integer.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from weft.core.payload import plain_number
from weft.mesh.dynamic._raw_any import type_url_of
from weft.mesh.dynamic._wellknown import entry_of, is_map, is_special

__all__ = ["StructNumbers"]

_FREE: Final = frozenset({"google.protobuf.ListValue", "google.protobuf.Struct", "google.protobuf.Value"})
_ANY: Final = "google.protobuf.Any"


class StructNumbers:
    """Finds such numbers in messages that were written as JSON, and unmarks what ``RawAnys`` has marked.

    Args:
        pool: Of the types that an Any may hold.
    """

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool
        self._ways: dict[str, list[FieldDescriptor]] = {}

    def written(self, kind: Descriptor, value: Any) -> Any:
        """Return the JSON form of a message with its free numbers as JSON has them."""
        if kind.full_name in _FREE:
            return _plain(value)
        if kind.full_name == _ANY:
            return self._any(value)
        for field in self._leading(kind):
            if field.name in value:
                value[field.name] = self._field(field, value[field.name])
        return value

    def _any(self, value: dict[str, Any]) -> dict[str, Any]:
        if "@type" not in value:
            return value
        if (unknown := type_url_of(value)) is not None:
            return {**value, "@type": unknown}
        kind = self._pool.FindMessageTypeByName(value["@type"].rpartition("/")[2])
        if not is_special(kind):
            return self.written(kind, value)  # type: ignore[no-any-return]  # an object, as it was
        return {**value, "value": self.written(kind, value["value"])}

    def _field(self, field: FieldDescriptor, value: Any) -> Any:
        kind = entry_of(field)[1].message_type if is_map(field) else field.message_type
        assert kind is not None
        if is_map(field):
            return {key: self.written(kind, item) for key, item in value.items()}
        if field.is_repeated:
            return [self.written(kind, item) for item in value]
        return self.written(kind, value)

    def _leading(self, kind: Descriptor) -> list[FieldDescriptor]:
        """Return the fields of a message through which such numbers may be reached; mostly none."""
        if kind.full_name not in self._ways:
            self._ways[kind.full_name] = [field for field in kind.fields if _leads(field)]
        return self._ways[kind.full_name]


def _leads(field: FieldDescriptor) -> bool:
    pending = [field.message_type]
    seen: set[str] = set()
    while pending:
        kind = pending.pop()
        if kind is None or kind.full_name in seen:
            continue
        if kind.full_name in _FREE or kind.full_name == _ANY:
            return True
        seen.add(kind.full_name)
        pending.extend(inner.message_type for inner in kind.fields)
    return False


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return plain_number(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
