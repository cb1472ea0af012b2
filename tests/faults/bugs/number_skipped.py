"""The number of an execution's last event leaves a gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution import run
from weft.server.execution.model import Event, EventBody, ExecutionCompleted


def plant() -> None:
    def make(original: Any) -> Any:
        def number_events(last: int, bodies: Sequence[EventBody], clock: Any) -> tuple[Event, ...]:
            events: tuple[Event, ...] = original(last, bodies, clock)
            if isinstance(events[-1].body, ExecutionCompleted):
                return (*events[:-1], replace(events[-1], number=events[-1].number + 1))
            return events

        return number_events

    wrap(run, "number_events", make)
