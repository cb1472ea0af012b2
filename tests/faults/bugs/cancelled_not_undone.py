"""Only what fails is undone, and not what is cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.faults.bugs.seams import change_bodies
from weft.server.execution.history.model import EventBody, ExecutionClosing, Outcome


def plant() -> None:
    def forget(body: EventBody) -> Sequence[EventBody]:
        if isinstance(body, ExecutionClosing) and body.outcome is Outcome.CANCELLED:
            return [replace(body, undo=())]
        return [body]

    change_bodies(forget)
