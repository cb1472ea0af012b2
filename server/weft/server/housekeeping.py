"""Small jobs in the background."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import WeftError
from weft.server.store.base import Store

__all__ = ["REQUEST_MEMORY", "forget_old_requests"]

_log = logging.getLogger("weft.server.housekeeping")

REQUEST_MEMORY: Final = timedelta(hours=24)
"""How long a ``request_id`` of a registry or workflow mutation is remembered."""

_EVERY_SECONDS: Final = 600.0


async def forget_old_requests(store: Store, clock: Clock) -> None:
    """Delete old request keys now and then, until cancelled."""
    while True:
        try:
            count = await store.forget_requests(clock.now() - REQUEST_MEMORY)
            if count:
                _log.debug("forgot %d request keys", count)
        except WeftError as error:
            _log.warning("request keys are kept for now: %s", error)
        await clock.sleep(_EVERY_SECONDS)
