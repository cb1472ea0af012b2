"""What undoes a child is done without being begun."""

from __future__ import annotations

from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution.engine.children import Children, _done
from weft.server.execution.history.paths import UNDO
from weft.server.execution.history.place import Place
from weft.server.execution.history.run import Run


def plant() -> None:
    def make(original: Any) -> Any:
        async def outcome(self: Any, run: Run, place: Place, *rest: Any, **more: Any) -> Any:
            if place.scope == UNDO:
                return lambda run, place: _done(run, place, b"{}")
            return await original(self, run, place, *rest, **more)

        return outcome

    wrap(Children, "outcome", make)
