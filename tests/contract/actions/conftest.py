"""Both ways to a provider of actions: a unary call each, and one stream for all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.actions import WAYS, Way
from tests.support.hosting import Probe
from weft.discovery.endpoint import parse_address
from weft.discovery.model import Endpoint
from weft.service import Host


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
async def host(probe: Probe) -> AsyncIterator[Host]:
    async with probe.service.hosted() as host:
        yield host


@pytest.fixture
def endpoint(host: Host) -> Endpoint:
    address, port = parse_address(host.address)
    return Endpoint(host=address, port=port, instance_id=host.instance_id)


@pytest.fixture(params=WAYS)
async def way(request: pytest.FixtureRequest) -> AsyncIterator[Way]:
    async with Way(request.param) as way:
        yield way
