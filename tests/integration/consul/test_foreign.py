"""Services that somebody else registered in Consul."""

from __future__ import annotations

import logging

import pytest

from tests.support.consul import ConsulAgent
from tests.support.watching import following
from weft.discovery.consul import ConsulClient, ConsulResolver
from weft.discovery.model import Health, Protocol

pytestmark = pytest.mark.integration


async def test_a_foreign_service_is_found_as_it_is(agent: ConsulAgent, client: ConsulClient) -> None:
    """Its node's address stands in for its own, its tags say what it speaks, and its id is told by node."""
    agent.register("billing", Port=9000, Tags=["HTTP", "version-3.1.0"], Weights={"Passing": 4, "Warning": 2})
    async with following(ConsulResolver(client), "billing") as seen:
        await seen.keys("billing:dc1-node")
        found = seen.newest.endpoints[0]
        assert (found.address, found.protocol, found.version) == ("127.0.0.1:9000", Protocol.HTTP, "3.1.0")
        assert (found.weight, found.health, found.datacenter) == (4, Health.PASSING, "dc1")
        agent.register("billing", Port=9000, Meta={"protocol": "grpc", "version": "4.0.0", "zone": "b"})
        await seen.until(lambda s: s.endpoints[0].version == "4.0.0")
        found = seen.newest.endpoints[0]
        assert (found.protocol, found.zone) == (Protocol.GRPC, "b")
        assert found.metadata == {"protocol": "grpc", "version": "4.0.0", "zone": "b"}
    agent.deregister("billing")


async def test_the_worst_check_decides_and_maintenance_is_draining(
    agent: ConsulAgent, client: ConsulClient
) -> None:
    """One critical check of several makes an instance critical; maintenance mode makes it draining."""
    checks = [
        {"CheckID": "one", "Name": "one", "TTL": "1h", "Status": "passing"},
        {"CheckID": "two", "Name": "two", "TTL": "1h", "Status": "warning"},
    ]
    agent.register("checked", Port=9001, Checks=checks)
    async with following(ConsulResolver(client), "checked") as seen:
        await seen.until(lambda s: bool(s.endpoints) and s.endpoints[0].health is Health.WARNING)
        agent.call("PUT", "/v1/agent/check/update/two", {"Status": "critical"})
        await seen.until(lambda s: s.endpoints[0].health is Health.CRITICAL)
        agent.call("PUT", "/v1/agent/check/update/two", {"Status": "passing"})
        await seen.until(lambda s: s.endpoints[0].health is Health.PASSING)
        agent.call("PUT", "/v1/agent/service/maintenance/checked?enable=true&reason=upgrade")
        await seen.until(lambda s: s.endpoints[0].health is Health.DRAINING)
        assert seen.newest.callable() == ()
    agent.deregister("checked")


async def test_an_unusable_address_is_never_handed_on(
    agent: ConsulAgent, client: ConsulClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Port 0, a port beyond 65535 and a host that is none are skipped, each with one clear line."""
    agent.register("odd", "no-port")
    agent.register("odd", "high-port", Port=99_999)
    agent.register("odd", "no-host", Address="not a host", Port=80)
    agent.register("odd", "good", Port=80)
    with caplog.at_level(logging.WARNING, "weft.discovery.consul"):
        async with following(ConsulResolver(client), "odd") as seen:
            await seen.keys("good:dc1-node")
            agent.register("odd", "good-2", Port=81)
            await seen.keys("good:dc1-node", "good-2:dc1-node")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert any("'no-port' of node 'dc1-node' is skipped: its port 0 is not between" in line for line in lines)
    assert any("its address 'not a host' is neither a host name nor" in line for line in lines)
    for service_id in ("no-port", "high-port", "no-host", "good", "good-2"):
        agent.deregister(service_id)


async def test_names_with_odd_characters_are_looked_up_as_they_are(
    agent: ConsulAgent, client: ConsulClient
) -> None:
    """A name is quoted, so that it cannot reach another part of Consul's API."""
    agent.register("a b/c%d?x", "odd", Port=80)
    async with following(ConsulResolver(client), "a b/c%d?x") as seen:
        await seen.keys("odd:dc1-node")
    agent.deregister("odd")
