"""A server that ends a stream of requests before it has them all is heard: its own status arrives."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.support.behaviours import Behaviours, path, serve
from weft.core.errors import PreconditionError
from weft.discovery.model import Endpoint
from weft.discovery.static import StaticResolver
from weft.mesh import request_streams
from weft.mesh.dynamic.reflection import read_descriptors
from weft.mesh.mesh import Mesh, OneResolver
from weft.mesh.request_streams import keep_status

pytestmark = pytest.mark.integration

CALLS = 40
REQUESTS = [b"fail:FAILED_PRECONDITION:enough", *[b"echo"] * 200]


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server, port = await serve(Behaviours())
    yield port
    await server.stop(None)


@pytest.fixture
async def mesh(port: int) -> AsyncIterator[Mesh]:
    resolver = StaticResolver()
    resolver.set("early", [Endpoint(host="127.0.0.1", port=port, instance_id="i")])
    mesh = Mesh(OneResolver(resolver))
    yield mesh
    await mesh.close()


async def ending(call: Any) -> tuple[grpc.StatusCode, str]:
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize(("shape", "method"), [("stream_unary", "Join"), ("stream_stream", "Chat")])
async def test_the_status_of_the_server_arrives(mesh: Mesh, shape: str, method: str) -> None:
    """Whoever sends more requests than a server wants learns why, every time, through the mesh."""
    async with mesh.channel("early") as channel:
        call = getattr(channel, shape)(path(method))
        seen = Counter([await ending(call(iter(REQUESTS), timeout=5)) for _ in range(CALLS)])
    assert seen == {(grpc.StatusCode.FAILED_PRECONDITION, "enough"): CALLS}


async def test_reflection_that_is_off_is_told_from_a_fault(mesh: Mesh) -> None:
    """A server that does not serve reflection is said to do just that, every time."""
    async with mesh.channel("early") as channel:
        for _ in range(CALLS):
            with pytest.raises(PreconditionError, match="does not serve reflection"):
                await read_descriptors(channel)


async def test_a_call_that_never_ends_by_itself_is_ended(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no status follows on the fault, as when gRPC refuses a request at once, the fault ends it."""
    monkeypatch.setattr(request_streams, "_PATIENCE", 0.01)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = keep_status(channel.stream_unary(path("Join"))(timeout=5))
        await call.write(b"echo")
        call._cython_call.set_internal_error("no such batch")
        assert await call.code() is grpc.StatusCode.INTERNAL
