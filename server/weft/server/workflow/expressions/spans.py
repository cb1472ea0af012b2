"""Spans of time such as ``1h30m``, and times such as ``2026-01-31T09:30:00Z``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from weft.core.errors import PreconditionError
from weft.core.reasons import Reason

__all__ = ["MAX_AHEAD", "MAX_SPAN", "parse_instant", "parse_span"]

MAX_SPAN: Final = timedelta(days=365)
"""The longest that a step waits."""
MAX_AHEAD: Final = timedelta(days=3_653)
"""How far from now a time may be."""

_PART: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d|w)", re.ASCII)
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_MAX_TEXT: Final = 200


def parse_span(text: str, path: str = "", limit: timedelta = MAX_SPAN) -> timedelta:
    """Read ``90s``, ``1h30m``, ``2d`` or ``250ms``.

    Args:
        text: What to read.
        path: Where it stands, for the error.
        limit: What is longer is refused.

    Raises:
        PreconditionError: EXPRESSION_FAILED: it is none, or longer than the limit.
    """
    given = text.strip()
    if len(given) > _MAX_TEXT or _WHOLE.fullmatch(given) is None:
        raise _fault(path, given, "is no span of time such as 90s, 1h30m, 2d or 250ms")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(given))
    if seconds > limit.total_seconds():
        raise _fault(path, given, f"is longer than {limit.days} days")
    return timedelta(seconds=seconds)


def parse_instant(text: str, path: str = "") -> datetime:
    """Read an RFC 3339 time.

    Args:
        text: What to read.
        path: Where it stands, for the error.

    Raises:
        PreconditionError: EXPRESSION_FAILED: it is none.
    """
    given = text.strip()
    if _INSTANT.fullmatch(given) is None:
        raise _fault(path, given, "is no time such as 2026-01-31T09:30:00Z")
    try:
        return datetime.fromisoformat(given.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _fault(path, given, "is a time that there is not") from None


def _fault(path: str, given: str, words: str) -> PreconditionError:
    shown = given if len(given) <= 80 else given[:79] + "…"
    message = f"{shown!r} {words}"
    return PreconditionError(
        f"{path}: {message}" if path else message,
        reason=Reason.EXPRESSION_FAILED,
        metadata={"path": path, "expression": shown, "error": message},
    )
