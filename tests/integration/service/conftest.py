"""A host that really runs, and a channel to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
import pytest

from tests.support.hosting import Probe, channel_to
from weft.service import Host


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
async def host(probe: Probe) -> AsyncIterator[Host]:
    async with probe.service.hosted() as host:
        yield host


@pytest.fixture
async def channel(host: Host) -> AsyncIterator[grpc.aio.Channel]:
    async with channel_to(host) as channel:
        yield channel
