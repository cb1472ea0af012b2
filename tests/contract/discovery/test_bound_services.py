"""A service that only Consul knows, bound to an entry of the registry."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.support.consul import ConsulAgent
from tests.support.world import registration, serving
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.discovery import Watch, parse_target
from weft.discovery.resolvers import Resolvers, SourcesConfig


async def test_a_foreign_service_is_found_by_its_registered_name(agent: ConsulAgent) -> None:
    """The registry points to Consul; who asks the registry gets what Consul has, as far as it fits."""
    agent.register("legacy", "old", Address="127.0.0.1", Port=5001, Tags=["v1"])
    async with serving() as wire:
        await wire.registry.RegisterService(registration("orders", "work", endpoint="consul://legacy?tag=v2"))
        config = SourcesConfig(
            registry=wire.address, consul=agent.config(wait=timedelta(seconds=1)), default="weft"
        )
        resolvers = Resolvers(config)
        watch = resolvers.watch(parse_target("orders"))
        try:
            await until(watch, [])
            agent.register("legacy", "new", Address="127.0.0.1", Port=5002, Tags=["v2"])
            await until(watch, [5002])
            own = registry_pb2.Instance(id="own", host="127.0.0.1", port=5003)
            await wire.registry.RegisterInstance(pb.RegisterInstanceRequest(service="orders", instance=own))
            await until(watch, [5003])
            await wire.registry.DeregisterInstance(pb.DeregisterInstanceRequest(instance_id="own"))
            await until(watch, [5002])
        finally:
            await watch.close()
            await resolvers.close()
            agent.deregister("old")
            agent.deregister("new")


async def until(watch: Watch, ports: list[int]) -> None:
    async with asyncio.timeout(10):
        while not watch.snapshot.version or [it.port for it in watch.snapshot.endpoints] != ports:
            await watch.moment(10)
