"""The number of an execution's last event leaves a gap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution.history.model import EventBody, ExecutionCompleted
from weft.server.execution.history.run import Recording


def plant() -> None:
    def make(original: Any) -> Any:
        def add(self: Recording, *bodies: EventBody) -> None:
            original(self, *bodies)
            if self.events and isinstance(self.events[-1].body, ExecutionCompleted):
                self.events[-1] = replace(self.events[-1], number=self.events[-1].number + 1)

        return add

    wrap(Recording, "add", make)
