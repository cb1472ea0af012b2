from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.client.peer import Middle, Peer
from tests.support.clocks import SteppingClock
from weft.client import Client, ServiceIntegrationClient, connect


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
async def weft(peer: Peer, clock: SteppingClock) -> AsyncIterator[Client]:
    async with connect(peer.target, clock=clock, chance=Middle()) as client:
        yield client


@pytest.fixture
async def client(peer: Peer, clock: SteppingClock) -> AsyncIterator[ServiceIntegrationClient]:
    async with ServiceIntegrationClient(f"http://{peer.target}/api", clock=clock, chance=Middle()) as client:
        yield client
