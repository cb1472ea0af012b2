"""What a host says to the registry, and where it finds it."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from tests.integration.service.registry import Registry, advance_until, made, served, service
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.core.errors import ValidationError
from weft.core.payload import from_payload
from weft.core.testing import ManualClock
from weft.service import Service

pytestmark = pytest.mark.integration


async def test_everything_is_registered(registry: Registry, clock: ManualClock) -> None:
    """The service with its schemas first, then the instance where it can be dialled."""
    demo = service(description="Extracts.", metadata={"team": "a"})
    async with served(registry) as port:
        async with demo.hosted(server=f"127.0.0.1:{port}", clock=clock) as host:
            assert host.registered.is_set()
            first, second = (request for _, request in registry.calls)
            assert first.on_conflict == pb.CONFLICT_POLICY_REPLACE
            assert first.service.metadata["team"] == "a"
            (action,) = first.service.actions
            assert from_payload(action.input_schema)["required"] == ["document_url"]
            assert (action.idempotent, action.timeout.seconds) == (True, 9)
            instance = second.instance
            assert f"{instance.host}:{instance.port}" == host.address
            assert instance.id == host.instance_id
            assert instance.id.startswith("demo-")
            assert (instance.version, instance.zone, instance.weight) == ("1.2.3", "z1", 5)
            assert list(instance.tags) == ["production"]
            assert instance.health == registry_pb2.HEALTH_STATE_PASSING
            assert instance.ttl.ToTimedelta() == timedelta(seconds=10)
        assert registry.names[-1] == "DeregisterInstance"
        assert not registry.instances
        assert not host.registered.is_set()


async def test_a_chosen_id_and_address(registry: Registry, clock: ManualClock) -> None:
    """What is registered may differ from what is served on."""
    async with (
        served(registry) as port,
        service().hosted(
            server=f"127.0.0.1:{port}", instance_id="mine", advertise="[::1]:99", ttl=timedelta(seconds=30)
        ) as host,
    ):
        instance = registry.instances["mine"]
        assert (instance.host, instance.port, instance.ttl.seconds) == ("::1", 99, 30)
        assert host.instance_id == "mine"


async def test_what_happens_is_logged(
    registry: Registry, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What is served where, that it is registered, again when forgotten, and that it stops."""
    caplog.set_level(logging.INFO, "weft.service")
    async with (
        served(registry) as port,
        service().hosted(server=f"127.0.0.1:{port}", clock=clock, instance_id="mine") as host,
    ):
        registry.instances.clear()
        await advance_until(clock, registry, lambda: "mine" in registry.instances)
        await asyncio.wait_for(host.registered.wait(), 5)
    assert [record.getMessage() for record in caplog.records] == [
        f"demo 1.2.3: extract at {host.address}",
        f"mine registered at 127.0.0.1:{port}",
        f"mine is not known to 127.0.0.1:{port} any more, registering again",
        f"mine registered again at 127.0.0.1:{port}",
        "mine stopping",
    ]


async def test_actions_that_a_registration_replaces_are_logged(
    registry: Registry, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Another service of the name loses its actions: a warning names them; the same actions say nothing."""
    caplog.set_level(logging.INFO, "weft.service")
    other = Service("demo")

    @other.action
    async def summarise(text: str) -> dict[str, str]:
        return {"text": text}

    @other.action(name="extract")
    async def extract_more(document_url: str, pages: int = 1) -> dict[str, str]:
        return {"text": document_url * pages}

    async with served(registry) as port:
        server = f"127.0.0.1:{port}"
        for hosting in (other, other, service()):
            async with hosting.hosted(server=server, clock=clock):
                pass
        found = [r for r in caplog.records if "no longer" in r.getMessage() or "changed" in r.getMessage()]
    why = "the actions of this registration replaced them; is another service of that name running?"
    assert [(r.levelname, r.getMessage()) for r in found] == [
        ("WARNING", f"demo at {server} no longer has summarise: {why}"),
        ("INFO", f"demo at {server}: extract changed"),
    ]


async def test_another_api_version_takes_nothing_away(
    registry: Registry, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its actions live side by side with these, so nobody is warned; the version is told to the registry."""
    caplog.set_level(logging.INFO, "weft.service")
    other = Service("demo", version="2.0.0")

    @other.action
    async def summarise(text: str) -> dict[str, str]:
        return {"text": text}

    async with served(registry) as port:
        for hosting in (other, service()):
            async with hosting.hosted(server=f"127.0.0.1:{port}", clock=clock):
                pass
    versions = [request.service.version for name, request in registry.calls if name == "RegisterService"]
    assert versions == ["2.0.0", "1.2.3"]
    assert not [r for r in caplog.records if "no longer" in r.getMessage() or "changed" in r.getMessage()]


async def test_the_registry_may_be_several_servers(registry: Registry) -> None:
    """A target names them: one that is not there is passed over."""
    other = made()
    async with served(registry) as one:
        async with served(other) as two:
            target = f"static:///127.0.0.1:1,127.0.0.1:{one},127.0.0.1:{two}"
            async with service().hosted(server=target, ttl=1) as host:
                assert host.registered.is_set()
                both = [*registry.names, *other.names]
                assert "RegisterService" in both
                assert "RegisterInstance" in both
        assert "DeregisterInstance" in [*registry.names, *other.names]


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("consul://weft-registry", "give consul="),
        ("weft://registry", "cannot say where the registry is"),
        ("env://registry", "cannot say where the registry is"),
        ("static:///a", "no host:port"),
        ("https://registry:1", "is not host:port"),
    ],
)
async def test_targets_that_cannot_be_followed(server: str, words: str) -> None:
    """They are refused before anything is served."""
    with pytest.raises((ValueError, ValidationError), match=words):
        async with service().hosted(server=server):
            pass
