"""A gRPC service that has never heard of Weft becomes workflow actions, with no code: the commands alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.e2e import commands
from tests.e2e.commands import Done
from tests.support.shop import carts_server, compiled
from weft.service import Service

pytestmark = pytest.mark.e2e

WORKFLOW = """
name: invoice
input_schema:
  type: object
  properties: {customer: {type: string}}
  required: [customer]
steps:
  - {id: cart, service: carts, action: ListItems, next: total}
  - {id: total, service: carts, action: AddUp, input: {requests: "${ steps.cart.responses }"}, next: bill}
  - {id: bill, service: billing, action: bill, service_version: ^1.4, input: {cents: "${steps.total.cents}"}}
"""


def billing() -> Service:
    service = Service("billing", version="1.4.2")

    @service.action
    async def bill(cents: int) -> dict[str, str]:
        """Write a bill."""
        return {"text": f"{cents / 100:.2f} EUR"}

    return service


async def weft(address: str, *words: str) -> Done:
    """Run the command as a process."""
    return await commands.weft(*words, WEFT_TARGET=address)


async def here(address: str, *words: str) -> Done:
    """Run the command within this process."""
    return await commands.weft_here(*words, WEFT_TARGET=address)


async def test_registered_by_its_address_it_runs_in_a_workflow(address: str, tmp_path: Path) -> None:
    """Beside an action of the SDK, whose version the step names."""
    pipeline = tmp_path / "invoice.yaml"
    pipeline.write_text(WORKFLOW)
    async with (
        carts_server() as port,
        billing().hosted(server=address, ttl=timedelta(minutes=5), drain=timedelta(0)) as host,
    ):
        await host.registered.wait()
        made = await weft(address, "services", "register", "carts", "--endpoint", f"grpc://127.0.0.1:{port}")
        assert (made.code, made.out) == (0, "carts registered (3 actions, revision 1)\n")
        shown = await here(address, "services", "get", "carts")
        assert "AddUp" in shown.out
        applied = await here(address, "workflows", "apply", str(pipeline))
        assert applied.code == 0, applied.err
        ran = await weft(address, "run", "invoice", "--input", '{"customer": "ada"}', "--output", "json")
        assert ran.json["result"] == {"text": "10.00 EUR"}
        refused = await here(
            address, "call", "billing", "bill", "--input", '{"cents": 1}', "--service-version", "^2"
        )
    assert refused.code != 0
    assert "1.4.2" in refused.err


async def test_registered_by_its_descriptors(address: str, tmp_path: Path) -> None:
    """Where reflection is off, and only one of its services is wanted."""
    descriptors = tmp_path / "carts.binpb"
    descriptors.write_bytes(compiled()[2])
    async with carts_server(reflect=False) as port:
        endpoint = f"grpc://127.0.0.1:{port}"
        refused = await here(address, "services", "register", "carts", "--endpoint", endpoint)
        assert refused.code != 0
        assert "reflection" in refused.err
        made = await weft(
            address,
            *("services", "register", "carts", "--endpoint", endpoint, "--version", "2.1.0"),
            *("--descriptor-set", str(descriptors), "--grpc-service", "e2eshop.v1.Carts", "--output", "json"),
        )
        (service,) = made.json["items"]
        assert [action["name"] for action in service["actions"]] == ["GetCart", "ListItems", "AddUp"]
        assert service["version"] == "2.1.0"
        called = await here(address, "call", "carts", "GetCart", "--input", '{"customer": "ada"}')
        assert called.json["customer"] == "ada"
