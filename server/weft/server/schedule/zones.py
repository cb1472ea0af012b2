"""Time zones: which there are, and what a wall clock in one of them shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from weft.core.names import did_you_mean

__all__ = ["first_moment", "known_zone", "moments", "next_fold", "wall", "zone_hint", "zone_of"]

_SECOND: Final = timedelta(seconds=1)
_OF_THE_MACHINE: Final = frozenset({"localtime", "Factory"})
"""Files beside the zones whose content is not the same everywhere."""


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(available_timezones()) - _OF_THE_MACHINE


def known_zone(name: str) -> bool:
    """Tell whether there is a zone of that name."""
    return name == "UTC" or name in _names()


def zone_hint(name: str) -> str:
    """Return which zone may be meant, or nothing."""
    by_lower = {known.lower(): known for known in _names()}
    wanted = name.strip().replace(" ", "_").lower()
    if wanted in by_lower:
        return f"did you mean {by_lower[wanted]!r}?"
    of_city = sorted(known for lower, known in by_lower.items() if lower.rpartition("/")[2] == wanted)
    return f"did you mean {of_city[0]!r}?" if of_city else did_you_mean(name, _names())


@lru_cache(maxsize=1_024)
def zone_of(name: str) -> tzinfo:
    """Return a zone that is known; no name is UTC.

    Raises:
        LookupError: There is none of that name here.
    """
    if not name or name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError) as error:  # a path, or a folder
        raise LookupError(f"no time zone {name!r}") from error


def wall(moment: datetime, zone: tzinfo) -> datetime:
    """Return what a wall clock shows."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def moments(local: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """Return when a wall clock shows a time: once, not at all, or twice."""
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first < second:
        return first, second
    return (first,) if first == second else ()


def first_moment(local: datetime, zone: tzinfo) -> datetime:
    """Return when a wall clock shows a time for the first time; if never, when it skips it."""
    shown = moments(local, zone)
    if shown:
        return shown[0]
    # Read with the offset from behind the gap it is before it, and the other way round.
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _change(before, local.replace(tzinfo=zone, fold=0).astimezone(UTC), zone)


def next_fold(start: datetime, end: datetime, zone: tzinfo) -> datetime | None:
    """Return when a wall clock is set back between two times at most a day or so apart, if it is."""
    before, after = start.astimezone(zone).utcoffset(), end.astimezone(zone).utcoffset()
    if before is None or after is None or after >= before:
        return None
    return _change(start, end, zone)


def _change(start: datetime, end: datetime, zone: tzinfo) -> datetime:
    """Return when the offset of the start ends, which is before the end."""
    start = start.replace(microsecond=0)  # offsets change on whole seconds
    offset = start.astimezone(zone).utcoffset()
    same, other = 0, -((start - end) // _SECOND)
    while other - same > 1:
        middle = (same + other) // 2
        if (start + middle * _SECOND).astimezone(zone).utcoffset() == offset:
            same = middle
        else:
            other = middle
    return start + other * _SECOND
