"""The health that the server shows: true to the store, for every watcher, to the very end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.unit.execution.flaky import FlakyStore
from weft.core.testing import ManualClock
from weft.server.health import HealthReporter
from weft.server.store.base import StoreState

pytestmark = pytest.mark.integration

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

_messages: Any = health_pb2  # its stubs do not know List yet


class Place:
    """A health reporter over a store that breaks when told to, served on a real port."""

    def __init__(self) -> None:
        self.store = FlakyStore()
        self.clock = ManualClock()
        self.reporter = HealthReporter(self.store, ("a.Service",), self.clock)
        self.server = grpc.aio.server()
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        health_pb2_grpc.add_HealthServicer_to_server(self.reporter.servicer, self.server)

    def set(self, state: StoreState) -> None:
        self.store.broken = state is StoreState.BROKEN
        self.store._tell(state)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    await made.store.open()
    await made.server.start()
    yield made
    await made.server.stop(0)
    await made.store.close()


@pytest.fixture
async def stub(place: Place) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{place.port}") as channel:
        yield health_pb2_grpc.HealthStub(channel)


def _about(service: str = "") -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


async def test_every_service_follows_the_store(place: Place, stub: Any) -> None:
    """Broken: NOT_SERVING; healthy: SERVING; watchers and askers are told at once, without a clock's help."""
    running = asyncio.create_task(place.reporter.run())
    watches = [stub.Watch(_about(name)) for name in ("", "a.Service", "a.Service")]
    for watch in watches:
        assert (await watch.read()).status == SERVING
    for state, status in ((StoreState.BROKEN, NOT_SERVING), (StoreState.HEALTHY, SERVING)) * 2:
        place.set(state)
        for watch in watches:
            assert (await asyncio.wait_for(watch.read(), 5)).status == status
        assert (await stub.Check(_about("a.Service"))).status == status
        listed = (await stub.List(_messages.HealthListRequest())).statuses
        assert {name: one.status for name, one in listed.items()} == {"": status, "a.Service": status}
    running.cancel()


async def test_a_drain_is_final_and_is_told_before_it_returns(place: Place, stub: Any) -> None:
    """From the drain on it is NOT_SERVING, whatever becomes of the store."""
    running = asyncio.create_task(place.reporter.run())
    watch = stub.Watch(_about())
    assert (await watch.read()).status == SERVING
    await asyncio.wait_for(place.reporter.drain(), 5)
    assert (await watch.read()).status == NOT_SERVING
    for state in (StoreState.BROKEN, StoreState.HEALTHY):
        place.set(state)
        await place.clock.advance(10)
        assert (await stub.Check(_about())).status == NOT_SERVING
    running.cancel()


async def test_a_service_that_is_not_here(stub: Any) -> None:
    """A watch says so and stays open, as the protocol wants it."""
    watch = stub.Watch(_about("ghost"))
    assert (await watch.read()).status == UNKNOWN
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(watch.read())), 0.05)
    watch.cancel()


async def test_watchers_who_left_are_forgotten(place: Place, stub: Any) -> None:
    """A hundred who came and went leave nothing behind, and hold up no drain."""
    watches = [stub.Watch(_about()) for _ in range(50)]
    for watch in watches:
        assert (await watch.read()).status == SERVING
        watch.cancel()
    async with asyncio.timeout(5):
        while place.reporter.servicer._told:  # noqa: ASYNC110 - the far end's end has no event here
            await asyncio.sleep(0.005)
    await asyncio.wait_for(place.reporter.drain(), 0.4)
