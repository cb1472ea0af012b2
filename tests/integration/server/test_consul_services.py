"""A service that only Consul knows is registered by its name there, and called as a workflow action."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.consul import running_agent
from tests.support.shop import carts_server
from weft.client import connect
from weft.core.errors import PreconditionError
from weft.core.reasons import Reason
from weft.discovery.resolvers import SourcesConfig
from weft.server.app import WeftServer
from weft.server.config import ServerConfig

pytestmark = pytest.mark.integration


async def test_a_service_may_be_where_consul_says(tmp_path: Path) -> None:
    """Its instances come and go there; the registry holds its actions, and which versions they are of."""
    async with running_agent(tmp_path) as agent, carts_server() as port:
        says = {"Address": "127.0.0.1", "Port": port, "Tags": ["v1"], "Meta": {"version": "1.4.2"}}
        agent.register("carts", "carts-1", **says)
        config = ServerConfig(
            listen="127.0.0.1:0",
            instance_wait=timedelta(seconds=0.3),
            sources=SourcesConfig(consul=agent.config()),
        )
        async with WeftServer(config) as server, connect(server.address) as weft:
            made = await weft.registry.register("shop", endpoint="consul://carts?tag=v1", version="1.4.2")
            assert {action.name for action in made.actions} == {"GetCart", "ListItems", "AddUp"}
            step = {"id": "a", "service": "shop", "action": "GetCart", "service_version": "^1.4"}
            await weft.workflows.create("cart-of", steps=[step])
            ended = await weft.executions.execute("cart-of", {"customer": "ada"})
            assert ended.state == "COMPLETED", ended.failure
            assert (ended.result or {})["customer"] == "ada"
            with pytest.raises(PreconditionError) as refused:
                await weft.executions.call("shop", "GetCart", {"customer": "ada"}, service_version="~1.5")
    assert refused.value.reason == Reason.VERSION_NOT_AVAILABLE
    assert refused.value.metadata["available"] == "1.4.2"


async def test_an_instance_that_is_ill_does_not_hide_what_consul_knows(tmp_path: Path) -> None:
    """An own instance counts while it can be called; else calls go where the registration points to."""
    async with running_agent(tmp_path) as agent, carts_server() as port:
        agent.register("carts", "carts-1", Address="127.0.0.1", Port=port)
        config = ServerConfig(
            listen="127.0.0.1:0",
            instance_wait=timedelta(seconds=3),
            sources=SourcesConfig(consul=agent.config()),
        )
        async with WeftServer(config) as server, connect(server.address) as weft:
            await weft.registry.register("shop", endpoint="consul://carts")
            own = await weft.registry.register_instance("shop", host="127.0.0.1", port=1)
            await weft.registry.heartbeat(own.id, "CRITICAL", "out of order")
            output = await weft.executions.call("shop", "GetCart", {"customer": "ada"})
            assert output["customer"] == "ada"
