"""A message that no step waits for yet is acknowledged, and not kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution.history.model import EventBody, Waits
from weft.server.execution.history.place import Phase
from weft.server.execution.history.run import Run
from weft.server.execution.orders.messages import SendSignal


def plant() -> None:
    def make(original: Any) -> Any:
        def decide(self: SendSignal, run: Run) -> Sequence[EventBody]:
            waiting = (place.waiting for place in run.standing.in_phase(Phase.WAITING))
            if any(it is not None and it.waits is Waits.SIGNAL for it in waiting):
                bodies: Sequence[EventBody] = original(self, run)
                return bodies
            run.standing.known_signals.add(self.signal_id)
            return ()

        return decide

    wrap(SendSignal, "decide", make)
