"""An iteration does not see what the one before it left."""

from __future__ import annotations

from tests.faults.bugs.seams import wrap
from weft.server.execution.history.run import Run


def plant() -> None:
    def inherit(self: Run, scope: str) -> None:
        """Take over nothing."""

    wrap(Run, "_inherit", lambda _: inherit)
