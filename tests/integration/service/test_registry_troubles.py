"""A registry that is late, that refuses, or that hangs."""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.service.registry import Registry, advance_until, made, served, service
from weft.core.errors import ServiceUnavailableError, ValidationError, Violation
from weft.core.testing import ManualClock
from weft.service._config import Address, HostConfig
from weft.service._registration import Registration

pytestmark = pytest.mark.integration


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


async def test_the_wait_between_attempts_stays_bounded() -> None:
    """A registry may stay away for days: the wait grows to five seconds, give or take a fifth."""
    config = HostConfig(chance=random.Random(1))
    address = Address("127.0.0.1", 1)
    registration = Registration(service().definition, "mine", address, "127.0.0.1:1", config)
    waits = [registration._failed(ServiceUnavailableError("registry")) for _ in range(3_000)]
    assert timedelta(seconds=0.16) <= waits[0] <= timedelta(seconds=0.24)
    assert all(timedelta(seconds=4) <= wait <= timedelta(seconds=6) for wait in waits[6:])
    await registration.close()


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
        async def DeregisterInstance(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - an RPC's
            await asyncio.Event().wait()

    async with served(made(Hanging)) as port:  # type: ignore[type-abstract]  # it leaves RPCs out
        before = asyncio.get_running_loop().time()
        async with service().hosted(server=f"127.0.0.1:{port}", clock=clock):
            pass
        assert 1.5 < asyncio.get_running_loop().time() - before < 4
