"""What can be seen of a mesh: metrics for collectors, and a bounded summary for people."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from weft.core.clock import SystemClock
from weft.core.payload import to_struct
from weft.core.version import VersionRange
from weft.discovery.model import Endpoint, Health, Snapshot
from weft.discovery.static import StaticResolver
from weft.discovery.target import Target
from weft.mesh.balancing import BalancerConfig, OutlierConfig
from weft.mesh.mesh import Mesh, MeshConfig, OneResolver
from weft.mesh.metrics import observe_mesh
from weft.mesh.states import describe_mesh

ORDERS = Target(scheme="weft", name="orders")


def at(number: int, health: Health = Health.PASSING, version: str = "") -> Endpoint:
    return Endpoint(
        host="127.0.0.1", port=number, instance_id=f"orders-{number}", health=health, version=version
    )


class Source:
    """A source that says what it is told to, also that it fails."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[Snapshot] = asyncio.Queue()

    async def watch(self, service: str) -> AsyncIterator[Snapshot]:  # noqa: ARG002 - one service
        while True:
            yield await self.says.get()


@pytest.fixture
async def make_mesh() -> AsyncIterator[Callable[..., Mesh]]:
    made: list[Mesh] = []

    def make(resolver: Any, **balancer: Any) -> Mesh:
        config = MeshConfig(balancer=BalancerConfig(**balancer))
        made.append(Mesh(OneResolver(resolver), config, clock=SystemClock(), chance=random.Random(7)))
        return made[-1]

    yield make
    for mesh in made:
        await mesh.close()


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader: InMemoryMetricReader) -> MeterProvider:
    return MeterProvider(metric_readers=[reader])


def points(reader: InMemoryMetricReader, name: str) -> dict[tuple[str, ...], float]:
    """Return the values of a metric, by source, service, and health where it has one."""
    data = reader.get_metrics_data()
    found: dict[tuple[str, ...], float] = {}
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points if metric.name == name else ():
                    assert isinstance(point, NumberDataPoint)
                    keys = ("weft.source", "weft.service", "weft.health")
                    told = point.attributes or {}
                    found[tuple(str(told[key]) for key in keys if key in told)] = point.value
    return found


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_endpoints_are_counted_by_health(
    make_mesh: Callable[..., Mesh], reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    """Every health has a value, also 0; two routes to one service are one list."""
    mesh = make_mesh(StaticResolver({"orders": [at(1), at(2), at(3, Health.CRITICAL)]}))
    observe_mesh(mesh, provider)
    mesh.route(ORDERS)
    mesh.route(ORDERS, versions=VersionRange.parse("^1"))
    await settle()
    assert points(reader, "weft.discovery.endpoints") == {
        ("weft", "orders", "PASSING"): 2,
        ("weft", "orders", "WARNING"): 0,
        ("weft", "orders", "CRITICAL"): 1,
        ("weft", "orders", "DRAINING"): 0,
    }
    assert points(reader, "weft.discovery.stale") == {("weft", "orders"): 0}


async def test_a_stale_list_is_seen(
    make_mesh: Callable[..., Mesh], reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    """In the metrics as 1, and in the summary with the problem; both end with it."""
    source = Source()
    mesh = make_mesh(source)
    observe_mesh(mesh, provider)
    mesh.route(ORDERS)
    for stale, problem in ((True, "no answer"), (False, "")):
        source.says.put_nowait(
            Snapshot(service="orders", endpoints=(at(1),), stale=stale, problem=problem, version=1)
        )
        await settle()
        assert points(reader, "weft.discovery.stale") == {("weft", "orders"): int(stale)}
        described = describe_mesh(mesh)
        (route,) = described["routes"]
        assert described["stale_count"] == int(stale)
        assert (route["stale"], route["problem"]) == (stale, problem)
        assert ("stale: no answer" in route["summary"]) is stale


async def test_ejections_and_calls_under_way_are_counted(
    make_mesh: Callable[..., Mesh], reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    """An instance that is ejected on two routes is one instance."""
    resolver = StaticResolver({"orders": [at(1, version="1.0.0"), at(2, version="1.0.0")]})
    mesh = make_mesh(resolver, outliers=OutlierConfig(consecutive_failures=1))
    observe_mesh(mesh, provider)
    routes = [mesh.route(ORDERS), mesh.route(ORDERS, versions=VersionRange.parse("^1"))]
    await settle()
    for route in routes:
        nodes = [route.pick(), route.pick()]
        first, second = sorted(filter(None, nodes), key=lambda node: node.endpoint.port)
        route.done(first, True, 0.1)
        assert second.in_flight == 1
    assert points(reader, "weft.mesh.ejected") == {("weft", "orders"): 1}
    assert points(reader, "weft.mesh.in_flight") == {("weft", "orders"): 2}
    (shown, _) = describe_mesh(mesh)["routes"]
    assert (shown["ejected_count"], shown["in_flight"], shown["instance_count"]) == (1, 1, 2)
    assert shown["instances"][0]["key"] == "orders-1"
    assert 29 < shown["instances"][0]["ejected_for"] <= 30


async def test_retries_are_never_uncounted(
    make_mesh: Callable[..., Mesh], reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    """A route that nobody uses is forgotten; what was counted there is not, and goes on."""
    mesh = make_mesh(StaticResolver({"orders": [at(1)]}))
    observe_mesh(mesh, provider)
    for total in (1, 2):
        route = mesh.route(ORDERS)
        assert route.budget.retry(mesh.clock.monotonic())
        assert points(reader, "weft.mesh.retries") == {("weft", "orders"): total}
        route.last_used = float("-inf")
        await mesh.forget_idle()
        assert mesh.routes() == []
        assert points(reader, "weft.mesh.retries") == {("weft", "orders"): total}


async def test_meshes_are_added_up_and_forgotten(
    make_mesh: Callable[..., Mesh], reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    """Several meshes of a process share the instruments; one that is closed says nothing any more."""
    meshes = [make_mesh(StaticResolver({"orders": [at(1)]})) for _ in range(2)]
    for mesh in meshes:
        observe_mesh(mesh, provider)
        observe_mesh(mesh, provider)
        route = mesh.route(ORDERS)
        await settle()
        assert route.pick() is not None
    assert points(reader, "weft.mesh.in_flight") == {("weft", "orders"): 2}
    await meshes[0].close()
    assert points(reader, "weft.mesh.in_flight") == {("weft", "orders"): 1}


async def test_the_summary_is_bounded(make_mesh: Callable[..., Mesh]) -> None:
    """At most 100 routes with 10 instances each, the stale and the ejected first; counts tell the rest."""
    names = [f"service-{number:03}" for number in range(150)]
    mesh = make_mesh(StaticResolver({name: [at(port) for port in range(1, 31)] for name in names}))
    for name in names:
        mesh.route(Target(scheme="weft", name=name))
    await settle()
    described = describe_mesh(mesh)
    assert (described["route_count"], len(described["routes"])) == (150, 100)
    assert {len(route["instances"]) for route in described["routes"]} == {10}
    assert {route["instance_count"] for route in described["routes"]} == {30}
    assert to_struct(described).ByteSize() < 500_000
