"""Literals read as values of a type."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["read_free", "read_time", "read_whole"]

_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][+-]?\d{1,4})?", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:\d\d))?", re.ASCII
)
_RELATIVE: Final = re.compile(r"now(?:([+-])(\d{1,9})([smhdw]))?", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LARGEST: Final = 2**63


def read_free(text: str) -> str | float | bool:
    """Read a value that stands without quotes, where any type will do.

    Raises:
        ValueError: It is a number that is too large.
    """
    if text in {"true", "false"}:
        return text == "true"
    if _NUMBER.fullmatch(text) is None:
        return text
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("is a number that is too large")
    return number


def read_whole(text: str) -> int:
    """Read a whole number.

    Raises:
        ValueError: It is none, or does not fit into 64 bits.
    """
    if _WHOLE.fullmatch(text) is None or not -_LARGEST <= int(text) < _LARGEST:
        raise ValueError("is not a whole number")
    return int(text)


def read_time(text: str, now: datetime) -> datetime:
    """Read a time, or one that is relative to now.

    Raises:
        ValueError: It is none.
    """
    if relative := _RELATIVE.fullmatch(text):
        return _relative(relative, now)
    if _TIME.fullmatch(text) is None:
        raise ValueError("is not a time such as 2026-01-31T09:30:00Z, 2026-01-31, now or now-7d")
    if len(text) == len("2026-01-31"):
        text += "T00:00:00Z"
    try:
        return datetime.fromisoformat(_upper(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a time that there is") from None


def _upper(text: str) -> str:
    """Write a time as ``fromisoformat`` of every Python reads it, which knows six digits of a second."""
    text = text.upper()
    head, point, tail = text.partition(".")
    digits = re.match(r"\d*", tail)
    assert digits is not None  # it matches nothing as well
    return head + (point and f".{digits[0]:0<6.6}" + tail[digits.end() :])


def _relative(found: re.Match[str], now: datetime) -> datetime:
    sign, count, unit = found.groups()
    if sign is None:
        return now
    try:
        distance = timedelta(**{_UNITS[unit]: int(count)})
        return now + distance if sign == "+" else now - distance
    except OverflowError:
        raise ValueError("is not a time that there is") from None
