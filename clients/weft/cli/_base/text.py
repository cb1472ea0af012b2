"""Text for terminals: harmless, short, and the same for everybody."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

__all__ = ["clean", "humanize_seconds", "local_time", "plural", "shorten"]

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
"""Escape sequences, line breaks and marks that reorder text."""


def clean(value: Any) -> str:
    """Return one line that moves no cursor and colours nothing: texts come from strangers."""
    return _CONTROLS.sub(" ", str(value)).strip()


def shorten(text: str, limit: int) -> str:
    """Cut a text to a number of characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def plural(number: int, noun: str) -> str:
    """Return ``1 step`` or ``2 steps``."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def local_time(stamp: Any) -> str:
    """Show an RFC 3339 time in the local zone, to the second, with its offset; anything else as it is."""
    moment = _parse(stamp)
    return moment.astimezone().isoformat(sep=" ", timespec="seconds") if moment else clean(stamp or "")


def _parse(stamp: Any) -> datetime | None:
    if isinstance(stamp, datetime):
        return stamp
    try:
        moment = datetime.fromisoformat(str(stamp))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def humanize_seconds(seconds: float) -> str:
    """Return a duration such as ``12ms``, ``1.3s`` or ``2m05s``."""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"
