"""What a caller asks for, checked as a whole before anything is sent."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

from weft.core import metadata
from weft.core.context import current_log_context
from weft.core.errors import ValidationError, Violation
from weft.core.payload import dumps
from weft.core.reasons import Rule
from weft.mesh.http.wire import header_faults, header_value, method_faults, path_faults

__all__ = ["HttpData", "HttpParams", "PreparedRequest", "prepare"]

HttpData: TypeAlias = "bytes | str | AsyncIterable[bytes] | Any"
"""Bytes, text, pieces of bytes, or any value that JSON can say."""

HttpParams: TypeAlias = Mapping[str, Any]
"""Values of a query: text, numbers, booleans, lists of them; None is left out."""

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRequest:
    """A request without faults, not yet for an instance."""

    method: str
    """In upper case."""
    path: str
    """With the query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes | AsyncIterator[bytes] | None
    """What is sent."""
    repeatable: bool
    """Whether it does no harm when it is processed twice, and can be sent twice."""


def prepare(
    method: str,
    path: str,
    data: HttpData = None,
    headers: Mapping[str, str] | None = None,
    params: HttpParams | None = None,
    *,
    limit: int,
    json: bool = False,
    faults: Sequence[Violation] = (),
) -> PreparedRequest:
    """Check everything of a request, and make its body.

    Args:
        method: In any case.
        path: Below the path of the endpoint; may carry a query.
        data: The body.
        headers: Further ones.
        params: Added to the query.
        limit: Most bytes of JSON text.
        json: Whether data is a JSON value, also when it is text.
        faults: Those that are known already.

    Raises:
        ValidationError: Every fault.
    """
    verb = method.upper()
    found = [*faults, *method_faults(verb), *path_faults(path), *header_faults(headers or {})]
    query = _query(params or {}, found)
    kind, body = _body(data, limit, found, json=json)
    if found:
        raise ValidationError(found)
    sent = {**_standing(kind), **{name.lower(): value for name, value in (headers or {}).items()}}
    return PreparedRequest(
        method=verb,
        path=path + ("&" if "?" in path else "?") + query if query else path,
        headers=sent,
        body=body,
        repeatable=not isinstance(body, AsyncIterator)
        and (verb in _IDEMPOTENT or bool(sent.get(metadata.IDEMPOTENCY_KEY))),
    )


def _standing(kind: str) -> dict[str, str]:
    request_id = header_value(current_log_context().get("request_id", ""))
    known = {"content-type": kind, metadata.REQUEST_ID: request_id}
    return {name: value for name, value in known.items() if value}


def _body(
    data: HttpData, limit: int, found: list[Violation], *, json: bool
) -> tuple[str, bytes | AsyncIterator[bytes] | None]:
    """Return the content type and the body."""
    try:
        if data is None:
            return "", None
        if not json and isinstance(data, bytes | bytearray | memoryview):
            return "application/octet-stream", bytes(data)
        if not json and isinstance(data, str):
            return "text/plain; charset=utf-8", data.encode()
        if not json and isinstance(data, AsyncIterable):
            return "application/octet-stream", aiter(data)
        value: Any = data
        return "application/json", dumps(value, "data", limit=limit)
    except ValidationError as error:
        found.extend(error.violations)
    except UnicodeEncodeError as error:
        found.append(Violation("data", f"is no text that UTF-8 can say: {error.reason}", Rule.INVALID))
    return "", None


def _query(params: HttpParams, found: list[Violation]) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        for item in value if isinstance(value, list | tuple) else (value,):
            text = _query_value(item)
            if text is None or not _encodable(str(name)):
                found.append(
                    Violation(f"params.{name}", f"{item!r:.80} has no form in a query", Rule.INVALID)
                )
            elif item is not None:
                pairs.append((str(name), text))
    return urlencode(pairs)


def _query_value(item: object) -> str | None:
    if item is None:
        return ""
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, float) and not math.isfinite(item):
        return None
    if isinstance(item, str):
        return item if _encodable(item) else None
    return str(item) if isinstance(item, int | float) else None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
