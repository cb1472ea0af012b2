"""Nobody who follows an execution is woken by what happens."""

from __future__ import annotations

from tests.faults.bugs.seams import wrap
from weft.server.execution.history.hub import Hub


def plant() -> None:
    def changed(self: Hub, execution_id: str) -> None:
        """Tell nobody."""

    wrap(Hub, "changed", lambda _: changed)
