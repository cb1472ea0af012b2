"""Orders as other servers leave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from weft.server.execution.messages import Decide, SendSignal
from weft.server.execution.orders import (
    Cancel,
    Complete,
    LookAtChild,
    Order,
    Pause,
    Progress,
    Resolve,
    Resume,
)
from weft.server.store.base import Command

__all__ = ["read_order"]

_ORDERS: Final[Mapping[str, type[Order]]] = {
    order.kind: order
    for order in (Cancel, Pause, Resume, Resolve, Progress, Complete, LookAtChild, SendSignal, Decide)
}


def read_order(command: Command) -> Order | None:
    """Read what another server asks; None when this release does not know it."""
    order = _ORDERS.get(command.kind)
    return order.read(command.execution_id, orjson.loads(command.body)) if order else None
