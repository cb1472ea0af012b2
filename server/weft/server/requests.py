"""Reading requests: every fault is collected, then all are reported at once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, Final, NoReturn, TypeVar

import orjson
from google.protobuf import duration_pb2, field_mask_pb2, struct_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from weft.api.common.v1 import context_pb2
from weft.core.context import CallContext
from weft.core.errors import ValidationError, Violation
from weft.core.names import NAME, check_name
from weft.core.payload import JsonObject, dumps, from_struct
from weft.core.reasons import Rule
from weft.server.store.base import Page, RequestKey, Slice

__all__ = [
    "MAX_REF",
    "MAX_TEXT",
    "Faults",
    "close_page",
    "page_token",
    "read_context",
    "read_duration",
    "read_mask",
    "read_metadata",
    "read_page",
    "request_key",
    "require_ref",
]

T = TypeVar("T")
M = TypeVar("M", bound=Message)

MAX_TEXT: Final = 8_192
MAX_REQUEST_ID: Final = 128
MAX_REF: Final = 128
"""The longest id or name; a longer one names nothing, and has no place in the answer."""
_MAX_METADATA_BYTES: Final = 64 * 1024
DEFAULT_PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 1_000
_MAX_PAGE_BYTES: Final = 3 * 1024 * 1024
"""A page ends early rather than be refused by its reader, who takes 4 MiB at most."""
_MAX_CONTEXT_VALUES: Final = 32
_MAX_CONTEXT_CHARS: Final = 256
_CONTEXT_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_FOREIGN_TOKEN: Final = "is not a token that this server gave out"  # noqa: S105 - no password


class Faults:
    """Collects the faults of one request.

    Args:
        request: What is read; its own enums are checked at once.
    """

    def __init__(self, request: Message | None = None) -> None:
        self.found: list[Violation] = []
        if request is not None:
            for name in _enums(request.DESCRIPTOR):
                self.enum(request, name, name)

    def add(self, field: str, description: str, rule: Rule = Rule.INVALID) -> None:
        """Note one fault."""
        self.found.append(Violation(field, description, rule))

    def extend(self, violations: Sequence[Violation]) -> None:
        """Note several faults."""
        self.found.extend(violations)

    def name(self, field: str, value: str) -> None:
        """Check a name that a person chose."""
        self.extend(check_name(field, value, NAME))

    def required(self, field: str, value: object) -> None:
        """Check that a field is set."""
        if not value:
            self.add(field, "is required", Rule.REQUIRED)

    def ref(self, field: str, value: str) -> None:
        """Check that an id or a name is given, and no longer than one can be."""
        self.required(field, value)
        self.key(field, value)

    def key(self, field: str, value: str, limit: int = MAX_REF) -> None:
        """Check a text that something is looked for by, if it is given: U+0000 is in none that is stored."""
        self.text(field, value, limit)
        if "\0" in value:
            self.add(field, "has the character U+0000")

    def text(self, field: str, value: str, limit: int = MAX_TEXT) -> None:
        """Check the length of a text."""
        if len(value) > limit:
            self.add(field, f"has {len(value):,} characters, at most {limit:,} are allowed", Rule.TOO_LONG)

    def number(self, field: str, value: int, at_least: int, at_most: int | None = None) -> None:
        """Check that a number is within bounds."""
        if value < at_least or (at_most is not None and value > at_most):
            said = f"at least {at_least:,}" if at_most is None else f"between {at_least:,} and {at_most:,}"
            self.add(field, f"must be {said}", Rule.OUT_OF_RANGE)

    def enum(self, message: Message, name: str, path: str) -> None:
        """Check that a field, if it is an enum, has a number that we know: no other means the default."""
        kind = message.DESCRIPTOR.fields_by_name[name].enum_type
        if kind is not None and getattr(message, name) not in kind.values_by_number:
            self.add(path, f"{getattr(message, name)} is not one of its values")

    def count(self, field: str, values: Collection[object], limit: int) -> None:
        """Check the number of entries."""
        if len(values) > limit:
            self.add(field, f"has {len(values):,} entries, at most {limit:,} are allowed", Rule.TOO_MANY)

    def attempt(self, read: Callable[[], T], default: T) -> T:
        """Read a part; when it has faults, note them and go on with the default."""
        try:
            return read()
        except ValidationError as error:
            self.extend(error.violations)
            return default

    async def gather(self, check: Awaitable[object]) -> None:
        """Wait for a further check, noting its faults that are not noted yet."""
        try:
            await check
        except ValidationError as error:
            told = {(it.field, it.reason) for it in self.found}
            self.extend([it for it in error.violations if (it.field, it.reason) not in told])

    def raise_any(self) -> None:
        """End the request when any fault was found.

        Raises:
            ValidationError: With all of them.
        """
        if self.found:
            raise ValidationError(self.found)


@cache
def _enums(kind: Descriptor) -> tuple[str, ...]:
    """Return which fields of a kind of message are enums; there are as many kinds as in the contracts."""
    return tuple(field.name for field in kind.fields if field.enum_type is not None)


def fault(field: str, description: str, rule: Rule) -> NoReturn:
    """Raise a single fault."""
    raise ValidationError([Violation(field, description, rule)])


def read_duration(
    message: Message,
    field: str,
    faults: Faults,
    *,
    path: str = "",
    at_least: timedelta,
    at_most: timedelta,
) -> timedelta | None:
    """Read an optional duration within bounds; None when it is not set."""
    if not message.HasField(field):
        return None
    path = path or field
    duration: duration_pb2.Duration = getattr(message, field)
    try:
        value = timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1_000)
    except OverflowError:
        value = at_most + timedelta(seconds=1)
    if not at_least <= value <= at_most:
        low, high = at_least.total_seconds(), at_most.total_seconds()
        faults.add(path, f"must be between {low:.15g} s and {high:.15g} s", Rule.OUT_OF_RANGE)
        return None
    return value


def read_context(message: context_pb2.CallContext, faults: Faults, field: str = "context") -> CallContext:
    """Read what travels with a call, within its limits."""
    for name in ("project_id", "request_id"):
        faults.text(f"{field}.{name}", getattr(message, name), _MAX_CONTEXT_CHARS)
    faults.count(f"{field}.values", message.values, _MAX_CONTEXT_VALUES)
    for key, value in message.values.items():
        if _CONTEXT_KEY.fullmatch(key) is None:
            faults.add(f"{field}.values", f"key {key[:80]!r} does not match {_CONTEXT_KEY.pattern}")
        faults.text(f"{field}.values.{key[:80]}", value, _MAX_CONTEXT_CHARS)
    return CallContext(
        project_id=message.project_id, request_id=message.request_id, values=dict(message.values)
    )


def read_mask(
    mask: field_mask_pb2.FieldMask, resource: Message, allowed: Sequence[str], faults: Faults
) -> frozenset[str]:
    """Return the fields to change: those of the mask, or the populated ones without a mask."""
    if not mask.paths:
        populated = {field.name for field, _ in resource.ListFields()}
        return frozenset(populated & set(allowed))
    if list(mask.paths) == ["*"]:
        return frozenset(allowed)
    for path in mask.paths:
        if path not in allowed:
            known = ", ".join(allowed)
            faults.add(
                "update_mask", f"{path[:80]!r} cannot be changed; known: {known}", Rule.MASK_PATH_UNKNOWN
            )
    return frozenset(mask.paths) & frozenset(allowed)


def read_page(
    request: Any,
    scope: Sequence[str],
    faults: Faults,
    *,
    default_size: int = DEFAULT_PAGE_SIZE,
    numeric: bool = False,
) -> Page:
    """Read ``page_size``, ``page_token`` and, where there is one, ``skip``.

    Args:
        request: A list request.
        scope: What the list is of and how it is filtered; a token of another
            scope is refused.
        faults: Where faults go.
        default_size: What a page size of 0 means.
        numeric: Whether the paging key is a number.
    """
    size, skip = request.page_size, getattr(request, "skip", 0)
    if size < 0:
        faults.add("page_size", "must not be negative", Rule.OUT_OF_RANGE)
    if skip < 0:
        faults.add("skip", "must not be negative", Rule.OUT_OF_RANGE)
    after = faults.attempt(lambda: _read_token(request.page_token, scope), "")
    if numeric and after and not (after.isdecimal() and len(after) < 19):
        faults.add("page_token", _FOREIGN_TOKEN, Rule.PAGE_TOKEN_INVALID)
        after = ""
    return Page(size=min(size or default_size, MAX_PAGE_SIZE), after=after, skip=max(0, skip))


def close_page(
    found: Slice[T], messages: Sequence[M], key: Callable[[T], str], scope: Sequence[str]
) -> tuple[Sequence[M], str]:
    """Return the messages of a page that fit into one answer, and the token of the page that follows.

    Args:
        found: The items of the page.
        messages: The same as messages.
        key: The paging key of an item.
        scope: As in ``read_page``.
    """
    size = 0
    for count, message in enumerate(messages):
        size += message.ByteSize()
        if count and size > _MAX_PAGE_BYTES:
            return messages[:count], page_token(key(found.items[count - 1]), scope)
    if not found.more:
        return messages, ""
    return messages, page_token(found.next_after or key(found.items[-1]), scope)


def page_token(after: str, scope: Sequence[str]) -> str:
    """Make the token of the page that begins after an item."""
    content = orjson.dumps([after, _scope_hash(scope)])
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _read_token(token: str, scope: Sequence[str]) -> str:
    if not token:
        return ""
    try:
        padded = token + "=" * (-len(token) % 4)
        after, found = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError):
        fault("page_token", _FOREIGN_TOKEN, Rule.PAGE_TOKEN_INVALID)
    if not isinstance(after, str) or "\0" in after or found != _scope_hash(scope):
        fault("page_token", "belongs to another list or filter", Rule.PAGE_TOKEN_INVALID)
    return after


def _scope_hash(scope: Sequence[str]) -> str:
    return hashlib.blake2b("\0".join(scope).encode(), digest_size=6).hexdigest()


def request_key(method: str, request: Message, faults: Faults) -> RequestKey | None:
    """Return the idempotency key of a mutation, or None when the caller gave no id."""
    request_id: str = getattr(request, "request_id")  # noqa: B009 - Message has no such attribute for type checkers
    faults.key("request_id", request_id, MAX_REQUEST_ID)
    if not request_id:
        return None
    content = type(request)()
    content.CopyFrom(request)
    content.ClearField("request_id")
    return RequestKey(method, request_id, fingerprint(content.SerializeToString(deterministic=True)))


def fingerprint(*parts: bytes) -> bytes:
    """Return a short hash of a request's content."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def require_ref(request: Message, field: str) -> None:
    """Check the one field of a request that names what it is about.

    Raises:
        ValidationError: It is missing, or too long for any name.
    """
    faults = Faults(request)
    faults.ref(field, getattr(request, field))
    faults.raise_any()


def read_metadata(metadata: struct_pb2.Struct, faults: Faults, field: str) -> JsonObject:
    """Read the free metadata of a resource, within its limit."""

    def read() -> JsonObject:
        value = from_struct(metadata, field)
        dumps(value, field, limit=_MAX_METADATA_BYTES)
        return value

    return faults.attempt(read, {})
