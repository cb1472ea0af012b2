"""A step that starts a child is done when the child has begun."""

from __future__ import annotations

from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution.engine.children import Children, _done


def plant() -> None:
    def make(original: Any) -> Any:
        async def outcome(self: Any, *rest: Any, **more: Any) -> Any:
            found = await original(self, *rest, **more)
            return found or (lambda run, place: _done(run, place, b"{}"))

        return outcome

    wrap(Children, "outcome", make)
