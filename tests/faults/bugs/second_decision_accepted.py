"""Who decides what is decided already is told that it counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.core.errors import PreconditionError
from weft.server.execution.history.model import EventBody
from weft.server.execution.history.run import Run
from weft.server.execution.orders.messages import Decide


def plant() -> None:
    def make(original: Any) -> Any:
        def decide(self: Decide, run: Run) -> Sequence[EventBody]:
            try:
                bodies: Sequence[EventBody] = original(self, run)
            except PreconditionError:
                return ()
            return bodies

        return decide

    wrap(Decide, "decide", make)
