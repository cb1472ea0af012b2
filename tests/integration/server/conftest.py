from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.wire import Wire
from tests.support.world import World, populated, serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """One server for all tests of a module, with something in it; tests leave it as they find it."""
    async with populated() as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire() -> AsyncIterator[Wire]:
    """One empty server for all tests of a module; each test uses names of its own."""
    async with serving() as wire:
        yield wire
