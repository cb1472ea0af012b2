"""Schedules as messages: what callers may write for each field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from weft.api.common.v1 import context_pb2
from weft.api.schedule.v1 import schedule_pb2 as pb
from weft.client._writing import enums
from weft.client._writing import fields as write
from weft.core.context import CallContext
from weft.core.definitions import is_list
from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule

__all__ = ["action", "moment", "policies", "spec"]

_RANGE: Final = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?(?:/(\d{1,4}))?", re.ASCII)


def spec(value: object, path: str = "spec") -> pb.ScheduleSpec:
    """Write when a schedule fires: a record, a mapping, or the text of one cron expression.

    Raises:
        ValidationError: Every member that is unknown or of another type.
    """
    return write.build(pb.ScheduleSpec, _SPEC, {"crons": [value]} if isinstance(value, str) else value, path)


def action(value: object, path: str = "action") -> pb.ScheduleAction:
    """Write what a schedule starts: a record, a mapping, or the name of a workflow.

    Raises:
        ValidationError: Every member that is unknown or of another type.
    """
    given = {"workflow": value} if isinstance(value, str) else value
    return write.build(pb.ScheduleAction, _ACTION, given, path)


def policies(value: object, path: str = "policies") -> pb.SchedulePolicies:
    """Write how a schedule starts things.

    Raises:
        ValidationError: Every member that is unknown or of another type.
    """
    return write.build(pb.SchedulePolicies, _POLICIES, value, path)


def moment(value: Any, path: str) -> Timestamp:
    """Take a time with a zone, or its text in ISO 8601; without a zone it is in UTC.

    Raises:
        ValidationError: It is no time.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            text = f"{value[:40]!r} is no time; write 2026-03-01T09:00:00Z"
            raise ValidationError([Violation(path, text, Rule.INVALID)]) from None
    if not isinstance(value, datetime):
        text = f"is of type {type(value).__name__}, not a time"
        raise ValidationError([Violation(path, text, Rule.INVALID)])
    found = Timestamp()
    found.FromDatetime((value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC))
    return found


def _cron(value: Any, path: str) -> pb.CronEntry:
    given = {"expression": value} if isinstance(value, str) else value
    return write.build(pb.CronEntry, {"expression": write.text, "time_zone": write.text}, given, path)


def _ranges(value: Any, path: str) -> list[pb.Range]:
    """Take a number, ``9-17``, ``0-59/15``, or a list of these."""
    return write.each(_range)(value, path) if is_list(value) else [_range(value, path)]


def _range(value: Any, path: str) -> pb.Range:
    if isinstance(value, Mapping):
        table = {"start": write.whole, "end": write.whole, "step": write.whole}
        return write.build(pb.Range, table, value, path)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    found = _RANGE.fullmatch(text.replace(" ", "")) if isinstance(text, str) else None
    if found is None:
        words = "is neither a number nor a range such as 9-17 or 0-59/15"
        raise ValidationError([Violation(path, words, Rule.INVALID)])
    start, end, step = found.groups()
    return pb.Range(start=int(start), end=int(end or start), step=int(step or 1))


def _interval(value: Any, path: str) -> pb.IntervalEntry:
    given = value
    if not isinstance(value, Mapping) and not hasattr(value, "every"):
        given = {"every": value}
    return write.build(pb.IntervalEntry, {"every": write.span, "offset": write.span}, given, path)


def _context(value: Any, path: str) -> context_pb2.CallContext:
    if isinstance(value, CallContext | Mapping):
        return write.context_message(write.call_context(value))
    text = f"is of type {type(value).__name__}, not an object"
    raise ValidationError([Violation(path, text, Rule.INVALID)])


_CALENDAR: Final[Mapping[str, write.Reader]] = {
    **dict.fromkeys(("seconds", "minutes", "hours", "days", "months", "weekdays", "years"), _ranges),
    "time_zone": write.text,
    "comment": write.text,
}

_SPEC: Final[Mapping[str, write.Reader]] = {
    "crons": write.each(_cron),
    "calendars": write.many(pb.CalendarEntry, _CALENDAR),
    "intervals": write.each(_interval),
    "excluded": write.many(pb.CalendarEntry, _CALENDAR),
    "time_zone": write.text,
    "start_time": moment,
    "end_time": moment,
    "jitter": write.span,
}

_ACTION: Final[Mapping[str, write.Reader]] = {
    "workflow": write.text,
    "version": write.whole,
    "alias": write.text,
    "input": write.payload,
    "context": _context,
    "search_attributes": write.struct,
    "timeout": write.span,
}

_POLICIES: Final[Mapping[str, write.Reader]] = {
    "overlap": enums.OVERLAP_POLICY.number,
    "catch_up_window": write.span,
    "pause_on_failure": write.flag,
    "max_runs": write.whole,
}
