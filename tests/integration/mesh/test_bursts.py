"""Many calls at once over one connection."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest

from weft.mesh.rpc import CHANNEL_OPTIONS, SERVER_OPTIONS

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("at_once", [150, 500])
async def test_an_honest_burst_is_served(at_once: int) -> None:
    """A client that starts hundreds of calls at once, again and again, sees none of them refused."""

    async def echo(request: bytes, context: object) -> bytes:
        await asyncio.sleep(0.005)
        return request

    server = grpc.aio.server(options=SERVER_OPTIONS)
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo)
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Burst", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Burst/Echo")
            for _ in range(3):
                answers = await asyncio.gather(*(call(b"x") for _ in range(at_once)))
                assert answers == [b"x"] * at_once
    finally:
        await server.stop(None)
