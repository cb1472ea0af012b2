"""What a running server has read or heard of is compared with the store after the store was broken."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.support.wire import connected
from tests.support.world import registration
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.core.errors import Code
from weft.server.app import WeftServer
from weft.server.config import ServerConfig
from weft.server.store.sqlite import SqliteStore
from weft.server.store.sqlite._faults import Fault

pytestmark = pytest.mark.integration


async def test_memory_follows_the_store() -> None:
    """Writes of unknown outcome: a service that was read is gone, so is an instance in memory."""
    server = WeftServer(ServerConfig(listen="127.0.0.1:0"))
    async with server, connected(server.address) as wire:
        store = server._store
        assert isinstance(store, SqliteStore)
        for name in ("kept", "lost"):
            await wire.registry.RegisterService(registration(name, "act"))
            at = registry_pb2.Instance(id=f"{name}-1", host="127.0.0.1", port=9)
            await wire.registry.RegisterInstance(pb.RegisterInstanceRequest(service=name, instance=at))
        lost = await store.get_service("lost")
        assert lost is not None
        await wire.registry.GetService(pb.GetServiceRequest(service="lost"))
        await store.delete_service(lost, lost.revision)
        await store.delete_instance("kept-1")
        await wire.registry.GetService(pb.GetServiceRequest(service="lost"))

        store._on_change(Fault("broken", full=False))
        store._on_change(None)
        assert (await wire.refusal("GetService", pb.GetServiceRequest(service="lost"))).code is Code.NOT_FOUND
        watch = wire.registry.WatchInstances(pb.WatchInstancesRequest(service="kept"), timeout=10)
        async for answer in watch:
            if not answer.instances:
                break
        watch.cancel()


async def test_a_defect_in_the_background_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The watch over heartbeats does not end silently: the log has the trace."""
    server = WeftServer(ServerConfig(listen="127.0.0.1:0"))
    with caplog.at_level(logging.ERROR, "weft.server"):
        async with server:
            server._instances._table.sweep = None  # type: ignore[method-assign, assignment] # the defect
            for _ in range(200):
                if caplog.records:
                    break
                await asyncio.sleep(0.05)
    assert caplog.records[0].getMessage() == "the watch over heartbeats failed; it is begun again"
    assert caplog.records[0].exc_info is not None
