"""A child is started under another id than the one that its parent recorded."""

from __future__ import annotations

from typing import Any

from tests.faults.bugs.seams import wrap
from weft.core.clock import SystemClock
from weft.core.names import EXECUTION_PREFIX, new_id
from weft.server.execution.starting.child_start import ChildStarter


def plant() -> None:
    def make(original: Any) -> Any:
        async def start_child(self: Any, _: str, *rest: Any, **named: Any) -> Any:
            return await original(self, new_id(EXECUTION_PREFIX, SystemClock().now()), *rest, **named)

        return start_child

    wrap(ChildStarter, "start_child", make)
