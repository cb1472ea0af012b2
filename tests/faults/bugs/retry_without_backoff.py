"""A retry is due at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.faults.bugs.seams import change_bodies
from weft.core.clock import SystemClock
from weft.server.execution.history.events import EventBody, StepRetryScheduled


def plant() -> None:
    def hurry(body: EventBody) -> Sequence[EventBody]:
        if isinstance(body, StepRetryScheduled):
            return [replace(body, retry_time=SystemClock().now())]
        return [body]

    change_bodies(hurry)
