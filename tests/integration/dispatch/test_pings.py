"""Providers whose servers forbid to be pinged as often as the engine pings."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.actions import WAYS, Way, greeting, results, streaming_provider, unary
from weft.api.action.v1 import action_service_pb2 as pb
from weft.core.errors import ServiceUnavailableError

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("kind", WAYS)
async def test_a_server_that_forbids_pings_is_called_without(kind: str) -> None:
    """Such as any of gRPC's own that was not told otherwise: the next call may take as long as it likes."""

    async def slow(requests: Any, context: Any) -> None:
        await context.write(greeting())
        async for request in requests:
            await asyncio.sleep(4)
            await context.write(results(request))

    async def slow_unary(request: pb.InvokeActionRequest, context: Any) -> pb.InvokeActionResponse:
        await asyncio.sleep(4)
        return await unary(request, context)

    strict = (("grpc.http2.max_ping_strikes", 1),)
    often = (("grpc.keepalive_time_ms", 100),)
    async with (
        streaming_provider(slow, slow_unary, options=strict) as endpoint,
        Way(kind, options=often) as way,
    ):
        ends = await asyncio.gather(*(way.invoke(endpoint, "x") for _ in range(2)), return_exceptions=True)
        assert [type(end) for end in ends] == [ServiceUnavailableError] * 2
        assert await way.invoke(endpoint, "x") == {"by": kind}
