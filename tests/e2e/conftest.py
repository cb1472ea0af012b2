from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from tests.e2e import commands
from tests.e2e.commands import Weft
from weft.server.app import WeftServer
from weft.server.config import ServerConfig


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """A server of its own for each test; nothing it keeps outlives it."""
    async with WeftServer(ServerConfig(listen="127.0.0.1:0")) as server:
        yield server.address


@pytest.fixture
def weft(address: str) -> Weft:
    """The command as a process."""
    return partial(commands.weft, WEFT_TARGET=address)


@pytest.fixture
def here(address: str) -> Weft:
    """The command within this process."""
    return partial(commands.weft_here, WEFT_TARGET=address)
