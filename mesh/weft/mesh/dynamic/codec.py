"""Messages written as JSON and back, by the rules of ProtoJSON, for types known only at run time.

Input takes what ProtoJSON takes: fields by their own or their lowerCamelCase
names, integers of any size as numbers or texts, null for a field that is not
set. Output has the fields' own names, always has the fields without presence,
also when they are zero or empty, and writes a 64-bit integer as a number when a
double holds it exactly, else as a text. A number of a Struct without a fraction
is an integer, as in all payloads. An Any of a type that is not known is its
type URL and its bytes in base64.

A message that is no object in JSON, such as a Timestamp, stands under ``value``
when it is the request or the response itself, as it would in an Any.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, EncodeError, Message

from weft.core.errors import PreconditionError, ValidationError, Violation
from weft.core.payload import JsonObject
from weft.core.reasons import Reason, Rule
from weft.mesh.dynamic._check import Checker
from weft.mesh.dynamic._raw_any import RawAnys
from weft.mesh.dynamic._struct_numbers import StructNumbers
from weft.mesh.dynamic._wellknown import is_special
from weft.mesh.dynamic.descriptors import ServiceDescriptors

__all__ = ["MessageCodec", "is_wrapped"]

_RECURSION = 200
"""Of ``json_format``, which counts some levels twice; the check before has the limit."""


def is_wrapped(kind: Descriptor) -> bool:
    """Tell whether a message is no object in JSON, so that it stands under ``value``."""
    return is_special(kind) and kind.full_name not in {"google.protobuf.Any", "google.protobuf.Struct"}


class MessageCodec:
    """Reads and writes messages of one set of descriptors.

    Args:
        descriptors: What the types are.
    """

    def __init__(self, descriptors: ServiceDescriptors) -> None:
        self._descriptors = descriptors
        self._names: dict[str, dict[str, FieldDescriptor]] = {}
        self._numbers = StructNumbers(descriptors.pool)

    def encode(self, kind: Descriptor, value: Mapping[str, Any], field: str = "") -> bytes:
        """Serialize an object as a message.

        Args:
            kind: The message's type.
            value: As ``json.loads`` or ``orjson`` give it.
            field: Where the value stands, for the paths of faults.

        Raises:
            ValidationError: It does not fit; every fault is named.
        """
        plain: Any = dict(value)
        checker = Checker(self._descriptors.pool, self._names)
        if is_wrapped(kind):
            plain, field = self._unwrap(plain, field)
        checker.message(kind, plain, field)
        if checker.violations:
            raise ValidationError(checker.violations)
        if checker.has_any:
            plain = copy.deepcopy(plain)  # the parser takes @type out of it for a while
        message = self._descriptors.message_class(kind)()
        try:
            json_format.ParseDict(
                plain, message, descriptor_pool=self._descriptors.pool, max_recursion_depth=_RECURSION
            )
            return message.SerializeToString()
        except (json_format.ParseError, EncodeError, ValueError, TypeError, OverflowError) as error:
            raise ValidationError([Violation(field, str(error)[:300], Rule.SCHEMA_MISMATCH)]) from None

    def _unwrap(self, value: Any, field: str) -> tuple[Any, str]:
        path = f"{field}.value" if field else "value"
        if not isinstance(value, dict) or "value" not in value:
            raise ValidationError([Violation(path, "is required", Rule.REQUIRED)])
        faults = [
            Violation(f"{field}.{name}" if field else str(name), "is not taken", Rule.INPUT_UNKNOWN)
            for name in value
            if name != "value"
        ]
        if faults:
            raise ValidationError(faults[:100])
        return value["value"], path

    def decode(self, kind: Descriptor, data: bytes) -> JsonObject:
        """Read a serialized message as an object.

        Raises:
            PreconditionError: ACTION_OUTPUT_INVALID: the bytes are no such message, or
                hold what JSON cannot say, such as a time after the year 9999.
        """
        message = self._descriptors.message_class(kind)()
        try:
            message.ParseFromString(data)
            value = self._plain(message)
        except DecodeError:
            raise _unreadable(kind, "the bytes are no such message") from None
        except (json_format.SerializeToJsonError, ValueError, TypeError, OverflowError) as error:
            raise _unreadable(kind, str(error)[:300]) from None
        except RecursionError:
            raise _unreadable(kind, "it is nested too deeply") from None
        value = self._numbers.written(kind, value)
        return {"value": value} if is_wrapped(kind) else value

    def _plain(self, message: Message) -> Any:
        pool = self._descriptors.pool
        try:
            return _to_dict(message, pool)
        except TypeError:  # an Any of a type that is not in the pool; that is rare
            raw = RawAnys(pool)
            raw.wrap(message)
            return _to_dict(message, raw)


def _to_dict(message: Message, pool: Any) -> Any:
    return json_format.MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        unquote_int64_if_possible=True,
        descriptor_pool=pool,
    )


def _unreadable(kind: Descriptor, why: str) -> PreconditionError:
    return PreconditionError(
        f"the answer cannot be read as a {kind.full_name}: {why}",
        reason=Reason.ACTION_OUTPUT_INVALID,
        metadata={"message_type": kind.full_name},
        violations=[Violation("output", why, Rule.PAYLOAD_INVALID)],
    )
