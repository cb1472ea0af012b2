from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.engine.processes import ServerProcess, server_in
from tests.integration.engine.work import Journal
from weft.client import Client, connect


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with server_in(tmp_path) as made:
        yield made


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
async def weft(server: ServerProcess) -> AsyncIterator[Client]:
    async with connect(server.address) as client:
        yield client
