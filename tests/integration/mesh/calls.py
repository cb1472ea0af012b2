"""Calls of the fleet, and the ways in which they fail."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.mesh.conftest import Fleet
from tests.support.behaviours import path
from weft.core.errors import ServiceUnavailableError
from weft.core.metadata import STATUS_DETAILS
from weft.core.reasons import Reason
from weft.core.status import to_status
from weft.mesh.call_options import CallOptions
from weft.mesh.mesh import Mesh
from weft.mesh.policies.retry import RetryPolicy

__all__ = ["QUICK", "RETRY", "UNAVAILABLE", "all_connected", "draining", "failure", "unary"]

QUICK = RetryPolicy(max_retries=2, base_delay=timedelta(milliseconds=5))
RETRY = CallOptions(retry=QUICK, idempotent={path("Unary"), path("Many")})
UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "busy", ())
"""How a server fails a call that it may have begun."""


def unary(mesh: Mesh, options: CallOptions | None = None, target: str = "weft://fleet") -> Any:
    return mesh.channel(target, options=options).unary_unary(path("Unary"))


async def all_connected(fleet: Fleet, mesh: Mesh, call: Any) -> None:
    """Call until there is a connection to each instance."""
    ready = grpc.ChannelConnectivity.READY
    async with asyncio.timeout(5):
        while any(mesh.pool.state(fleet.endpoint(n)) is not ready for n in range(len(fleet.ports))):
            await call(b"x")


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def draining(retry_after: timedelta | None = None) -> tuple[grpc.StatusCode, str, tuple[Any, ...]]:
    """Return how a server that drains refuses a call."""
    error = ServiceUnavailableError("fleet", reason=Reason.SERVER_DRAINING, retry_after=retry_after)
    details = ((STATUS_DETAILS, to_status(error).SerializeToString()),)
    return grpc.StatusCode.UNAVAILABLE, "draining", details
