"""What was done first is undone first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.faults.bugs.seams import change_bodies
from weft.server.execution.history.model import EventBody, ExecutionClosing


def plant() -> None:
    def turn(body: EventBody) -> Sequence[EventBody]:
        if isinstance(body, ExecutionClosing):
            return [replace(body, undo=tuple(reversed(body.undo)))]
        return [body]

    change_bodies(turn)
