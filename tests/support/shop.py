"""An ordinary gRPC server in Python: protoc's stubs, a servicer, reflection. It has never heard of Weft."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from grpc_reflection.v1alpha import reflection

CARTS = """
syntax = "proto3";
package e2eshop.v1;

message Item { string sku = 1; int64 price_cents = 2; int32 count = 3; }
message GetCartRequest { string customer = 1; }
message Cart { string customer = 1; repeated Item items = 2; }
message Total { int64 cents = 1; int32 items = 2; }

service Carts {
  rpc GetCart(GetCartRequest) returns (Cart);
  rpc ListItems(GetCartRequest) returns (stream Item);
  rpc AddUp(stream Item) returns (Total);
}

service Admin {
  rpc Forget(GetCartRequest) returns (Cart);
}
"""

ITEMS = (("pen", 150, 2), ("ink", 700, 1))


@cache
def compiled() -> tuple[Any, Any, bytes]:
    """Run protoc as everybody does; return messages, stubs, and the FileDescriptorSet."""
    protoc: Any = import_module("grpc_tools.protoc")  # has no types
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "e2eshop_carts.proto").write_text(CARTS)
        google = str(resources.files("grpc_tools") / "_proto")
        words = ["protoc", f"-I{folder}", f"-I{google}", f"--python_out={folder}"]
        words += [f"--grpc_python_out={folder}", "--include_imports"]
        words += [f"--descriptor_set_out={folder}/carts.binpb", "e2eshop_carts.proto"]
        assert protoc.main(words) == 0
        sys.path.insert(0, folder)
        try:
            stubs = import_module("e2eshop_carts_pb2_grpc")
            return import_module("e2eshop_carts_pb2"), stubs, Path(folder, "carts.binpb").read_bytes()
        finally:
            sys.path.remove(folder)


def carts_servicer() -> Any:
    messages, stubs, _ = compiled()

    base: Any = stubs.CartsServicer

    class Carts(base):  # type: ignore[misc] # made at run time
        async def GetCart(self, request: Any, context: Any) -> Any:  # noqa: N802 - the RPC's name
            if request.customer == "nobody":
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such customer")
            items = [messages.Item(sku=sku, price_cents=price, count=n) for sku, price, n in ITEMS]
            return messages.Cart(customer=request.customer, items=items)

        async def ListItems(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802, ARG002 - the RPC's
            for sku, price, count in ITEMS:
                yield messages.Item(sku=f"{request.customer}/{sku}", price_cents=price, count=count)

        async def AddUp(self, requests: AsyncIterator[Any], context: Any) -> Any:  # noqa: N802, ARG002 - the RPC's
            total = messages.Total()
            async for item in requests:
                total.cents += item.price_cents * item.count
                total.items += item.count
            return total

    return Carts()


@asynccontextmanager
async def carts_server(*, reflect: bool = True) -> AsyncIterator[int]:
    """Serve the carts, with reflection or without; yields the port."""
    messages, stubs, _ = compiled()
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    stubs.add_CartsServicer_to_server(carts_servicer(), server)
    if reflect:
        names = [service.full_name for service in messages.DESCRIPTOR.services_by_name.values()]
        reflection.enable_server_reflection((names[0], reflection.SERVICE_NAME), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)
