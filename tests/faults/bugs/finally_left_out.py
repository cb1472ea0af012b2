"""Where something was undone, nothing runs at the end."""

from __future__ import annotations

from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution.history.run import Run


def plant() -> None:
    def make(original: Any) -> Any:
        def closing_step(self: Run) -> str:
            closing = self.standing.closing
            step: str = original.fget(self)
            return "" if closing is not None and closing.undo else step

        return property(closing_step)

    wrap(Run, "closing_step", make)
