"""One agent for all tests of a worker that do not harm it; each uses names of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.consul import ConsulAgent, started_agent
from weft.discovery.consul import ConsulClient


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulAgent]:
    with started_agent(tmp_path_factory.mktemp("consul")) as started:
        yield started


@pytest.fixture
async def client(agent: ConsulAgent) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(agent.config()) as opened:
        yield opened
