"""Any gRPC service, registered by its address or descriptors alone, has actions that workflows can call."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from tests.support.dns_server import dns_serving
from tests.support.shop import carts_server, compiled
from tests.support.wire import Wire
from tests.support.world import hosted, text_service
from weft.client import Client, Step, connect
from weft.core.errors import (
    ActionFailedError,
    Code,
    PreconditionError,
    ResourceNotFoundError,
    ValidationError,
)
from weft.core.reasons import Reason, Rule

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

CARTS = "e2eshop.v1.Carts"
CART = {
    "customer": "ada",
    "items": [
        {"sku": "pen", "price_cents": 150, "count": 2},
        {"sku": "ink", "price_cents": 700, "count": 1},
    ],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def weft(wire: Wire) -> AsyncIterator[Client]:
    async with connect(wire.address) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port() -> AsyncIterator[int]:
    async with carts_server() as port:
        yield port


async def test_many_large_messages_hold_nobody_up(weft: Client, wire: Wire) -> None:
    """While the schemas of a descriptor set are made, the server answers others."""
    slowest = 0.0
    registering = asyncio.create_task(
        weft.registry.register("entangled", descriptor_set=entangled(120, 40), version="1.0.0")
    )
    while not registering.done():
        began = time.monotonic()
        await weft.registry.list()
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(0.01)
    with contextlib.suppress(PreconditionError):  # a busy machine may not be done within 10 s
        assert len((await registering).actions) == 120
    assert slowest < 2.5


def entangled(messages: int, fields: int) -> bytes:
    """Messages that are fields of each other; a method for each."""
    file = FileDescriptorProto(name="e.proto", package="e", syntax="proto3")
    service = file.service.add(name="Knots")
    for number in range(messages):
        message = file.message_type.add(name=f"M{number}")
        for index in range(fields):
            kind = f".e.M{(number * fields + index + 1) % messages}"
            message.field.add(name=f"f{index}", number=index + 1, label=1, type=11, type_name=kind)
        service.method.add(name=f"Call{number}", input_type=f".e.M{number}", output_type=f".e.M{number}")
    return FileDescriptorSet(file=[file]).SerializeToString()


async def test_an_address_is_enough(weft: Client, port: int) -> None:
    """Every RPC is an action with schemas; the descriptors are read once and kept."""
    made = await weft.registry.register("carts", endpoint=f"grpc://127.0.0.1:{port}")
    methods = {action.name: action.grpc_method for action in made.actions}
    assert methods == {name: f"{CARTS}/{name}" for name in ("GetCart", "ListItems", "AddUp")}
    takes = made.actions[0].input_schema
    assert takes is not None
    assert "customer" in takes["properties"]
    assert made.descriptor_set == b""
    assert (await weft.registry.get("carts")).descriptor_set != b""
    assert (await weft.registry.list()).items[0].descriptor_set == b""


async def test_its_actions_are_called_in_their_own_messages(weft: Client, port: int) -> None:
    """Streams are lists: of requests in the input, of responses in the output."""
    await weft.registry.register("carts", endpoint=f"grpc://127.0.0.1:{port}", replace=True)
    assert await weft.executions.call("carts", "GetCart", {"customer": "ada"}) == CART
    listed = await weft.executions.call("carts", "ListItems", {"customer": "ada"})
    assert [item["sku"] for item in listed["responses"]] == ["ada/pen", "ada/ink"]
    total = await weft.executions.call("carts", "AddUp", {"requests": CART["items"]})
    assert total == {"cents": 1000, "items": 3}


async def test_its_failures_are_its_own(weft: Client, port: int) -> None:
    """A status of the RPC is the action's; an input that does not fit never gets there."""
    await weft.registry.register("carts", endpoint=f"grpc://127.0.0.1:{port}", replace=True)
    with pytest.raises(ActionFailedError, match="no such customer") as failed:
        await weft.executions.call("carts", "GetCart", {"customer": "nobody"})
    assert failed.value.code is Code.NOT_FOUND
    with pytest.raises(ValidationError):
        await weft.executions.call("carts", "GetCart", {"customer": 7})


async def test_it_runs_in_a_workflow_beside_an_action_of_the_sdk(wire: Wire, weft: Client, port: int) -> None:
    """The data flow between them is checked like any other."""
    await weft.registry.register("carts", endpoint=f"grpc://127.0.0.1:{port}", replace=True)
    async with hosted(wire, text_service()):
        text = {"text": "${ steps.cart.customer }"}
        steps = [
            Step(id="cart", service="carts", action="GetCart", next="say"),
            Step(id="say", service="texts", action="shout", input=text),
        ]
        await weft.workflows.create("greet-customer", steps=steps)
        execution = await weft.executions.execute("greet-customer", {"customer": "ada"})
    assert (execution.state, execution.result) == ("COMPLETED", {"text": "ADA"})


async def test_a_descriptor_set_is_enough(weft: Client) -> None:
    """For a server without reflection: its instances are called by what the set says."""
    *_, content = compiled()
    made = await weft.registry.register("quiet", descriptor_set=content, grpc_services=[CARTS])
    assert {action.grpc_method.partition("/")[0] for action in made.actions} == {CARTS}
    async with carts_server(reflect=False) as port:
        await weft.registry.register_instance("quiet", host="127.0.0.1", port=port)
        assert await weft.executions.call("quiet", "GetCart", {"customer": "ada"}) == CART


async def test_what_cannot_be_read_is_refused(weft: Client) -> None:
    """Nobody there, or no reflection: nothing is stored."""
    async with carts_server(reflect=False) as port:
        for endpoint in (f"grpc://127.0.0.1:{port}", "grpc://127.0.0.1:9"):
            with pytest.raises(PreconditionError) as refused:
                await weft.registry.register("unread", endpoint=endpoint)
            assert refused.value.reason == Reason.DESCRIPTORS_UNAVAILABLE
            assert refused.value.metadata["endpoint"] == endpoint
    with pytest.raises(ResourceNotFoundError):
        await weft.registry.get("unread")


async def test_faults_are_named(weft: Client, port: int) -> None:
    """A set that is none, a service and an RPC that are not there."""
    with pytest.raises(ValidationError) as refused:
        await weft.registry.register("unread", descriptor_set=b"no set")
    fault = refused.value.violations[0]
    assert (fault.field, fault.reason) == ("service.descriptor_set", Rule.DESCRIPTORS_INVALID)
    *_, content = compiled()
    with pytest.raises(ValidationError) as refused:
        await weft.registry.register("unread", descriptor_set=content, grpc_services=["e2eshop.v1.Carrots"])
    assert refused.value.violations[0].field == "grpc_services[0]"
    actions = [{"name": "put", "grpc_method": f"{CARTS}/Put"}]
    with pytest.raises(ValidationError) as refused:
        await weft.registry.register("unread", endpoint=f"grpc://127.0.0.1:{port}", actions=actions)
    assert refused.value.violations[0].field == "service.actions[0].grpc_method"


async def test_actions_may_be_named_by_hand(weft: Client, port: int) -> None:
    """With names, descriptions and schemas of one's own."""
    own = {"name": "cart-of", "description": "Reads a cart.", "grpc_method": f"{CARTS}/GetCart"}
    endpoint = f"grpc://127.0.0.1:{port}"
    made = await weft.registry.register("my-carts", endpoint=endpoint, actions=[own])
    assert [(it.name, it.description) for it in made.actions] == [("cart-of", "Reads a cart.")]
    assert await weft.executions.call("my-carts", "cart-of", {"customer": "ada"}) == CART


async def test_a_provider_of_actions_lists_them_itself(wire: Wire, weft: Client) -> None:
    """At an address with ActionService, its actions are what there is to call."""
    async with hosted(wire, text_service()) as host:
        made = await weft.registry.register("mirror", endpoint=f"grpc://{host.address}")
    assert {action.name for action in made.actions} == {"shout", "count"}
    assert {action.grpc_method for action in made.actions} == {""}


async def test_an_http_endpoint_brings_its_actions_later(weft: Client) -> None:
    """It cannot be asked, so that nothing is."""
    made = await weft.registry.register("web", endpoint="http://127.0.0.1:9")
    assert made.actions == ()


async def test_another_set_of_descriptors_is_used_at_once(weft: Client, port: int) -> None:
    """What was compiled belongs to the revision."""
    endpoint = f"grpc://127.0.0.1:{port}"
    first = {"name": "go", "grpc_method": f"{CARTS}/GetCart"}
    second = {"name": "go", "grpc_method": f"{CARTS}/ListItems"}
    await weft.registry.register("changing", endpoint=endpoint, actions=[first])
    assert await weft.executions.call("changing", "go", {"customer": "ada"}) == CART
    await weft.registry.register("changing", endpoint=endpoint, actions=[second], replace=True)
    assert "responses" in await weft.executions.call("changing", "go", {"customer": "ada"})


async def test_a_service_may_be_where_dns_says(weft: Client, port: int) -> None:
    """It is asked there for its actions, and called there."""
    async with dns_serving() as names:
        names.set("carts.test", "A", "127.0.0.1")
        endpoint = f"dns://{names.address}/carts.test:{port}"
        made = await weft.registry.register("by-name", endpoint=endpoint)
        assert {action.name for action in made.actions} == {"GetCart", "ListItems", "AddUp"}
        assert await weft.executions.call("by-name", "GetCart", {"customer": "ada"}) == CART


async def test_consul_that_is_not_configured(weft: Client) -> None:
    """The refusal says which setting is missing."""
    with pytest.raises(PreconditionError, match="CONSUL_HTTP_ADDR") as refused:
        await weft.registry.register("unread", endpoint="consul://carts")
    assert refused.value.reason == Reason.DESCRIPTORS_UNAVAILABLE


async def test_a_change_of_actions_is_held_against_the_descriptors(weft: Client, port: int) -> None:
    """The set that was registered holds; what it does not have is refused by its path."""
    await weft.registry.register("changed", endpoint=f"grpc://127.0.0.1:{port}")
    fine = {"name": "read", "grpc_method": f"{CARTS}/GetCart"}
    await weft.registry.update("changed", actions=[fine])
    assert await weft.executions.call("changed", "read", {"customer": "ada"}) == CART
    with pytest.raises(ValidationError) as refused:
        await weft.registry.update("changed", actions=[fine, {"name": "b", "grpc_method": f"{CARTS}/Put"}])
    assert refused.value.violations[0].field == "service.actions[1].grpc_method"
