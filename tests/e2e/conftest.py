from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from weft.server.app import WeftServer
from weft.server.config import ServerConfig


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """A server of its own for each test; nothing it keeps outlives it."""
    async with WeftServer(ServerConfig(listen="127.0.0.1:0")) as server:
        yield server.address
