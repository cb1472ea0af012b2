"""Callers that find their server, and services, in Consul."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from uuid import uuid4

from tests.support.consul import ConsulAgent
from tests.support.shop import carts_server
from tests.support.world import serving, text_service
from weft.client import connect
from weft.client.mesh import MeshClient, SourcesConfig, connect_mesh


def register(agent: ConsulAgent, name: str, address: str, **fields: object) -> str:
    host, _, port = address.rpartition(":")
    service_id = f"{name}-{port}"
    agent.register(name, service_id, Address=host, Port=int(port), **fields)
    return service_id


async def test_clients_and_providers_find_their_server(agent: ConsulAgent) -> None:
    """By its names in Consul alone; of two servers that are known there one is gone."""
    name = f"weft-{uuid4().hex[:8]}"
    async with serving() as wire:
        register(agent, name, wire.address)
        register(agent, name, "127.0.0.1:1")
        environ = {"CONSUL_HTTP_ADDR": agent.address, "WEFT_TARGET": f"consul://{name}"}
        async with (
            text_service().hosted(server=f"consul://{name}", consul=agent.config(), ttl=300, drain=0) as host,
            MeshClient.from_environment(environ) as mesh,
            connect(f"consul://{name}", mesh=mesh) as weft,
        ):
            await host.registered.wait()
            assert await weft.executions.call("texts", "shout", {"text": "a"}) == {"text": "A"}
            found = await mesh.resolve("weft://texts")  # from a registry that is itself found in Consul
            assert [it.address for it in found.endpoints] == [host.address]


async def test_a_foreign_service_is_called_and_watched(agent: ConsulAgent) -> None:
    """An instance that comes is called, one that leaves is not; nobody polls."""
    name = f"carts-{uuid4().hex[:8]}"
    async with (
        carts_server() as port,
        connect_mesh(SourcesConfig(consul=agent.config())) as mesh,
        aclosing(mesh.watch(f"consul://{name}?tag=blue")) as changes,
    ):
        assert (await anext(changes)).endpoints == ()
        service_id = register(agent, name, f"127.0.0.1:{port}", Tags=["blue"], Meta={"version": "2.0.1"})
        async with asyncio.timeout(5):
            (instance,) = (await anext(changes)).endpoints
        assert (instance.version, "blue" in instance.tags) == ("2.0.1", True)
        cart = await mesh.call_service(f"consul://{name}?version=^2", "GetCart", {"customer": "ada"})
        assert cart["customer"] == "ada"
        agent.deregister(service_id)
        async with asyncio.timeout(5):
            assert (await anext(changes)).endpoints == ()
