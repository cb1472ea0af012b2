"""A step waits half as long as it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.faults.bugs.seams import change_bodies
from weft.core.clock import SystemClock
from weft.server.execution.history.model import EventBody, StepWaiting, Waits


def plant() -> None:
    def hurry(body: EventBody) -> Sequence[EventBody]:
        if isinstance(body, StepWaiting) and body.waits is Waits.TIMER and body.until is not None:
            now = SystemClock().now()
            return [replace(body, until=now + (body.until - now) / 2)]
        return [body]

    change_bodies(hurry)
