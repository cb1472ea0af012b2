"""A server of grpc.aio costs the same for a call however many methods it has."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
import pytest

from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.api.registry.v1 import registry_service_pb2_grpc
from weft.mesh.rpc import make_server

pytestmark = pytest.mark.integration


async def test_no_task_waits_for_each_method() -> None:
    """Generated handlers are found by name; what the server waits for does not grow with them."""
    before = len(asyncio.all_tasks())
    server = make_server(())
    nothing: Any = registry_service_pb2_grpc.RegistryServiceServicer  # abstract for type checkers only
    registry_service_pb2_grpc.add_RegistryServiceServicer_to_server(nothing(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = registry_service_pb2_grpc.RegistryServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError, match="Method not implemented!"):  # it was found
            await stub.GetService(pb.GetServiceRequest(service="texts"))
        methods = pb.DESCRIPTOR.services_by_name["RegistryService"].methods
        assert len(asyncio.all_tasks()) - before < 5 < len(methods)
    await server.stop(None)
