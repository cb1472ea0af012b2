"""Very many calls that come at once, from several clients."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.support.wire import Wire
from weft.client import connect

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


async def test_calls_wait_for_their_turn(wire: Wire) -> None:
    """Also above a thousand that are not begun: none is cancelled without having been looked at."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(wire.address)) for _ in range(3)]
        for client in clients:
            await client.health.check()
        calls = [client.workflows.list() for client in clients for _ in range(800)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(answer).__name__ for answer in answers} == {"Page"}
