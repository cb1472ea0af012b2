"""A service that the SDK hosts is in Consul for as long as it runs, and says there how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.support.consul import ConsulAgent
from tests.support.world import serving
from weft.client import Client, connect
from weft.core.errors import ResourceNotFoundError
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


async def test_a_consul_that_is_down_holds_nobody_up(
    agent: ConsulAgent, caplog: pytest.LogCaptureFixture
) -> None:
    """A host serves although the agent does not answer, and stops in bounded time, with one clear warning."""
    made = service(lambda: Health.PASSING)
    async with asyncio.timeout(8), made.hosted(consul=agent.config(address="127.0.0.1:9")) as host:
        assert host.address
    why = "Consul at http://127.0.0.1:9 cannot be reached: connection refused"
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [f"instance {host.instance_id} cannot be kept registered: {why}"]


async def test_the_registry_does_not_wait_for_consul(agent: ConsulAgent) -> None:
    """What has both is called through the one that answers, as soon as it does."""
    made = service(lambda: Health.PASSING)
    silent = agent.config(address="127.0.0.1:9")
    async with serving() as wire, connect(wire.address) as weft:

        async def host() -> None:
            async with made.hosted(server=wire.address, consul=silent):
                await asyncio.Event().wait()

        hosting = asyncio.create_task(host())
        try:
            async with asyncio.timeout(0.8):  # Consul is given a second
                while await callable_instances(weft, made.name) == 0:  # noqa: ASYNC110 - a server holds it
                    await asyncio.sleep(0.02)
        finally:
            hosting.cancel()
            await asyncio.wait((hosting,))


async def callable_instances(weft: Client, name: str) -> int:
    try:
        return len((await weft.registry.instances(name)).items)
    except ResourceNotFoundError:
        return 0


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
