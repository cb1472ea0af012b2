"""A service that the SDK hosts is in Consul for as long as it runs, and says there how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

from tests.support.consul import ConsulAgent
from weft.service import Health, Service
from weft.service._config import with_environment


def service(health: Callable[[], Health]) -> Service:
    made = Service(
        f"prices-{uuid4().hex[:8]}",
        version="1.4.2",
        tags=("fast",),
        zone="b",
        weight=7,
        health_check=health,
    )

    @made.action
    async def quote(amount: int) -> dict[str, int]:
        return {"amount": amount}

    return made


def state(agent: ConsulAgent, name: str) -> str:
    entries = agent.entries(name)
    checks = [check for entry in entries for check in entry["Checks"] if check["ServiceID"]]
    return ",".join(check["Status"] for check in checks)


async def until(agent: ConsulAgent, name: str, wanted: str) -> None:
    async with asyncio.timeout(10):
        while state(agent, name) != wanted:  # noqa: ASYNC110 - another process holds the state
            await asyncio.sleep(0.05)


async def test_everything_about_it_stands_in_consul(agent: ConsulAgent) -> None:
    """Name, id, address, weight, tags and metadata are those of the service; the check is a TTL of ours."""
    made = service(lambda: Health.PASSING)
    async with made.hosted(consul=agent.config(), environment="staging") as host:
        (entry,) = agent.entries(made.name)
        found = entry["Service"]
        assert found["ID"] == host.instance_id
        assert f"{found['Address']}:{found['Port']}" == host.address
        assert found["Weights"]["Passing"] == 7
        assert found["Tags"] == ["fast", "grpc", "version-1.4.2", "env-staging"]
        assert found["Meta"]["version"] == "1.4.2"
        assert found["Meta"]["zone"] == "b"
        assert state(agent, made.name) == "passing"
    assert agent.entries(made.name) == []


async def test_the_health_in_consul_is_that_of_the_service(agent: ConsulAgent) -> None:
    """A service that says that it is not well is critical there, and passing when it is well again."""
    health = Health.PASSING
    made = service(lambda: health)
    async with made.hosted(consul=agent.config(), ttl=1):
        assert state(agent, made.name) == "passing"
        health = Health.CRITICAL
        await until(agent, made.name, "critical")
        health = Health.PASSING
        await until(agent, made.name, "passing")


async def test_a_consul_that_is_down_holds_nobody_up(agent: ConsulAgent) -> None:
    """A host serves although the agent does not answer, and stops in bounded time."""
    made = service(lambda: Health.PASSING)
    async with asyncio.timeout(8), made.hosted(consul=agent.config(address="127.0.0.1:9")) as host:
        assert host.address


async def test_a_program_takes_consul_from_its_environment() -> None:
    """``run`` reads CONSUL_HTTP_ADDR and WEFT_ENVIRONMENT; an option that is given wins."""
    environ = {"CONSUL_HTTP_ADDR": "127.0.0.1:8500", "WEFT_ENVIRONMENT": "staging"}
    found = with_environment({}, environ)
    assert (consul := found.get("consul")) is not None
    assert consul.address == "127.0.0.1:8500"
    assert found.get("environment") == "staging"
    assert with_environment({"consul": None, "environment": "dev"}, environ) == {
        "consul": None,
        "environment": "dev",
    }
