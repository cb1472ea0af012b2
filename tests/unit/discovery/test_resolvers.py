"""All sources behind one door: who is asked for which target, and what is said when nobody is there."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import timedelta
from weakref import ref

import pytest

from tests.support.dns_server import DnsServer, dns_serving
from weft.core.errors import ValidationError
from weft.discovery import Endpoint, StaticResolver, parse_target
from weft.discovery.consul import ConsulConfig, ConsulResolver
from weft.discovery.dns import DnsConfig, DnsResolver
from weft.discovery.environment import EnvironmentResolver
from weft.discovery.resolvers import Resolvers, SourcesConfig, sources_config

NOBODY = "127.0.0.1:9"


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    async with dns_serving() as running:
        yield running


def refusal(resolvers: Resolvers, target: str) -> str:
    with pytest.raises(ValidationError) as caught:
        resolvers.resolver(parse_target(target))
    (violation,) = caught.value.violations
    assert violation.field == "target"
    return violation.description


async def test_one_resolver_for_each_source() -> None:
    """Targets share a resolver when scheme, authority and datacenters are the same."""
    resolvers = Resolvers(SourcesConfig(consul=ConsulConfig(address=NOBODY), registry=NOBODY))
    same = ["consul://a", "consul://b?tag=v1&version=^1", "b?zone=z"]
    assert len({id(resolvers.resolver(parse_target(it))[0]) for it in same}) == 1
    different = ["consul://a", "consul://a?dc=x", "weft://a", "weft://127.0.0.1:1/a", "dns:///a:1"]
    assert len({id(resolvers.resolver(parse_target(it))[0]) for it in different}) == 5
    assert resolvers.resolver(parse_target("dns:///a:1"))[1] == "a:1"
    await resolvers.close()


async def test_sources_that_nobody_asks_any_more_are_forgotten() -> None:
    """Whoever calls may name any nameserver or registry; what is asked again and again stays."""
    resolvers = Resolvers(SourcesConfig(consul=ConsulConfig(address=NOBODY)))
    kept = resolvers.resolver(parse_target("consul://a"))[0]
    first = ref(resolvers.resolver(parse_target("weft://10.0.0.1:1/a"))[0])
    for number in range(1, 1_000):
        resolvers.resolver(parse_target(f"dns://10.0.{number // 250}.{number % 250}:53/a:1"))
        assert resolvers.resolver(parse_target("consul://a"))[0] is kept
    assert len(resolvers._made) <= 256
    gc.collect()
    assert first() is None
    await resolvers.close()


async def test_a_bare_name_is_looked_for_in_the_environment_first() -> None:
    """Then in the source that is configured, or said to be the default."""
    environ = {"SERVICE_ORDERS_URL": "grpc://127.0.0.1:1"}
    consul = ConsulConfig(address=NOBODY)
    both = Resolvers(SourcesConfig(environ=environ, consul=consul, registry=NOBODY))
    assert isinstance(both.resolver(parse_target("orders"))[0], EnvironmentResolver)
    assert isinstance(both.resolver(parse_target("stock"))[0], ConsulResolver)
    assert both.resolver(parse_target("consul://orders"))[0] is both.resolver(parse_target("stock"))[0]
    weft = Resolvers(SourcesConfig(consul=consul, registry=NOBODY, default="weft"))
    assert weft.resolver(parse_target("stock"))[0] is weft.resolver(parse_target("weft://stock"))[0]
    for resolvers in (both, weft):
        await resolvers.close()


async def test_says_what_is_not_configured() -> None:
    """The error names the setting that is missing."""
    resolvers = Resolvers()
    assert "CONSUL_HTTP_ADDR" in refusal(resolvers, "consul://orders")
    assert "WEFT_TARGET" in refusal(resolvers, "weft://orders")
    bare = refusal(resolvers, "orders-v2")
    assert all(it in bare for it in ("CONSUL_HTTP_ADDR", "WEFT_TARGET", "SERVICE_ORDERS_V2_URL"))
    chosen = Resolvers(SourcesConfig(default="consul"))
    assert "CONSUL_HTTP_ADDR" in refusal(chosen, "orders")


def test_reads_an_environment() -> None:
    """Every source is configured by the variables of whoever starts the process."""
    config = sources_config(
        {
            "CONSUL_HTTP_ADDR": "127.0.0.1:8500",
            "WEFT_TARGET": "127.0.0.1:7233",
            "WEFT_NAMESERVER": "10.0.0.2",
            "WEFT_DEFAULT_SOURCE": "weft",
            "SERVICE_ORDERS_URL": "127.0.0.1:1",
        }
    )
    assert config.consul is not None
    assert (config.registry, config.dns.nameserver, config.default) == ("127.0.0.1:7233", "10.0.0.2", "weft")
    assert sources_config({}) == SourcesConfig()


def test_names_every_wrong_variable_at_once() -> None:
    """Whoever starts the process learns of all of them in one go."""
    with pytest.raises(ValidationError) as caught:
        sources_config(
            {
                "CONSUL_HTTP_ADDR": "ftp://x",
                "WEFT_TARGET": "nowhere",
                "WEFT_NAMESERVER": "a b",
                "WEFT_DEFAULT_SOURCE": "zookeeper",
                "SERVICE_ORDERS_URL": "orders",
            }
        )
    assert {it.field for it in caught.value.violations} == {
        "CONSUL_HTTP_ADDR",
        "WEFT_TARGET",
        "WEFT_NAMESERVER",
        "WEFT_DEFAULT_SOURCE",
        "SERVICE_ORDERS_URL",
    }


async def test_watches_by_target(server: DnsServer) -> None:
    """A watch of a target has its instances, whatever the source."""
    server.set("a.test", "A", "10.0.0.1")
    resolvers = Resolvers()
    for target, expected in (
        ("static:///10.0.0.7:1,10.0.0.8:2", ["10.0.0.7:1", "10.0.0.8:2"]),
        ("10.0.0.7:1", ["10.0.0.7:1"]),
        (f"dns://{server.address}/a.test:5", ["10.0.0.1:5"]),
    ):
        watch = resolvers.watch(parse_target(target))
        if not watch.snapshot.version:
            await watch.moment(5)
        assert [it.address for it in watch.snapshot.endpoints] == expected
        await watch.close()
    await resolvers.close()


async def test_the_nameserver_of_the_target_wins(server: DnsServer) -> None:
    """The configured one is asked by targets that name none."""
    server.set("a.test", "A", "10.0.0.1")
    quick = timedelta(milliseconds=200)
    resolvers = Resolvers(SourcesConfig(dns=DnsConfig(nameserver=server.address, timeout=quick)))
    resolver, service = resolvers.resolver(parse_target("dns:///a.test:5"))
    assert isinstance(resolver, DnsResolver)
    watch = resolvers.watch(parse_target("dns:///a.test:5"))
    await watch.moment(5)
    assert (service, len(watch.snapshot.endpoints)) == ("a.test:5", 1)
    await watch.close()
    elsewhere = resolvers.watch(parse_target("dns://127.0.0.1:9/a.test:5"))
    await elsewhere.moment(5)
    assert elsewhere.snapshot.stale
    await elsewhere.close()


async def test_close_ends_everything() -> None:
    """No task is left of any source."""
    before = len(asyncio.all_tasks())
    resolvers = Resolvers(SourcesConfig(consul=ConsulConfig(address=NOBODY), registry=NOBODY))
    watches = [resolvers.watch(parse_target(it)) for it in ("consul://a", "weft://a", "dns:///localhost:1")]
    for watch in watches:
        if not watch.snapshot.version:
            await watch.moment(5)
        assert watch.snapshot.version
        await watch.close()
    await resolvers.close()
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) == before


async def test_the_registry_of_this_process() -> None:
    """A server asks its own registry without a hop."""
    own = StaticResolver({"orders": [Endpoint(host="10.0.0.1", port=1)]})
    resolvers = Resolvers(registry=own)
    for target in ("orders", "weft://orders"):
        watch = resolvers.watch(parse_target(target))
        await watch.moment(5)
        assert [it.address for it in watch.snapshot.endpoints] == ["10.0.0.1:1"]
        await watch.close()
