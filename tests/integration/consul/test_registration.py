"""What is registered in a real Consul, and what comes back."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.support.consul import ConsulAgent
from tests.support.watching import eventually, following
from weft.discovery.consul import ConsulClient, ConsulRegistrar, ConsulResolver, HealthReport, Registration
from weft.discovery.model import Endpoint, Health, Protocol, Snapshot

pytestmark = pytest.mark.integration

_SECONDS = 5.0


@asynccontextmanager
async def registered(
    client: ConsulClient,
    registration: Registration,
    health: Callable[[], Awaitable[HealthReport]] | None = None,
) -> AsyncIterator[ConsulRegistrar]:
    options: dict[str, Any] = {} if health is None else {"health": health}
    async with ConsulRegistrar(client, registration, **options) as registrar:
        async with asyncio.timeout(_SECONDS):
            await registrar.wait_registered()
        yield registrar


def endpoint(name: str, **changes: Any) -> Endpoint:
    return replace(Endpoint(host="127.0.0.1", port=7001, instance_id=f"{name}-1"), **changes)


def _is(health: Health, snapshot: Snapshot) -> bool:
    return snapshot.endpoints[0].health is health


async def test_an_endpoint_comes_back_as_it_was_registered(agent: ConsulAgent, client: ConsulClient) -> None:
    """Address, id, protocol, TLS, path, weight, metadata, version and zone survive the way through Consul."""
    there = endpoint(
        "round",
        protocol=Protocol.HTTP,
        secure=True,
        path="/api",
        weight=7,
        tags=("fast",),
        metadata={"team": "docs", "owner": "Zoë"},
        version="1.4.2",
        zone="a",
    )
    registration = Registration(service="round", endpoint=there, environment="production")
    async with registered(client, registration), following(ConsulResolver(client), "round") as seen:
        await seen.keys("round-1")
        tags = ("fast", "http", "version-1.4.2", "env-production")
        metadata = {"team": "docs", "owner": "Zoë", "environment": "production"}
        assert seen.newest.endpoints == (replace(there, tags=tags, metadata=metadata, datacenter="dc1"),)


async def test_consul_is_told_what_others_look_up(agent: ConsulAgent, client: ConsulClient) -> None:
    """Name, id, address, tags, metadata and weight stand where every user of Consul finds them."""
    registration = Registration(
        service="told", endpoint=endpoint("told", version="2.0.0", weight=3), environment="staging"
    )
    async with registered(client, registration):
        service = agent.call("GET", "/v1/agent/service/told-1")
        assert (service["Service"], service["Address"], service["Port"]) == ("told", "127.0.0.1", 7001)
        assert service["Tags"] == ["grpc", "version-2.0.0", "env-staging"]
        assert service["Meta"]["version"] == "2.0.0"
        assert service["Weights"] == {"Passing": 3, "Warning": 1}
        definition = agent.call("GET", "/v1/health/checks/told")[0]["Definition"]
        assert definition in ({}, {"TTL": "10s", "DeregisterCriticalServiceAfter": "5m0s"})


async def test_the_definition_of_the_check_has_its_times(client: ConsulClient) -> None:
    """The TTL and the time until removal are sent with the registration, in Consul's form."""
    registration = Registration(service="times", endpoint=endpoint("times"))
    check = registration.definition(client.config, HealthReport())["Check"]
    assert (check["TTL"], check["DeregisterCriticalServiceAfter"]) == ("10000ms", "300000ms")


async def test_health_is_the_true_one_from_the_first_moment(agent: ConsulAgent, client: ConsulClient) -> None:
    """No instance starts as critical or passing by default; a change is told when it is poked."""
    now = HealthReport(health=Health.WARNING, note="disk 91 % full")

    async def health() -> HealthReport:
        return now

    registration = Registration(service="true", endpoint=endpoint("true"))
    async with (
        following(ConsulResolver(client), "true") as seen,
        registered(client, registration, health) as registrar,
    ):
        await seen.keys("true-1")
        assert {e.health for s in seen.seen for e in s.endpoints} == {Health.WARNING}
        for state in (Health.CRITICAL, Health.DRAINING, Health.PASSING):
            now = HealthReport(health=state, note="x" * 9000)
            registrar.poke()
            await seen.until(partial(_is, state))
        now = HealthReport(health=Health.DRAINING)
        registrar.update(replace(registration, endpoint=endpoint("true", weight=2)))
        await seen.until(lambda s: s.endpoints[0].weight == 2 and s.endpoints[0].health is Health.DRAINING)
        now = HealthReport(note="y" * 9000)
        registrar.poke()
        await seen.until(lambda s: s.endpoints[0].health is Health.PASSING)
        assert 3_900 < len(agent.call("GET", "/v1/agent/checks")["service:true-1"]["Output"]) <= 4_096


@pytest.mark.parametrize("fault", ["raises", "hangs"])
async def test_a_health_check_that_fails_is_critical(agent: ConsulAgent, fault: str) -> None:
    """A check that raises or does not answer counts as critical, and its note says why."""

    async def health() -> HealthReport:
        if fault == "hangs":
            await asyncio.Event().wait()
        raise RuntimeError("no database")

    registration = Registration(service=f"sick-{fault}", endpoint=endpoint(f"sick-{fault}"))
    async with (
        ConsulClient(agent.config(ttl=timedelta(seconds=1))) as client,
        registered(client, registration, health),
        following(ConsulResolver(client), registration.service) as seen,
    ):
        await seen.until(lambda s: bool(s.endpoints) and s.endpoints[0].health is Health.CRITICAL)
        why = "no database" if fault == "raises" else "did not answer within"
        # Consul takes one for critical, without a word, until it hears of it for the first time.
        await eventually(
            lambda: why in agent.call("GET", "/v1/agent/checks")[registration.check_id]["Output"]
        )


_PROVIDER = """
import asyncio, sys
from datetime import timedelta
from weft.discovery.consul import ConsulClient, ConsulConfig, ConsulRegistrar, Registration
from weft.discovery.model import Endpoint

async def main():
    config = ConsulConfig(address=sys.argv[1], ttl=timedelta(seconds=1))
    there = Endpoint(host="127.0.0.1", port=7001, instance_id="dies-1")
    async with ConsulClient(config) as client:
        async with ConsulRegistrar(client, Registration(service="dies", endpoint=there)):
            await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_process_turns_critical_after_its_time_to_live(
    agent: ConsulAgent, client: ConsulClient
) -> None:
    """Nobody deregisters for it: its entry turns critical, so that it is not called any more."""
    provider = await asyncio.create_subprocess_exec(sys.executable, "-c", _PROVIDER, agent.address)
    try:
        async with following(ConsulResolver(client), "dies") as seen:
            await seen.until(lambda s: len(s.callable()) == 1)
            provider.kill()
            started = asyncio.get_running_loop().time()
            await seen.until(lambda s: s.endpoints[0].health is Health.CRITICAL)
            assert asyncio.get_running_loop().time() - started < 3.0
            assert seen.newest.callable() == ()
            assert seen.newest.summary() == "1 known: 1 CRITICAL"
    finally:
        if provider.returncode is None:
            with suppress(ProcessLookupError):
                provider.kill()
        await provider.wait()
        agent.deregister("dies-1")


async def test_the_watch_fires_when_the_last_instance_leaves(client: ConsulClient) -> None:
    """A drained instance is out of every list at once, also when it was the last one."""
    async with following(ConsulResolver(client), "last") as seen:
        await seen.keys()
        async with registered(client, Registration(service="last", endpoint=endpoint("last"))):
            await seen.keys("last-1")
        started = asyncio.get_running_loop().time()
        await seen.keys(within=2.0)
        assert asyncio.get_running_loop().time() - started < 1.0
        assert not seen.newest.stale


async def test_values_may_change_while_it_is_registered(client: ConsulClient) -> None:
    """An update reaches the list at once; the entry stays the same one."""
    first = Registration(service="changes", endpoint=endpoint("changes", weight=2))
    async with (
        registered(client, first) as registrar,
        following(ConsulResolver(client), "changes") as seen,
    ):
        await seen.keys("changes-1")
        registrar.update(replace(first, endpoint=endpoint("changes", weight=9, port=7002)))
        await seen.until(lambda s: s.endpoints[0].weight == 9 and s.endpoints[0].port == 7002)
        with pytest.raises(ValueError, match="id of a registered instance"):
            registrar.update(Registration(service="changes", endpoint=endpoint("other")))


async def test_the_prefix_stands_before_every_name(agent: ConsulAgent, client: ConsulClient) -> None:
    """Two systems share one Consul without seeing each other's services."""
    shared = Registration(service="shared", endpoint=endpoint("shared"))
    async with ConsulClient(agent.config(prefix="team-a-")) as ours, registered(ours, shared):
        assert len(agent.entries("team-a-shared")) == 1
        async with (
            following(ConsulResolver(ours), "shared") as seen,
            following(ConsulResolver(client), "shared") as others,
        ):
            await seen.keys("shared-1")
            await others.keys()


async def test_an_id_belongs_to_the_newer_process(
    agent: ConsulAgent, client: ConsulClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Both say so in the log; the older one keeps out, leaves the entry alone, and returns later."""
    older = Registration(service="twice", endpoint=endpoint("twice", port=7001))
    newer = Registration(service="twice", endpoint=endpoint("twice", port=7002))
    with caplog.at_level(logging.WARNING, "weft.discovery.consul"):
        async with (
            ConsulClient(agent.config(ttl=timedelta(seconds=1))) as quick,
            registered(quick, older) as first,
            following(ConsulResolver(client), "twice") as seen,
        ):
            async with registered(quick, newer):
                await seen.until(lambda s: bool(s.endpoints) and s.endpoints[0].port == 7002)
                await eventually(lambda: not first.registered)
                assert "is now registered for twice at 127.0.0.1:7002" in first.problem
                await asyncio.sleep(0.5)
                assert agent.call("GET", "/v1/agent/service/twice-1")["Port"] == 7002
            await seen.until(lambda s: bool(s.endpoints) and s.endpoints[0].port == 7001)
            await eventually(lambda: first.problem == "")
    texts = [record.getMessage() for record in caplog.records]
    assert sum("the instance at 127.0.0.1:7002 takes it over" in text for text in texts) == 1
    assert sum("give each its own id" in text for text in texts) == 1
