"""What grpc.aio says of callers that are gone before their answer, and what of it is shown."""

from __future__ import annotations

import io
import logging
from importlib import import_module
from typing import Any, Final

import grpc
import grpc.aio
import pytest

from weft.mesh.departures import Departures

pytestmark = pytest.mark.integration

_GONE: Final = vars(import_module("grpc._cython.cygrpc"))["ExecuteBatchError"]("Failed to send")
"""Raised beneath handlers, when a caller leaves within a few microseconds; here it is raised by hand."""


async def logged(raised: Exception) -> str:
    """Return what is shown when a handler ends with an exception."""

    async def handle(_: bytes, __: Any) -> bytes:
        raise raised

    handler = logging.StreamHandler(shown := io.StringIO())
    handler.addFilter(Departures())
    logging.getLogger().addHandler(handler)
    server = grpc.aio.server()
    methods: dict[str, Any] = {"Fail": grpc.unary_unary_rpc_method_handler(handle)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Fail", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: Any = channel.unary_unary("/test.Fail/Fail")
            with pytest.raises(grpc.aio.AioRpcError):
                await call(b"", timeout=2)
    finally:
        await server.stop(0)
        logging.getLogger().removeHandler(handler)
    return shown.getvalue()


async def test_a_caller_that_is_gone_is_no_error() -> None:
    """Nothing is shown of it, as nothing is wrong; what a handler does wrong is shown as ever."""
    assert await logged(_GONE) == ""
    assert "ZeroDivisionError: a defect" in await logged(ZeroDivisionError("a defect"))
