"""A transport that is loaded with its first call."""

from __future__ import annotations

import asyncio
import threading

import pytest

from weft.discovery.model import Endpoint
from weft.mesh.actions import ActionCall, ActionTransport
from weft.mesh.later import LaterTransport

CALL = ActionCall(service="texts", action="shout", input=b"{}", idempotency_key="k")
ENDPOINT = Endpoint(host="127.0.0.1", port=1, instance_id="one")


class Counted:
    """Counts how often it was loaded and closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.loaded = self.closed = 0

    def load(self) -> ActionTransport:
        self.gate.wait(5)
        self.loaded += 1
        return self

    async def invoke(self, endpoint: Endpoint, call: ActionCall, timeout: float) -> bytes | None:
        return f"{endpoint.instance_id} {call.action} {timeout}".encode()

    async def close(self) -> None:
        self.closed += 1


async def test_calls_share_what_the_first_one_loads() -> None:
    """It is loaded once, beside the loop; a caller that leaves meanwhile takes it from nobody."""
    counted = Counted()
    later = LaterTransport(counted.load)
    calls = [asyncio.create_task(later.invoke(ENDPOINT, CALL, 2.0)) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    counted.gate.set()
    assert await asyncio.gather(*calls[1:]) == [b"one shout 2.0"] * 2
    assert await later.invoke(ENDPOINT, CALL, 1.0) == b"one shout 1.0"
    await later.close()
    assert (counted.loaded, counted.closed) == (1, 1)


async def test_what_was_never_used_is_never_loaded() -> None:
    """Closing loads nothing."""
    counted = Counted()
    await LaterTransport(counted.load).close()
    assert (counted.loaded, counted.closed) == (0, 0)
