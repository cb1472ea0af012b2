"""Names that people choose, and ids that the server assigns."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from weft.core.errors import Violation
from weft.core.reasons import Rule

__all__ = [
    "ACTION_NAME",
    "BATCH_PREFIX",
    "EXECUTION_KEY",
    "EXECUTION_PREFIX",
    "INSTANCE_ID",
    "INSTANCE_PREFIX",
    "NAME",
    "SCHEDULE_PREFIX",
    "SERVICE_PREFIX",
    "STEP_ID",
    "WORKFLOW_PREFIX",
    "check_name",
    "closest",
    "did_you_mean",
    "first_id",
    "is_id",
    "new_id",
]

SERVICE_PREFIX = "svc"
INSTANCE_PREFIX = "ins"
WORKFLOW_PREFIX = "wf"
EXECUTION_PREFIX = "exe"
BATCH_PREFIX = "bat"
SCHEDULE_PREFIX = "sch"

NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A service or workflow: a DNS label, so that it is a Consul name as well."""
ACTION_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,127}")
STEP_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
INSTANCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
EXECUTION_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
"""The id of an execution that its caller chose."""

_WORDS = {
    NAME: (
        "a name has lower-case letters, digits and '-', at most 63 characters; it starts with a letter and "
        "does not end with '-'"
    ),
    ACTION_NAME: (
        "the name of an action has letters, digits, '.', '_' and '-', at most 128 characters, and starts "
        "with a letter"
    ),
    STEP_ID: (
        "the id of a step has letters, digits, '_' and '-', at most 63 characters, and starts with a letter"
    ),
    INSTANCE_ID: (
        "the id of an instance has letters, digits, '.', '_', ':' and '-', at most 128 characters, and "
        "starts with a letter or digit"
    ),
    EXECUTION_KEY: (
        "the key of an execution has letters, digits, '.', '_', ':', '/', '@' and '-', at most 128 "
        "characters, and starts with a letter or digit"
    ),
}
"""What the patterns say, for a person."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_CHANCE_BITS = 80
_LAST_MILLIS = (1 << 48) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_SHIFTS: Final = tuple(range(120, -1, -10))
_STEP_BITS: Final = 48
"""Of chance between two ids of one millisecond: a following id cannot be guessed."""
_SHOWN = 80
_LONGEST = 200
"""Comparing takes time that grows with the square of the length."""
_ID = re.compile(r"[a-z]+_[0-9a-hjkmnp-tv-z]{26}")


def new_id(prefix: str, at: datetime | None = None) -> str:
    """Return ``prefix_`` and 26 characters: 48 bits of time, 80 of chance (as in ULID).

    Ids that a process makes later sort later, those of other processes to the
    millisecond, which keeps B-trees dense and makes the id a paging key. No name can
    look like one: names have no ``_``.

    Args:
        prefix: Which kind of id.
        at: The time in it; none: now, by the system's clock.
    """
    millis = time.time_ns() // 1_000_000 if at is None else _millis(at)
    return _written(prefix, _numbers.next(millis))


def first_id(prefix: str, at: datetime) -> str:
    """Return what sorts before all ids that were made at a time or later, and behind all earlier ones."""
    return _written(prefix, _millis(at) << _CHANCE_BITS)


def _written(prefix: str, number: int) -> str:
    return f"{prefix}_{''.join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])}"


class _Chance:
    """Random bits of the operating system, drawn a page at a time: each draw gives other threads a turn."""

    _WORD_BITS: Final = 128
    _WORD_BYTES: Final = _WORD_BITS // 8
    _PAGE: Final = 256
    """Words drawn at once."""

    def __init__(self) -> None:
        self._words: list[int] = []
        if hasattr(os, "register_at_fork"):  # where processes can fork
            os.register_at_fork(after_in_child=self._forget)

    def bits(self, count: int) -> int:
        """Return a number of so many random bits, at most 128."""
        while True:
            try:
                return self._words.pop() >> (self._WORD_BITS - count)
            except IndexError:  # whoever else sees that draws as well, and one of the pages is not used
                self._words = self._draw()

    def _draw(self) -> list[int]:
        page, size = os.urandom(self._PAGE * self._WORD_BYTES), self._WORD_BYTES
        return [int.from_bytes(page[at : at + size], "big") for at in range(0, len(page), size)]

    def _forget(self) -> None:
        """A process that was forked must not make the ids of the one before."""
        self._words = []


_chance: Final = _Chance()


class _Numbers:
    """Makes the numbers behind ids: within a millisecond each is a good deal larger than the one before."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}

    def next(self, millis: int) -> int:
        newest = self._newest.get(millis)
        if newest is None:
            number = millis << _CHANCE_BITS | _chance.bits(_CHANCE_BITS)
            self._newest = {millis: number}
        else:
            number = self._newest[millis] = newest + 1 + _chance.bits(_STEP_BITS)
        return number


_numbers: Final = _Numbers()


def _millis(at: datetime) -> int:
    """Return milliseconds since 1970, within what an id can hold."""
    return min(max(0, (at - _EPOCH) // timedelta(milliseconds=1)), _LAST_MILLIS)


def is_id(text: str, prefix: str) -> bool:
    """Tell whether a text has the form of an id of that kind, rather than of a name."""
    return text.startswith(f"{prefix}_") and _ID.fullmatch(text) is not None


def check_name(field: str, name: str, pattern: re.Pattern[str] = NAME) -> list[Violation]:
    """Return the fault of a name, if it has one."""
    if not name:
        return [Violation(field, "is required", Rule.REQUIRED)]
    if pattern.fullmatch(name) is None:
        rule = _WORDS.get(pattern) or f"it must match {pattern.pattern}"
        return [Violation(field, f"{_show(name)} is not allowed: {rule}", Rule.INVALID)]
    return []


def _show(name: str) -> str:
    """Quote a name without its end when it is long: an error is read by people."""
    return repr(name if len(name) <= _SHOWN else name[: _SHOWN - 1] + "…")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'extract'?`` when one of the names is close, whatever its case, or nothing."""
    import difflib  # noqa: PLC0415 - only on the way to an error

    alike: dict[str, str] = {}
    for it in known:
        alike.setdefault(it.lower(), it)
    found = difflib.get_close_matches(name[:_LONGEST].lower(), alike, n=1, cutoff=0.6)
    return f"did you mean {alike[found[0]]!r}?" if found else ""


def closest(name: str, known: list[str]) -> str:
    """Return a hint such as ``did you mean 'extract'?``, else what there is, or nothing."""
    if hint := did_you_mean(name, known):
        return hint
    if known:
        shown = ", ".join(sorted(known)[:10])
        return f"known: {shown}" + (", …" if len(known) > 10 else "")
    return ""
