"""Cron expressions: five to seven fields, or a word such as ``@daily``.

``minute hour day month weekday``, with seconds before and a year behind where they
are wanted. The grammar of a field is in ``docs/schedules.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from weft.core.errors import ValidationError, Violation
from weft.core.names import did_you_mean
from weft.core.reasons import Rule
from weft.server.schedule.calendar import FIRST_YEAR, LAST_YEAR, Calendar, MonthDays, WeekDays

__all__ = ["MAX_EXPRESSION", "parse_cron"]

MAX_EXPRESSION: Final = 1_024

_SHORTCUTS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS: Final = {
    "JAN": 1,
    "FEB": 2,
    "MAR": 3,
    "APR": 4,
    "MAY": 5,
    "JUN": 6,
    "JUL": 7,
    "AUG": 8,
    "SEP": 9,
    "OCT": 10,
    "NOV": 11,
    "DEC": 12,
}
_WEEKDAYS: Final = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}
_YEAR: Final = re.compile(r"(?<!\d)\d{4}(?!\d)")
_DIGITS: Final = re.compile(r"[0-9]{1,4}")
_SHOWN: Final = 40
_FIELDS_AT_LEAST: Final = 5
_FIELDS_AT_MOST: Final = 7


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """One field of an expression, and what may stand in it."""

    name: str
    low: int
    high: int
    names: Mapping[str, int] | None = None
    cyclic: bool = True
    """Whether a range may go over the end, such as 22-2."""


_SECOND: Final = _Field("second", 0, 59)
_MINUTE: Final = _Field("minute", 0, 59)
_HOUR: Final = _Field("hour", 0, 23)
_DAY: Final = _Field("day of the month", 1, 31, cyclic=False)
_MONTH: Final = _Field("month", 1, 12, _MONTHS)
_WEEKDAY: Final = _Field("weekday", 0, 7, _WEEKDAYS)
_YEARS: Final = _Field("year", FIRST_YEAR, LAST_YEAR, cyclic=False)


class _FieldError(Exception):
    """What is wrong with a field."""


def parse_cron(text: str, path: str = "expression") -> Calendar:
    """Read an expression.

    Args:
        text: The expression, without a time zone.
        path: Where it stands, for faults.

    Raises:
        ValidationError: With every fault of every field.
    """
    if len(text) > MAX_EXPRESSION:
        words = f"has {len(text):,} characters, at most {MAX_EXPRESSION:,} are allowed"
        raise ValidationError([Violation(path, words, Rule.TOO_LONG)])
    try:
        fields = _split(text)
    except _FieldError as error:
        raise ValidationError([Violation(path, str(error), Rule.CRON_INVALID)]) from None
    return _Reading(fields, path).calendar()


def _split(text: str) -> dict[_Field, str]:
    """Tell the fields apart."""
    stripped = text.strip()
    if stripped.startswith("@"):
        stripped = _shortcut(stripped)
    if stripped.upper().startswith(("TZ=", "CRON_TZ=")):
        raise _FieldError("the time zone stands beside the expression: set time_zone")
    parts = stripped.upper().split()
    if not _FIELDS_AT_LEAST <= len(parts) <= _FIELDS_AT_MOST:
        raise _FieldError(
            f"has {len(parts)} fields: minute hour day month weekday are needed; a field of seconds may "
            "stand before them, and one of years behind"
        )
    # Six fields: the sixth is a year when it names one; else the first is seconds.
    has_year = len(parts) == _FIELDS_AT_MOST or (len(parts) == 6 and _YEAR.search(parts[-1]) is not None)
    has_seconds = len(parts) - has_year > _FIELDS_AT_LEAST
    kinds = (
        *((_SECOND,) if has_seconds else ()),
        *(_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY),
        *((_YEARS,) if has_year else ()),
    )
    return dict(zip(kinds, parts, strict=True))


def _shortcut(text: str) -> str:
    word = text.lower()
    if word.startswith("@every"):
        raise _FieldError("@every is an interval: put it into intervals, as every")
    if word not in _SHORTCUTS:
        hint = did_you_mean(word, _SHORTCUTS) or f"known: {', '.join(_SHORTCUTS)}"
        raise _FieldError(f"{text[:_SHOWN]!r} is not known: {hint}")
    return _SHORTCUTS[word]


class _Reading:
    """Reads the fields of one expression, collecting what is wrong with them."""

    def __init__(self, fields: dict[_Field, str], path: str) -> None:
        self._fields = fields
        self._path = path
        self._faults: list[Violation] = []

    def calendar(self) -> Calendar:
        """Return what the fields mean.

        Raises:
            ValidationError: With every fault.
        """
        day, weekday = self._fields[_DAY], self._fields[_WEEKDAY]
        # As cron has it since ever: two restrictions are alternatives, unless one begins with a star.
        either = not any(field.startswith(("*", "?")) for field in (day, weekday))
        read = Calendar(
            seconds=self._numbers(_SECOND, "0"),
            minutes=self._numbers(_MINUTE),
            hours=self._numbers(_HOUR),
            month_days=self._month_days(day),
            months=self._numbers(_MONTH),
            week_days=self._week_days(weekday),
            either=either,
            years=() if self._fields.get(_YEARS, "*") == "*" else self._numbers(_YEARS),
        )
        if self._faults:
            raise ValidationError(self._faults)
        return read

    def _numbers(self, field: _Field, default: str = "") -> tuple[int, ...]:
        found: set[int] = set()
        for item in self._fields.get(field, default).split(","):
            try:
                found.update(_range(field, item))
            except _FieldError as error:
                self._fault(field, error)
        return tuple(sorted(found)) or (field.low,)

    def _month_days(self, text: str) -> MonthDays | None:
        if text in {"*", "?"}:
            return None
        numbers: set[int] = set()
        from_last: set[int] = set()
        near: set[int] = set()
        for item in text.split(","):
            try:
                if item.endswith("W"):
                    near.add(_near(item))
                elif item.startswith("L"):
                    from_last.add(_from_last(item))
                else:
                    numbers.update(_range(_DAY, item))
            except _FieldError as error:
                self._fault(_DAY, error)
        return MonthDays(numbers=frozenset(numbers), from_last=frozenset(from_last), near=frozenset(near))

    def _week_days(self, text: str) -> WeekDays | None:
        if text in {"*", "?"}:
            return None
        numbers: set[int] = set()
        nth: set[tuple[int, int]] = set()
        last: set[int] = set()
        for item in text.split(","):
            try:
                if "#" in item:
                    nth.add(_nth(item))
                elif item.endswith("L"):
                    last.add(_last(item))
                else:
                    numbers.update(number % 7 for number in _range(_WEEKDAY, item))
            except _FieldError as error:
                self._fault(_WEEKDAY, error)
        return WeekDays(numbers=frozenset(numbers), nth=frozenset(nth), last=frozenset(last))

    def _fault(self, field: _Field, error: _FieldError) -> None:
        self._faults.append(Violation(self._path, f"{field.name} {error}", Rule.CRON_INVALID))


def _range(field: _Field, item: str) -> list[int]:
    """Read ``*``, ``5``, ``1-5``, ``*/15``, ``1-31/2`` or ``5/15``."""
    text, slash, step_text = item.partition("/")
    step = _step(field, step_text, item) if slash else 1
    if text == "*":
        return list(range(field.low, _top(field) + 1, step))
    first_text, dash, last_text = text.partition("-")
    first = _number(field, first_text, item)
    if not dash:
        return list(range(first, field.high + 1, step)) if slash else [first]
    last = _number(field, last_text, item)
    if first <= last:
        return list(range(first, last + 1, step))
    if not field.cyclic:
        raise _FieldError(f"{_show(item)} goes backwards")
    size = _top(field) - field.low + 1
    steps = range(first, last + size + 1, step)
    return [field.low + (number - field.low) % size for number in steps]


def _top(field: _Field) -> int:
    """Return the highest number that is not another way to write one (7 is 0 for a weekday)."""
    return 6 if field is _WEEKDAY else field.high


def _step(field: _Field, text: str, item: str) -> int:
    size = field.high - field.low + 1
    step = int(text) if _DIGITS.fullmatch(text) else 0
    if not 1 <= step <= size:
        raise _FieldError(f"{_show(item)}: the step must be between 1 and {size}")
    return step


def _number(field: _Field, text: str, item: str) -> int:
    if field.names and text in field.names:
        return field.names[text]
    number = int(text) if _DIGITS.fullmatch(text) else -1
    if field.low <= number <= field.high:
        return number
    names = f", or {', '.join(field.names)}" if field.names else ""
    raise _FieldError(f"{_show(item)}: {_show(text)} is not between {field.low} and {field.high}{names}")


def _from_last(item: str) -> int:
    """Read ``L`` or ``L-3``."""
    if item == "L":
        return 0
    number = item.removeprefix("L-")
    if not _DIGITS.fullmatch(number) or not 1 <= int(number) <= 30:
        raise _FieldError(f"{_show(item)}: it is L, or L-1 to L-30")
    return int(number)


def _near(item: str) -> int:
    """Read ``15W``, ``LW`` or ``L-3W``."""
    day = item.removesuffix("W")
    if day.startswith("L"):
        return -_from_last(day)
    return _number(_DAY, day, item)


def _nth(item: str) -> tuple[int, int]:
    """Read ``FRI#2``."""
    day, _, nth = item.partition("#")
    if nth not in {"1", "2", "3", "4", "5"}:
        raise _FieldError(f"{_show(item)}: behind # stands 1 to 5")
    return _number(_WEEKDAY, day, item) % 7, int(nth)


def _last(item: str) -> int:
    """Read ``FRIL``."""
    day = item.removesuffix("L")
    if not day:
        raise _FieldError("'L': say of which weekday the last is meant, such as FRIL; Saturday is SAT")
    return _number(_WEEKDAY, day, item) % 7


def _show(item: str) -> str:
    return repr(item[:_SHOWN])
