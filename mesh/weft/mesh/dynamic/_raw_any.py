"""An Any of a type that nobody here knows: written as its type URL and its bytes in base64.

ProtoJSON has no form for it, and ``json_format`` refuses the whole message. So such an Any is put
into one of ``BytesValue``, whose JSON has ``@type`` and ``value`` as wanted, under a type URL that
is marked, and that ``type_url_of`` gives back.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.wrappers_pb2 import BytesValue

from weft.mesh.dynamic._wellknown import entry_of, is_map

__all__ = ["RawAnys", "type_url_of"]

_MARK: Final = "\0"
_RAW: Final = f"/{BytesValue.DESCRIPTOR.full_name}"


class RawAnys:
    """The types that an Any may hold, and bytes for all others.

    Args:
        pool: Of the types that are known.
    """

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    def FindMessageTypeByName(self, full_name: str) -> Descriptor:  # noqa: N802 - as a pool has it
        """Return a type, as a pool does.

        Raises:
            KeyError: It is not known.
        """
        if full_name == BytesValue.DESCRIPTOR.full_name:
            return BytesValue.DESCRIPTOR
        return self._pool.FindMessageTypeByName(full_name)

    def wrap(self, message: Message) -> None:
        """Put every Any of an unknown type into bytes, also those within others.

        Raises:
            DecodeError: An Any of a known type holds no such message.
        """
        if message.DESCRIPTOR.full_name == AnyMessage.DESCRIPTOR.full_name:
            self._wrap_any(message)
            return
        for field, value in message.ListFields():
            if is_map(field):
                if entry_of(field)[1].message_type is not None:
                    self._wrap_each(value.values())
            elif field.message_type is not None:
                self._wrap_each(value if field.is_repeated else (value,))

    def _wrap_each(self, messages: Any) -> None:
        for message in messages:
            self.wrap(message)

    def _wrap_any(self, holder: Any) -> None:
        try:
            kind = self.FindMessageTypeByName(holder.type_url.rpartition("/")[2])
        except KeyError:
            holder.value = BytesValue(value=holder.value).SerializeToString()
            holder.type_url = f"{_MARK}{holder.type_url}{_RAW}"
            return
        inner = GetMessageClass(kind)()
        inner.ParseFromString(holder.value)
        self.wrap(inner)
        holder.value = inner.SerializeToString()


def type_url_of(value: dict[str, Any]) -> str | None:
    """Return the type URL of an Any in JSON that holds bytes of an unknown type; none for all others."""
    found = value["@type"]
    return found[len(_MARK) : -len(_RAW)] if found.startswith(_MARK) else None
