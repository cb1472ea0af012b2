"""The sources under contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.contract.discovery.adapters import ADAPTERS, Source
from tests.support.consul import ConsulAgent, started_agent


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulAgent]:
    with started_agent(tmp_path_factory.mktemp("consul")) as started:
        yield started


@pytest.fixture
async def source(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Source]:
    """Open the source that the test is run over."""
    opened = ADAPTERS[request.param](tmp_path, lambda: request.getfixturevalue("agent"))
    await opened.open()
    yield opened
    await opened.let_go()
    await opened.close()
