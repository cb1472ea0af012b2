"""What the file of a schedule may hold."""

from __future__ import annotations

from typing import Any, Final

from weft.cli._files.shapes import FLAG, JSON, OBJECT, SPAN, TEXT, TEXTS, WHOLE, Field, Shape, choice, list_of

__all__ = ["OVERLAPS", "SCHEDULE"]

OVERLAPS: Final = ("SKIP", "BUFFER_ONE", "BUFFER_ALL", "CANCEL_OTHER", "TERMINATE_OTHER", "ALLOW_ALL")
"""What happens to a start while another execution is open."""

_CRON: Final = Shape("CronEntry", ("expression",)).having({"expression": TEXT, "time_zone": TEXT})
_INTERVAL: Final = Shape("IntervalEntry", ("every",)).having({"every": SPAN, "offset": SPAN})


def _short(shape: Shape, member: str) -> Field:
    """Return the field of an object of which one member may be written alone."""

    def read(value: Any, path: str) -> dict[str, Any]:
        return shape.read(value if isinstance(value, dict) else {member: value}, path)

    schema = {"anyOf": [shape.fields[member].schema, shape.field.schema]}
    return Field(read=read, schema=schema, shape=shape)


_CALENDAR: Final = Shape("CalendarEntry").having(
    {
        **dict.fromkeys(("seconds", "minutes", "hours", "days", "months", "weekdays", "years"), JSON),
        "time_zone": TEXT,
        "comment": TEXT,
    }
)

_SPEC: Final = Shape("ScheduleSpec").having(
    {
        "crons": list_of(_short(_CRON, "expression")),
        "calendars": list_of(_CALENDAR.field),
        "intervals": list_of(_short(_INTERVAL, "every")),
        "excluded": list_of(_CALENDAR.field),
        "time_zone": TEXT,
        "start_time": TEXT,
        "end_time": TEXT,
        "jitter": SPAN,
    }
)

_ACTION: Final = Shape("ScheduleAction", ("workflow",)).having(
    {
        "workflow": TEXT,
        "version": WHOLE,
        "alias": TEXT,
        "input": OBJECT,
        "context": TEXTS,
        "search_attributes": OBJECT,
        "timeout": SPAN,
    }
)

_POLICIES: Final = Shape("SchedulePolicies").having(
    {
        "overlap": choice(*OVERLAPS, closed=True),
        "catch_up_window": SPAN,
        "pause_on_failure": FLAG,
        "max_runs": WHOLE,
    }
)

SCHEDULE: Final = Shape("Schedule", ("name", "spec", "action")).having(
    {
        "name": TEXT,
        "description": TEXT,
        "spec": _SPEC.field,
        "action": _ACTION.field,
        "policies": _POLICIES.field,
    }
)
"""A schedule."""
