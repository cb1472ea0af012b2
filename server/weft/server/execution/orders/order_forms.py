"""Orders as other servers leave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from weft.server.execution.orders.messages import Decide, SendSignal
from weft.server.execution.orders.orders import (
    Cancel,
    Complete,
    LookAtChild,
    Order,
    Pause,
    Progress,
    Resolve,
    Resume,
)
from weft.server.forms import known_as
from weft.server.store.base import Command

__all__ = ["ORDER_KINDS", "read_order"]

_ORDERS: Final[Mapping[str, type[Order]]] = {
    order.kind: order
    for order in (Cancel, Pause, Resume, Resolve, Progress, Complete, LookAtChild, SendSignal, Decide)
}

ORDER_KINDS: Final = frozenset(_ORDERS)
"""What this release can carry out; other commands are left for servers that can."""


def read_order(command: Command) -> Order:
    """Read what another server asks.

    Raises:
        NewerReleaseError: This release does not know it.
    """
    return known_as(_ORDERS, command.kind, "order").read(command.execution_id, orjson.loads(command.body))
