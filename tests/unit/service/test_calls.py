"""How calls end when a host stops."""

from __future__ import annotations

import asyncio

import pytest

from weft.core.errors import ServiceUnavailableError
from weft.service._calls import Calls


async def test_it_is_quiet_when_nobody_came_for_a_while() -> None:
    """Who comes late is refused, and the end waits for that."""
    calls = Calls("demo")
    calls.refuse()
    waiting = asyncio.create_task(calls.quiet(0.02))
    for _ in range(6):
        await asyncio.sleep(0.005)
        with pytest.raises(ServiceUnavailableError), calls.enter():
            pass
    assert not waiting.done()
    await asyncio.wait_for(waiting, 2)
