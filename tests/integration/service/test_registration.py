"""A host keeps itself registered, whatever the registry goes through."""

# ruff: noqa: N802, ARG002 - handlers are named as their RPCs, and have their signature

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest

from weft.api.registry.v1 import registry_pb2, registry_service_pb2_grpc
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.core.errors import (
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
    ValidationError,
    Violation,
    WeftError,
)
from weft.core.payload import from_payload
from weft.core.reasons import Reason
from weft.core.testing import ManualClock
from weft.mesh.rpc import SERVER_OPTIONS, abort_with
from weft.service import Health, Service
from weft.service._config import Address, HostConfig
from weft.service._registration import Registration
from weft.service._return import Return

pytestmark = pytest.mark.integration


class Registry(registry_service_pb2_grpc.RegistryServiceServicer):
    """Records what it is told, and forgets what it is told to forget."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.instances: dict[str, registry_pb2.Instance] = {}
        self.refusal: WeftError | None = None
        self.stored: registry_pb2.Service | None = None
        self.token = ""
        self._changed = asyncio.Condition()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    async def seen(self, test: Callable[[], object]) -> None:
        """Wait until the record passes a test."""
        async with self._changed, asyncio.timeout(10):
            await self._changed.wait_for(test)

    async def RegisterService(self, request: pb.RegisterServiceRequest, context: Any) -> Any:
        await self._record("RegisterService", request)
        if self.refusal is not None:
            await abort_with(context, self.refusal)
        self.stored = request.service
        return pb.RegisterServiceResponse(service=request.service)

    async def GetService(self, request: pb.GetServiceRequest, context: Any) -> Any:
        if self.stored is None or self.stored.name != request.service:
            await abort_with(context, ResourceNotFoundError("service", request.service))
        return pb.GetServiceResponse(service=self.stored)

    async def RegisterInstance(self, request: pb.RegisterInstanceRequest, context: Any) -> Any:
        self.instances[request.instance.id] = request.instance
        await self._record("RegisterInstance", request)
        self.token = f"token-{len(self.calls)}"
        response = pb.RegisterInstanceResponse(instance=request.instance, registration_token=self.token)
        response.heartbeat_interval.FromTimedelta(request.instance.ttl.ToTimedelta() / 3)
        return response

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: Any) -> Any:
        await self._record("Heartbeat", request)
        if request.instance_id not in self.instances:
            await abort_with(context, ResourceNotFoundError("instance", request.instance_id))
        if request.registration_token != self.token:
            await abort_with(context, PreconditionError("replaced", reason=Reason.INSTANCE_REPLACED))
        return pb.HeartbeatResponse()

    async def DeregisterInstance(self, request: pb.DeregisterInstanceRequest, context: Any) -> Any:
        self.instances.pop(request.instance_id, None)
        await self._record("DeregisterInstance", request)
        return pb.DeregisterInstanceResponse()

    async def _record(self, name: str, request: object) -> None:
        async with self._changed:
            self.calls.append((name, request))
            self._changed.notify_all()


class Connection:
    """A connection that is as a test says."""

    def __init__(self) -> None:
        self._state = grpc.ChannelConnectivity.TRANSIENT_FAILURE
        self._turned = asyncio.Event()

    def turn(self, state: grpc.ChannelConnectivity) -> None:
        self._state = state
        self._turned.set()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - grpc's
        return self._state

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        while self._state is last_observed_state:
            self._turned.clear()
            await self._turned.wait()


def made(kind: type[Registry] = Registry) -> Registry:
    return kind()


@asynccontextmanager
async def served(registry: Registry, port: int = 0) -> AsyncIterator[int]:
    server = grpc.aio.server(options=SERVER_OPTIONS)
    registry_service_pb2_grpc.add_RegistryServiceServicer_to_server(registry, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@pytest.fixture
def registry() -> Registry:
    return made()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def service(**options: Any) -> Service:
    demo = Service("demo", version="1.2.3", tags=("production",), zone="z1", weight=5, **options)

    @demo.action(idempotent=True, timeout=timedelta(seconds=9))
    async def extract(document_url: str) -> dict[str, str]:
        """Extract text."""
        return {"text": document_url}

    return demo


async def advance_until(clock: ManualClock, registry: Registry, test: Callable[[], object]) -> None:
    """Turn the clock on, second by second, until the registry was told."""
    for _ in range(200):
        await clock.advance(1)
        try:
            async with asyncio.timeout(0.05):
                await registry.seen(test)
        except TimeoutError:
            continue
        return
    raise AssertionError(f"not told: {registry.names}")


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


async def test_heartbeats_follow_the_interval(registry: Registry, clock: ManualClock) -> None:
    """One every third of the time to live, with the health that the service's own check says."""
    state: list[Health | str | None] = [None]
    demo = service(health_check=lambda: state[0])
    async with served(registry) as port, demo.hosted(server=f"127.0.0.1:{port}", clock=clock):
        await clock.advance(3.3)
        assert registry.names == ["RegisterService", "RegisterInstance"]
        await clock.advance(0.1)
        await registry.seen(lambda: registry.names.count("Heartbeat") == 1)
        assert registry.calls[-1][1].health == registry_pb2.HEALTH_STATE_PASSING
        state[0] = "disk full"
        await advance_until(clock, registry, lambda: registry.calls[-1][1].health_note == "disk full")
        assert registry.calls[-1][1].health == registry_pb2.HEALTH_STATE_CRITICAL
        state[0] = Health.WARNING
        warning = registry_pb2.HEALTH_STATE_WARNING
        await advance_until(clock, registry, lambda: registry.calls[-1][1].health == warning)


async def test_a_forgotten_instance_registers_again(registry: Registry, clock: ManualClock) -> None:
    """NOT_FOUND to a heartbeat means: say everything again."""
    async with (
        served(registry) as port,
        service().hosted(server=f"127.0.0.1:{port}", clock=clock) as host,
    ):
        registry.instances.clear()
        await advance_until(clock, registry, lambda: host.instance_id in registry.instances)
        assert registry.names[-3:] == ["Heartbeat", "RegisterService", "RegisterInstance"]
        await asyncio.wait_for(host.registered.wait(), 5)


async def test_a_registration_is_named_by_its_token(registry: Registry, clock: ManualClock) -> None:
    """Heartbeats and the deregistration carry the token of the last registration."""
    async with (
        served(registry) as port,
        service().hosted(server=f"127.0.0.1:{port}", clock=clock, instance_id="mine"),
    ):
        first = registry.token
        await advance_until(clock, registry, lambda: registry.names[-1] == "Heartbeat")
        assert registry.calls[-1][1].registration_token == first
        registry.instances.clear()
        await advance_until(clock, registry, lambda: "mine" in registry.instances)
        await advance_until(clock, registry, lambda: registry.names[-1] == "Heartbeat")
    assert registry.names[-1] == "DeregisterInstance"
    assert registry.calls[-1][1].registration_token == registry.token != first


async def test_a_replaced_instance_leaves_its_id_to_the_other(
    registry: Registry, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once, does not register again while the other is there, and does so when that is gone."""
    caplog.set_level(logging.INFO, "weft.service")
    async with (
        served(registry) as port,
        service().hosted(server=f"127.0.0.1:{port}", clock=clock, instance_id="mine"),
    ):
        registry.token = "another's"
        await advance_until(clock, registry, lambda: registry.names.count("Heartbeat") == 3)
        assert registry.names.count("RegisterInstance") == 1
        registry.instances.clear()
        await advance_until(clock, registry, lambda: registry.names.count("RegisterInstance") == 2)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    found = f"mine was registered at 127.0.0.1:{port} by another process since"
    assert warnings == [
        f"{found}; this one gets no calls until that one is gone",
        f"mine is not known to 127.0.0.1:{port} any more, registering again",
    ]


async def test_a_restarted_registry_is_told_again(registry: Registry, clock: ManualClock) -> None:
    """A registry that comes back empty on the same address knows the instance soon."""
    async with served(registry) as port:
        hosting = service().hosted(server=f"127.0.0.1:{port}", clock=clock)
        host = await hosting.__aenter__()
    await clock.advance(10)
    again = made()
    async with served(again, port):
        await advance_until(clock, again, lambda: host.instance_id in again.instances)
        await hosting.__aexit__(None, None, None)
        assert not again.instances


async def test_a_registry_that_is_back_is_told_at_once(registry: Registry, clock: ManualClock) -> None:
    """A lost connection that is there again brings a heartbeat, long before the next one is due."""
    async with served(registry) as port:
        hosting = service().hosted(server=f"127.0.0.1:{port}", clock=clock, ttl=600)
        host = await hosting.__aenter__()
    again = made()
    async with served(again, port):
        async with asyncio.timeout(10):
            while host.instance_id not in again.instances:
                await asyncio.sleep(0.02)
                await clock.advance(0.01)
        assert clock.monotonic() < 20
        assert again.names == ["Heartbeat", "RegisterService", "RegisterInstance"]
        await hosting.__aexit__(None, None, None)


async def test_a_new_connection_is_not_told_twice(registry: Registry, clock: ManualClock) -> None:
    """What was said since the connection is there need not be said again."""
    async with served(registry) as port, service().hosted(server=f"127.0.0.1:{port}", clock=clock):
        for _ in range(10):
            await clock.advance(0.2)
            await asyncio.sleep(0.01)
        assert registry.names == ["RegisterService", "RegisterInstance"]


async def test_hosts_do_not_come_back_all_at_once(clock: ManualClock) -> None:
    """Each waits a while of its own, three tenths of a second at most."""
    seen: list[float] = []
    for seed in range(200):
        connection = Connection()
        back = Return(connection, clock, random.Random(seed))
        watching = asyncio.create_task(back.watch())
        await asyncio.sleep(0)
        started = clock.monotonic()
        connection.turn(grpc.ChannelConnectivity.READY)
        while not back.seen.is_set():
            await clock.advance(0.01)
        seen.append(clock.monotonic() - started)
        watching.cancel()
    assert max(seen) < 0.32
    assert all(40 < sum(low <= it < low + 0.1 for it in seen) < 95 for low in (0, 0.1, 0.2))


async def test_a_late_registry_is_found(
    registry: Registry, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Hosting starts without the registry; the log says so once; registration follows."""
    async with served(made()) as port:
        pass
    async with service().hosted(server=f"127.0.0.1:{port}", clock=clock) as host:
        assert host.address
        assert not host.registered.is_set()
        for _ in range(10):
            await clock.advance(6)
        async with served(registry, port):
            await advance_until(clock, registry, lambda: host.instance_id in registry.instances)
            await asyncio.wait_for(host.registered.wait(), 5)
    warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
    (warning,) = (record.getMessage() for record in warnings)
    expected = f"{host.instance_id} cannot reach the registry at 127.0.0.1:{port}, trying again every 5 s"
    assert warning.startswith(f"{expected} or sooner: ")


async def test_a_refusal_at_the_start_is_raised(registry: Registry) -> None:
    """What the registry will never take ends the start, with its words."""
    registry.refusal = ValidationError([Violation("service.name", "is reserved")])
    async with served(registry) as port:
        server = f"127.0.0.1:{port}"
        for start in (service().serve(server=server), service().hosted(server=server).__aenter__()):
            with pytest.raises(ValidationError, match=r"service\.name: is reserved") as caught:
                await start
            assert caught.value.__notes__ == [f"while registering demo at {server}"]


async def test_a_refusal_by_a_late_registry_ends_serving(registry: Registry, clock: ManualClock) -> None:
    """``serve`` also ends when a registry that came later refuses."""
    registry.refusal = ValidationError([Violation("service.name", "is reserved")])
    async with served(made()) as port:
        pass
    serving = asyncio.create_task(service().serve(server=f"127.0.0.1:{port}", clock=clock))
    await asyncio.sleep(0.05)
    async with served(registry, port):
        await advance_until(clock, registry, lambda: registry.names)
        with pytest.raises(ValidationError, match="is reserved"):
            await asyncio.wait_for(serving, 5)


async def test_a_refusal_while_hosted_is_logged(
    registry: Registry, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """``hosted`` goes on and says that nobody will find it."""
    registry.refusal = ValidationError([Violation("service.name", "is reserved")])
    async with served(made()) as port:
        pass
    async with service().hosted(server=f"127.0.0.1:{port}", clock=clock) as host, served(registry, port):
        await advance_until(clock, registry, lambda: registry.names)
        with pytest.raises(ValidationError):
            await asyncio.wait_for(host.wait(), 5)
        assert "serving on without being registered: service.name: is reserved" in caplog.text
        assert not host.registered.is_set()


async def test_a_refusal_after_registration_is_tried_again(registry: Registry, clock: ManualClock) -> None:
    """An instance that was taken once does not give up."""
    async with (
        served(registry) as port,
        service().hosted(server=f"127.0.0.1:{port}", clock=clock) as host,
    ):
        registry.refusal = ValidationError([Violation("service.name", "is reserved")])
        registry.instances.clear()
        await advance_until(clock, registry, lambda: registry.names.count("RegisterService") >= 3)
        registry.refusal = None
        await advance_until(clock, registry, lambda: host.instance_id in registry.instances)


async def test_a_registry_that_hangs_does_not_hold_up_the_end(clock: ManualClock) -> None:
    """Stopping waits two seconds for the registry, not longer."""

    class Hanging(Registry):
        async def DeregisterInstance(self, request: Any, context: Any) -> Any:
            await asyncio.Event().wait()

    async with served(made(Hanging)) as port:  # type: ignore[type-abstract] # as above
        before = asyncio.get_running_loop().time()
        async with service().hosted(server=f"127.0.0.1:{port}", clock=clock):
            pass
        assert 1.5 < asyncio.get_running_loop().time() - before < 4


async def test_the_wait_between_attempts_stays_bounded() -> None:
    """A registry may stay away for days: the wait grows to five seconds, give or take a fifth."""
    config = HostConfig(chance=random.Random(1))
    address = Address("127.0.0.1", 1)
    registration = Registration(service().definition, "mine", address, "127.0.0.1:1", config)
    waits = [registration._failed(ServiceUnavailableError("registry")) for _ in range(3_000)]
    assert timedelta(seconds=0.16) <= waits[0] <= timedelta(seconds=0.24)
    assert all(timedelta(seconds=4) <= wait <= timedelta(seconds=6) for wait in waits[6:])
    await registration.close()


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
