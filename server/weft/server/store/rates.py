"""How calls are spread over time: as many in each window as may begin. The same in every adapter."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Window", "place_in"]


class Window(NamedTuple):
    """The last window that somebody has a place in; times in microseconds."""

    start: int
    """When it begins."""
    used: int
    """How many begin in it."""


def place_in(last: Window | None, rate: int, per: int, now: int) -> tuple[int, Window]:
    """Return when one more may begin, and the last window after that.

    A window begins with its first call, or where the one before it ends, when that is full. So places are
    given in the order in which they are asked for, each in the earliest window that has one, and a place that
    was given is not taken back.

    Args:
        last: The window as it is; none: nobody has asked yet.
        rate: How many begin in each window.
        per: How long a window is, in microseconds.
        now: The time, in microseconds.
    """
    if last is None or now >= last.start + per:
        return now, Window(now, 1)
    if last.used < rate:
        return max(now, last.start), Window(last.start, last.used + 1)
    following = last.start + per
    return following, Window(following, 1)
