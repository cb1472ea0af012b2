"""Services that are registered here and live elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.support.discovery import following
from weft.core.errors import ValidationError
from weft.discovery import (
    BoundResolver,
    Endpoint,
    Health,
    Snapshot,
    StaticResolver,
    Target,
    Watch,
    parse_target,
)
from weft.discovery.resolvers import Resolvers

OWN = Endpoint(host="10.0.0.1", port=1)
OLD = Endpoint(host="10.0.0.2", port=2, tags=("v1",), version="1.9.0")
NEW = Endpoint(host="10.0.0.3", port=3, tags=("v2",), version="2.0.0")


class Registry:
    """Says where a service is bound to."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self._table = StaticResolver()
        self._snapshots = list(snapshots)

    def next(self) -> None:
        self._table.set("tick", [Endpoint(host="x", port=len(self._snapshots) or 1)])

    async def watch(self, service: str) -> AsyncIterator[Snapshot]:
        assert service == "s"
        async for _ in self._table.watch("tick"):
            if self._snapshots:
                yield self._snapshots.pop(0)


def bound(registry: Registry, elsewhere: StaticResolver) -> tuple[BoundResolver, list[Target]]:
    asked: list[Target] = []

    def follow(target: Target) -> Watch:
        asked.append(target)
        return Watch(elsewhere, target.name)

    return BoundResolver(registry, follow), asked


async def test_follows_on_and_back() -> None:
    """The instances are those of the target, filtered by it, until the service has its own."""
    registry = Registry(
        Snapshot(service="s", endpoints=(), bound_to="consul://orders?tag=v1"),
        Snapshot(service="s", endpoints=(), bound_to="consul://orders?version=^2"),
        Snapshot(service="s", endpoints=(OWN,)),
    )
    elsewhere = StaticResolver({"orders": [OLD, NEW]})
    resolver, asked = bound(registry, elsewhere)
    async with following(resolver, "s") as stream:
        first = await anext(stream)
        assert (first.service, first.endpoints, first.bound_to) == ("s", (OLD,), "")
        elsewhere.set("orders", [NEW])
        assert (await anext(stream)).endpoints == ()
        registry.next()
        assert (await anext(stream)).endpoints == (NEW,)
        registry.next()
        last = await anext(stream)
        assert last.endpoints == (OWN,)
        assert last.version == 4
    assert [str(it) for it in asked] == ["consul://orders?tag=v1", "consul://orders?version=^2"]


async def test_own_instances_that_cannot_be_called_hide_nobody() -> None:
    """They are known beside those of the target, so that the calls go there."""
    ill = replace(OWN, health=Health.CRITICAL)
    registry = Registry(Snapshot(service="s", endpoints=(ill,), bound_to="consul://orders?tag=v1"))
    resolver, _ = bound(registry, StaticResolver({"orders": [OLD, NEW]}))
    async with following(resolver, "s") as stream:
        found = await anext(stream)
        assert found.endpoints == (ill, OLD)
        assert found.callable() == (OLD,)


async def test_a_target_that_cannot_be_followed_is_a_problem() -> None:
    """The list is stale and says which setting is missing; the watch goes on."""
    registry = Registry(Snapshot(service="s", endpoints=(), bound_to="consul://orders"))
    watch = Watch(BoundResolver(registry, Resolvers().watch), "s")
    await watch.moment(5)
    assert "CONSUL_HTTP_ADDR" in watch.snapshot.problem
    await watch.close()


@pytest.mark.parametrize("target", ["weft://orders", "orders", "env://orders"])
def test_never_follows_back(target: str) -> None:
    """A registration cannot lead back into the registry, nor into the environment."""
    with pytest.raises(ValidationError, match="cannot point"):
        Resolvers()._watch_bound(parse_target(target))
