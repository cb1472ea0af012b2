"""``weft.client.mesh``: stubs, calls by name over gRPC and HTTP, and who is where, through one door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import grpc.aio
import pytest
from aiohttp import web

from tests.integration.client.peer import Middle, Peer
from tests.support.clocks import SteppingClock
from tests.support.http_services import http_service
from tests.support.shop import carts_server, compiled
from tests.support.spans import global_spans
from tests.support.world import hosted, serving, text_service
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.client import (
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
    ValidationError,
    connect,
)
from weft.client._transport.descriptors import RegisteredDescriptors
from weft.client.mesh import BalancerConfig, CallOptions, MeshClient, MeshConfig, SourcesConfig, connect_mesh
from weft.discovery.resolvers import Resolvers

pytestmark = pytest.mark.integration


async def some() -> AsyncIterator[dict[str, int]]:
    yield {"price_cents": 150, "count": 2}
    yield {"price_cents": 700, "count": 1}


async def test_one_door_to_a_grpc_service() -> None:
    """A generated stub and all shapes of calls by name, spread over two instances that nobody registered."""
    messages, stubs, _ = compiled()
    async with carts_server() as one, carts_server() as other, connect_mesh() as mesh:
        target = f"static:///127.0.0.1:{one},127.0.0.1:{other}"
        stub: Any = stubs.CartsStub(mesh.channel(target, options=CallOptions(timeout=timedelta(seconds=5))))
        for _ in range(2):
            assert (await stub.GetCart(messages.GetCartRequest(customer="ada"))).customer == "ada"
        cart = await mesh.call_service(
            target, "GetCart", {"customer": "ada"}, timeout=5, metadata={"X-A": "1"}
        )
        assert [it["sku"] for it in cart["items"]] == ["pen", "ink"]
        listed = mesh.stream_service(target, "Carts/ListItems", {"customer": "ada"})
        assert [it["sku"] async for it in listed] == ["ada/pen", "ada/ink"]
        assert await mesh.call_service(target, "AddUp", some()) == {"cents": 1000, "items": 3}
        assert [it.name for it in (await mesh.describe(target)).methods()] == [
            "GetCart",
            "ListItems",
            "AddUp",
        ]
        states = {it["protocol"]: it for it in mesh.states()}
        assert len(states["GRPC"]["instances"]) == 2
        found = await mesh.resolve(target)
    assert sorted(it.port for it in found.endpoints) == sorted((one, other))


async def test_faults_are_named_before_anything_is_sent() -> None:
    """A method that is not there, a request that does not fit, a duration that is none."""
    async with carts_server() as port, connect_mesh() as mesh:
        target = f"127.0.0.1:{port}"
        with pytest.raises(ResourceNotFoundError, match="did you mean 'GetCart'"):
            await mesh.call_service(target, "GetCrt")
        with pytest.raises(ValidationError) as caught:
            await mesh.call_service(target, "GetCart", {"customr": "ada", "x": 1})
        assert [it.field for it in caught.value.violations] == ["customr", "x"]
        wrong: Any = "soon"
        with pytest.raises(ValidationError, match="timeout"):
            await mesh.call_service(target, "GetCart", {}, timeout=wrong)
        with pytest.raises(ValidationError, match="timeout"):
            mesh.stream_service(target, "ListItems", {}, timeout=wrong)


async def test_nobody_to_call() -> None:
    """Says what is known of the service, and which versions there are, before anything about descriptors."""
    async with serving() as wire, connect_mesh(SourcesConfig(registry=wire.address)) as mesh:
        with pytest.raises(ServiceUnavailableError, match="no instance of texts can be called: 0 known"):
            await mesh.call_service("texts", "InvokeAction")
        async with hosted(wire, text_service()):
            with pytest.raises(PreconditionError, match=r"there is 1\.0\.0") as caught:
                await mesh.call_service("texts?version=^2", "InvokeAction")
    assert caught.value.reason == "VERSION_NOT_AVAILABLE"


async def test_http_stands_beside_it() -> None:
    """The same names lead to services that speak HTTP."""

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.text()
        return web.json_response({"was": f"{request.method} {request.path_qs}", "body": body})

    async with http_service(handler=answer) as shop:
        environ = {"SERVICE_ORDERS_URL": f"http://{shop.endpoint.address}/api"}
        async with MeshClient.from_environment(environ) as mesh:
            made = await mesh.http.call_service("orders", "/orders", "POST", {"item": "tea"})
            assert made == {"was": "POST /api/orders", "body": '{"item":"tea"}'}
            seen = await mesh.http.request("orders", "GET", "/orders/7", None, {"x-a": "1"})
            assert (seen.status, seen.json()["was"]) == (200, "GET /api/orders/7")
            (instance,) = (await mesh.resolve("orders")).endpoints
            assert (instance.protocol, instance.path) == ("HTTP", "/api")


async def test_a_service_of_the_registry_is_watched() -> None:
    """``resolve`` says who is there now, ``watch`` who comes and goes; of the versions that will do."""
    async with serving() as wire, connect_mesh(SourcesConfig(registry=wire.address)) as mesh:
        assert (await mesh.resolve("texts")).endpoints == ()
        async with aclosing(mesh.watch("weft://texts?version=^1")) as changes:
            assert (await anext(changes)).endpoints == ()
            async with hosted(wire, text_service()):
                assert [it.version for it in (await anext(changes)).endpoints] == ["1.0.0"]
                assert (await mesh.resolve("texts?version=^2")).endpoints == ()
                assert [it.instance_id for it in (await mesh.resolve("texts")).endpoints] == ["texts-1"]
            async with asyncio.timeout(10):
                assert (await anext(changes)).endpoints == ()


async def test_descriptors_of_the_registration_are_taken() -> None:
    """A service without reflection is called by name with those that it was registered with."""
    async with carts_server(reflect=False) as port, serving() as wire, connect(wire.address) as weft:
        await weft.registry.register(
            "carts",
            endpoint=f"grpc://127.0.0.1:{port}",
            descriptor_set=compiled()[2],
            grpc_services=["e2eshop.v1.Carts"],
        )
        async with connect_mesh(SourcesConfig(registry=wire.address)) as mesh:
            for target in ("carts", "weft://carts", f"weft://{wire.address}/carts"):
                assert (await mesh.call_service(target, "GetCart", {"customer": "ada"}))["customer"] == "ada"
            with pytest.raises(ResourceNotFoundError, match="Forget"):
                await mesh.call_service("carts", "Forget")
            mesh.use_descriptors("nobody", compiled()[2])  # which need no registration
            with pytest.raises(ServiceUnavailableError):
                await mesh.call_service("nobody", "GetCart", timeout=2)


async def test_each_api_version_has_its_descriptors() -> None:
    """Those of the newest version that the target takes; where there are none the service is asked."""
    peer = Peer()
    service = registry_pb2.Service(name="carts", version="2.0.0")
    service.other_versions.add(version="1.2.0", descriptor_set=compiled()[2])
    peer.on("GetService", pb.GetServiceResponse(service=service))
    await peer.start()
    async with grpc.aio.insecure_channel(peer.target) as channel:
        registered = RegisteredDescriptors(
            Resolvers(SourcesConfig(registry=peer.target)), lambda _authority: channel
        )
        assert await registered.find("carts?version=^1") == compiled()[2]
        for target in ("carts", "carts?version=^3", "static:///127.0.0.1:1"):
            assert await registered.find(target) == b""
        peer.on("GetService", grpc.StatusCode.NOT_FOUND)
        assert await registered.find("carts?version=^1") == b""
        await peer.stop()
        assert await registered.find("carts?version=^1") == b""


async def test_a_client_over_several_servers() -> None:
    """It goes to the one that is there; a server that goes is no failure."""
    async with serving() as one, serving() as other:
        target = f"static:///127.0.0.1:1,{one.address},{other.address}"
        async with connect(target) as weft:
            assert weft.target == target
            for _ in range(6):
                assert await weft.health.check() == "SERVING"
                assert (await weft.registry.list()).items == ()


async def test_a_client_repeats_as_its_own_policy_says(clock: SteppingClock) -> None:
    """Over the mesh too a read is tried three times in all, not three times three."""
    peer = Peer()
    await peer.start()
    peer.on("ListServices", grpc.StatusCode.UNAVAILABLE)
    counted = []
    for target in (peer.target, f"static:///{peer.target}"):
        peer.calls.clear()
        async with connect(target, clock=clock, chance=Middle()) as weft:
            with pytest.raises(ServiceUnavailableError):
                await weft.registry.list()
        counted.append(len(peer.calls))
    await peer.stop()
    assert counted == [3, 3]


async def test_a_client_may_share_a_mesh() -> None:
    """Which finds its server, and outlives it."""
    async with serving() as wire:
        config = MeshConfig(balancer=BalancerConfig(policy="least_request"))
        async with connect_mesh(SourcesConfig(registry=f"static:///{wire.address}"), config=config) as mesh:
            async with connect(f"static:///{wire.address}", mesh=mesh) as weft:
                await weft.registry.register("orders", endpoint="grpc://127.0.0.1:9", actions=[{"name": "a"}])
            found = await mesh.resolve("weft://orders")  # the registry itself is behind a target
            assert [it.address for it in found.endpoints] == ["127.0.0.1:9"]
            assert {it["policy"] for it in mesh.states()} == {"least_request"}


async def test_a_client_without_sources_says_what_is_missing() -> None:
    """Only some targets need nothing."""
    async with connect("consul://weft-execution") as weft:
        with pytest.raises(ValidationError, match="consul:// is not configured"):
            await weft.registry.list()


@pytest.mark.parametrize("prefix", ["", "static:///"])
async def test_calls_of_a_client_are_traced(prefix: str) -> None:
    """One CLIENT span for each, with its status, and the server's below it: also over the mesh."""
    with global_spans() as spans:
        async with serving() as wire, connect(f"{prefix}{wire.address}") as weft:
            spans.clear()
            await weft.registry.list()
            with pytest.raises(ResourceNotFoundError):
                await weft.registry.get("nobody")
            async with aclosing(weft.registry.watch_instances("orders")) as changes:
                await anext(changes)
            await spans.wait_for(6)
        ours = {it.name.rpartition("/")[2]: it for it in spans.all if it.kind.name == "CLIENT"}
        theirs = {it.name.rpartition("/")[2]: it for it in spans.all if it.kind.name == "SERVER"}
        assert set(ours) == set(theirs) == {"ListServices", "GetService", "WatchInstances"}
        for name, span in ours.items():
            parent = theirs[name].parent
            assert parent is not None
            assert span.context is not None
            assert parent.span_id == span.context.span_id
            assert span.attributes is not None
            assert span.attributes["server.address"] == "127.0.0.1"
        codes = {name: (it.attributes or {})["rpc.grpc.status_code"] for name, it in ours.items()}
        assert codes == {"ListServices": 0, "GetService": 5, "WatchInstances": 1}


@pytest.mark.parametrize("prefix", ["", "static:///"])
async def test_spans_count_the_attempts_of_the_client(prefix: str, clock: SteppingClock) -> None:
    """Each attempt has one, with its number, whoever makes it."""
    peer = Peer()
    await peer.start()
    peer.on("ListServices", grpc.StatusCode.UNAVAILABLE)
    with global_spans() as spans:
        async with connect(f"{prefix}{peer.target}", clock=clock, chance=Middle()) as weft:
            with pytest.raises(ServiceUnavailableError):
                await weft.registry.list()
        seen = [(it.attributes or {}) for it in spans.all]
    await peer.stop()
    assert [(it["weft.attempt"], it["weft.retry"]) for it in seen] == [(1, False), (2, True), (3, True)]


async def test_a_call_that_is_given_up_ends_its_span() -> None:
    """As cancelled; nothing stays open."""
    peer = Peer()
    await peer.start()
    hanging = asyncio.Event()

    async def hang(*_: Any) -> Any:
        hanging.set()
        await asyncio.Event().wait()

    peer.on("ListServices", hang)
    with global_spans() as spans:
        async with connect(peer.target) as weft:
            task = asyncio.create_task(weft.registry.list())
            await hanging.wait()
            task.cancel()
            await asyncio.wait({task})
        (span,) = spans.all
        assert (span.attributes or {})["rpc.grpc.status_code"] == 1
    await peer.stop()
