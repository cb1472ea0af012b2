"""A host that really runs, a channel to it, and a registry that tests command."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
import pytest

from tests.integration.service.registry import Registry, made
from tests.support.hosting import Probe, channel_to
from weft.core.testing import ManualClock
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


@pytest.fixture
def registry() -> Registry:
    return made()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
