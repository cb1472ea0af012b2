"""A step that is scheduled again keeps the number of its attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.faults.bugs.seams import change_bodies
from weft.server.execution.history.model import EventBody, StepScheduled


def plant() -> None:
    def keep(body: EventBody) -> Sequence[EventBody]:
        if isinstance(body, StepScheduled) and body.attempt > 1:
            return [replace(body, attempt=body.attempt - 1)]
        return [body]

    change_bodies(keep)
