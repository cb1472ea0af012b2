"""What an open execution waits for, and until when."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from weft.server.execution.history.model import StepWaiting, Waits
from weft.server.execution.history.place import Phase, Place
from weft.server.execution.history.standing import Standing

__all__ = ["LOOK_AT_CHILD", "STAY", "due_time", "rest"]

LOOK_AT_CHILD: Final = timedelta(minutes=1)
"""How often a parent looks at its child, beside the moments when it is told."""
STAY: Final = timedelta(seconds=30)
"""What waits longer than this is let go of, and read again when it is due."""

_BEHIND_A_PERSON: Final = frozenset({Waits.TIMER, Waits.SIGNAL, Waits.CHILD, Waits.RETRY, Waits.COMPLETION})
"""What is not shown when a person is asked something as well."""


def due_time(place: Place) -> datetime | None:
    """Return when something happens by itself at a place."""
    match place.phase:
        case Phase.RETRYING:
            return place.retry_time
        case Phase.ACCEPTED:
            return place.silent_at(place.planned.step.heartbeat_timeout if place.planned else None)
        case Phase.WAITING if place.waiting is not None:
            return _until(place.waiting, place)
        case _:
            return None


def _until(waiting: StepWaiting, place: Place) -> datetime | None:
    """Return until when a step waits; for a child it looks now and then, as the news may be lost."""
    if waiting.waits is not Waits.CHILD or place.looked_time is None:
        return waiting.until
    look = place.looked_time + LOOK_AT_CHILD
    return min(look, waiting.until) if waiting.until else look


def rest(standing: Standing, in_flight: Collection[str]) -> tuple[Waits, datetime | None]:
    """Return what an execution waits for, all of it, and until when; NOTHING when there is something to do.

    Of several it is what ends first; but a person who is asked something has to find it.

    Args:
        standing: Where it stands.
        in_flight: Paths of the steps whose attempts run.
    """
    if len(standing.places) == 1:  # as it is nearly always
        (place,) = standing.places.values()
        return _rest_at(standing, in_flight, place)
    first, first_due = Waits.NOTHING, None
    for place in standing.places.values():
        if place.phase is Phase.OPEN and place.inside:
            continue
        waits, due = _rest_at(standing, in_flight, place)
        if waits is Waits.NOTHING:
            return Waits.NOTHING, None
        if due is not None and (first_due is None or due < first_due):
            first, first_due = waits, due
        elif first is Waits.NOTHING:
            first = waits
    if first in _BEHIND_A_PERSON and _asks(standing):
        first = Waits.APPROVAL
    return (Waits.RESUME, first_due) if standing.paused and first is Waits.NOTHING else (first, first_due)


def _asks(standing: Standing) -> bool:
    waiting = (place.waiting for place in standing.in_phase(Phase.WAITING))
    return any(it is not None and it.waits is Waits.APPROVAL for it in waiting)


def _rest_at(standing: Standing, in_flight: Collection[str], place: Place) -> tuple[Waits, datetime | None]:
    waits = _waits_at(standing, in_flight, place)
    if waits is Waits.NOTHING or place.phase is Phase.INCIDENT:
        return waits, None
    return waits, None if waits is Waits.RESUME else due_time(place)


def _waits_at(standing: Standing, in_flight: Collection[str], place: Place) -> Waits:
    waiting = place.waiting
    if place.phase is Phase.ACCEPTED:
        return Waits.COMPLETION
    if place.phase is Phase.WAITING and waiting is not None:
        to_look_at = bool(waiting.child) and not place.seen  # it is to be started, or has ended
        if waiting.waits is Waits.STEP_LIMIT and standing.paused:
            return Waits.RESUME
        return Waits.NOTHING if to_look_at else waiting.waits
    if standing.paused:
        runs = place.phase is Phase.SCHEDULED and place.path in in_flight
        return Waits.NOTHING if runs else Waits.RESUME
    return {Phase.INCIDENT: Waits.INCIDENT, Phase.RETRYING: Waits.RETRY}.get(place.phase, Waits.NOTHING)
