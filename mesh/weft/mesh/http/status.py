"""What an HTTP status means, for everything in the mesh that speaks HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import orjson

from weft.core.errors import (
    ActionFailedError,
    Code,
    DeadlineExceededError,
    ServiceUnavailableError,
    WeftError,
)
from weft.core.reasons import Reason

__all__ = ["Subject", "retry_after", "status_error", "unavailable"]

_CODES: Final[Mapping[int, Code]] = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    409: Code.ABORTED,
    412: Code.FAILED_PRECONDITION,
    422: Code.INVALID_ARGUMENT,
    429: Code.RESOURCE_EXHAUSTED,
    501: Code.UNIMPLEMENTED,
}
"""What an HTTP status means (google.rpc.Code, read backwards); any other is ABORTED."""

_UNAVAILABLE: Final = frozenset({502, 503})
_TIMEOUTS: Final = frozenset({408, 504})
_MAX_ERROR_TEXT: Final = 500
_LONGEST_WAIT: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an error is about."""

    service: str
    """Name of the service."""
    label: str
    """What was called, for a person."""
    names: Mapping[str, str]
    """Metadata of the error, the service among it."""


def unavailable(subject: Subject, message: str, wait: timedelta | None = None) -> ServiceUnavailableError:
    """Say that a service gave no answer."""
    return ServiceUnavailableError(
        subject.service,
        message,
        reason=Reason.ACTION_UNAVAILABLE,
        metadata=subject.names,
        retry_after=wait,
    )


def status_error(status: int, body: bytes, subject: Subject, *, wait: timedelta | None = None) -> WeftError:
    """Return what a status that is no success means.

    Args:
        status: The answer's.
        body: The answer's; its own words are passed on.
        subject: What was called.
        wait: What the answer asks to wait.
    """
    reason, message = _own_words(body)
    text = f"{subject.label} answered HTTP {status}" + (f": {message}" if message else "")
    names = {**subject.names, "http_status": str(status)}
    if status in _TIMEOUTS:
        return DeadlineExceededError(text, reason=Reason.ACTION_TIMEOUT, metadata=names)
    if status in _UNAVAILABLE:
        return unavailable(Subject(service=subject.service, label=subject.label, names=names), text, wait)
    return ActionFailedError(
        text,
        reason=reason or f"HTTP_{status}",
        code=_CODES.get(status, Code.ABORTED),
        metadata=names,
        retry_after=wait,
    )


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Read the header ``Retry-After``: seconds, or a date of HTTP; None when it says nothing clear.

    Args:
        value: The header.
        now: The time of day, with its zone.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(moment - now, timedelta()), _LONGEST_WAIT)


def _own_words(body: bytes) -> tuple[str, str]:
    """Read reason and message out of ``{"error": {"reason": …, "message": …}}`` or plain text."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", body[:_MAX_ERROR_TEXT].decode(errors="replace").strip()
    error = parsed.get("error", parsed) if isinstance(parsed, dict) else {}
    if not isinstance(error, dict):
        return "", str(error)[:_MAX_ERROR_TEXT]
    return str(error.get("reason") or "")[:63], str(error.get("message") or "")[:_MAX_ERROR_TEXT]
