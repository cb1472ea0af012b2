"""A child goes on when its parent has ended."""

from __future__ import annotations

from typing import Any

from tests.faults.bugs.seams import wrap
from weft.server.execution.engine.claims import Claims
from weft.server.execution.orders.family import Relatives


def plant() -> None:
    def orphaned(self: Relatives, child_id: str) -> None:
        """Cancel nothing."""

    async def is_orphan(self: Claims, *_: Any) -> bool:
        return False

    wrap(Relatives, "orphaned", lambda _: orphaned)
    wrap(Claims, "_is_orphan", lambda _: is_orphan)
