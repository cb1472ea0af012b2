"""Ids of traces and requests: answered to the caller, and in every log line."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import grpc.aio
import pytest

from tests.support.spans import global_spans
from tests.support.wire import payload
from tests.support.world import hosted, serving, text_service
from weft.api.execution.v1 import execution_service_pb2
from weft.api.registry.v1 import registry_service_pb2
from weft.server.logs import configure_logging
from weft.service import Service
from weft.service._logging import log_to_stderr

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"


async def answered(call: Any) -> dict[str, Any]:
    with contextlib.suppress(grpc.aio.AioRpcError):
        await call
    return dict(await call.trailing_metadata())


async def test_ids_come_back() -> None:
    """Those that were sent, or those that were made; of a success, of a failure, and of a stream."""
    async with serving() as wire:
        info = registry_service_pb2.ListServicesRequest()
        sent = (("x-request-id", "req-7"), ("x-trace-id", TRACE))
        back = await answered(wire.registry.ListServices(info, metadata=sent))
        assert (back["x-request-id"], back["x-trace-id"]) == ("req-7", TRACE)

        made = await answered(wire.registry.ListServices(info))
        assert made["x-request-id"].startswith("req_")
        assert len(made["x-trace-id"]) == 32
        assert made["x-trace-id"] not in {TRACE, "0" * 32}

        missing = registry_service_pb2.GetServiceRequest(service="nobody")
        failed = await answered(wire.registry.GetService(missing, metadata=(("traceparent", SAMPLED),)))
        assert failed["x-trace-id"] == TRACE
        assert failed["grpc-status-details-bin"]

        watched = wire.executions.WatchExecution(
            execution_service_pb2.WatchExecutionRequest(execution_id="nobody"), metadata=sent
        )
        with pytest.raises(grpc.aio.AioRpcError):
            await watched.read()
        assert dict(await watched.trailing_metadata())["x-trace-id"] == TRACE


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was before."""
    found, ours = logging.getLogger(), logging.getLogger("weft")
    handlers, level, level_of_ours = found.handlers[:], found.level, ours.level
    yield found
    found.handlers[:] = handlers
    found.setLevel(level)
    ours.setLevel(level_of_ours)


def redirected(root: logging.Logger) -> io.StringIO:
    stream = io.StringIO()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    return stream


async def test_log_lines_of_the_server_carry_them(root: logging.Logger) -> None:
    """Also those of the engine, which works when the caller is long gone."""
    configure_logging("debug", "json")
    stream = redirected(root)
    failing = Service("failing")

    @failing.action
    async def fail() -> None:
        raise ValueError("broken")

    with global_spans():
        async with serving() as wire, hosted(wire, failing):
            request = execution_service_pb2.ExecuteServiceActionRequest(
                service="failing", action="fail", input=payload({})
            )
            sent = (("traceparent", SAMPLED), ("x-request-id", "req-7"))
            await answered(wire.executions.ExecuteServiceAction(request, metadata=sent))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    (line,) = [it for it in lines if it.get("method", "").endswith("/ExecuteServiceAction")]
    assert (line["trace_id"], line["request_id"]) == (TRACE, "req-7")
    assert len(line["span_id"]) == 16
    of_provider = [it for it in lines if it["logger"] == "weft.service.failing"]
    assert {it["trace_id"] for it in of_provider} == {TRACE}
    assert all(it["span_id"] != line["span_id"] for it in of_provider)


async def test_log_lines_of_a_provider_carry_them(root: logging.Logger) -> None:
    """In the plain form that ``Service.run`` sets up, also from a thread."""
    root.handlers[:] = []
    log_to_stderr()
    stream = redirected(root)
    service = text_service()

    @service.action
    def whisper(text: str) -> None:
        logging.getLogger("mine").info("quietly")

    async with serving() as wire, hosted(wire, service):
        request = execution_service_pb2.ExecuteServiceActionRequest(
            service="texts", action="whisper", input=payload({"text": "x"})
        )
        await wire.executions.ExecuteServiceAction(
            request, metadata=(("traceparent", SAMPLED), ("x-request-id", "req-7"))
        )
    (line,) = [line for line in stream.getvalue().splitlines() if "quietly" in line]
    assert f"trace_id={TRACE}" in line
    assert "span_id=" in line
    assert "request_id=req-7" in line
