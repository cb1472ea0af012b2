"""Times and durations at rest: integer microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

__all__ = ["from_micros", "micros_of", "revive_durations", "revive_times", "to_micros"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_micros(time: datetime) -> int:
    """Return microseconds since 1970 of a time with a zone."""
    return (time - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the time, in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def micros_of(span: timedelta) -> int:
    """Return the microseconds of a duration."""
    return span // _MICROSECOND


def revive_times(record: dict[str, Any], *names: str) -> None:
    """Make times of the microseconds that stand in a record; none stays none."""
    for name in names:
        if record.get(name) is not None:
            record[name] = from_micros(record[name])


def revive_durations(record: dict[str, Any], *names: str) -> None:
    """Make durations of the microseconds that stand in a record; a member may be missing."""
    for name in names:
        if record.get(name) is not None:
            record[name] = timedelta(microseconds=record[name])
