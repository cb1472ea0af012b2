"""A message stays after a step has taken it, for the next one to take it as well."""

from __future__ import annotations

from typing import Any

from weft.server.execution.history.model import StepCompleted
from weft.server.execution.history.standing import Standing


def plant() -> None:
    original = Standing._apply[StepCompleted]

    def completed(self: Standing, body: Any, time: Any) -> None:
        kept = dict(self.signals)
        original(self, body, time)
        self.signals = kept

    Standing._apply = {**Standing._apply, StepCompleted: completed}
