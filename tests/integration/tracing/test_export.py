"""Export to real collectors: one that works, one that is down, one that hangs."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tests.integration.tracing.collectors import over_grpc, over_http
from weft.mesh.tracing.export import QueueLimits, SpanQueue
from weft.mesh.tracing.settings import ExporterKind, OtlpProtocol, TracingSettings
from weft.mesh.tracing.setup import configure_tracing, make_provider

RESOURCE = {"service.name": "shop"}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.requests: list[trace_service_pb2.ExportTraceServiceRequest] = []
        self.metadata: dict[str, Any] = {}
        self.address = ""

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - named as its RPC
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata())
        return trace_service_pb2.ExportTraceServiceResponse()

    def take(self, body: bytes, metadata: Mapping[str, str]) -> None:
        self.metadata = dict(metadata)
        self.requests.append(trace_service_pb2.ExportTraceServiceRequest.FromString(body))

    def names(self) -> list[str]:
        return [
            span.name
            for request in self.requests
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    def resource(self) -> dict[str, str]:
        attributes = self.requests[0].resource_spans[0].resource.attributes
        return {attribute.key: attribute.value.string_value for attribute in attributes}


def collecting(protocol: OtlpProtocol = OtlpProtocol.GRPC) -> AbstractAsyncContextManager[Collector]:
    if protocol is OtlpProtocol.GRPC:
        return over_grpc(Collector(), trace_service_pb2_grpc.add_TraceServiceServicer_to_server)
    return over_http(Collector(), "/v1/traces")


def settings(endpoint: str, **changes: Any) -> TracingSettings:
    return TracingSettings(
        **{
            "exporter": ExporterKind.OTLP,
            "endpoint": endpoint,
            "headers": {"api-key": "k"},
            "timeout": timedelta(seconds=5),
            **changes,
        }
    )


def record(provider: TracerProvider, count: int) -> float:
    """Begin and end spans; return how long that took."""
    tracer = provider.get_tracer("test")
    started = time.monotonic()
    for number in range(count):
        tracer.start_span(f"span {number}").end()
    return time.monotonic() - started


@pytest.mark.parametrize("protocol", list(OtlpProtocol))
async def test_spans_arrive(protocol: OtlpProtocol) -> None:
    """In their order, with resource and headers, over either protocol; the stop sends what waits."""
    async with collecting(protocol) as collector:
        provider, queue = make_provider(settings(collector.address, protocol=protocol), RESOURCE)
        record(provider, 3)
        await asyncio.to_thread(queue.close, timedelta(seconds=5))
        assert collector.names() == ["span 0", "span 1", "span 2"]
        assert collector.resource()["service.name"] == "shop"
        assert collector.metadata["api-key"] == "k"
        assert (queue.sent, queue.dropped, queue.lost) == (3, 0, 0)


async def test_a_full_batch_leaves_at_once_and_a_flush_sends_the_rest() -> None:
    """Nobody waits for the delay."""
    async with collecting() as collector:
        limits = QueueLimits(size=100, batch=10, delay=timedelta(minutes=5))
        provider, queue = make_provider(settings(collector.address, queue=limits), RESOURCE)
        record(provider, 12)
        assert await asyncio.to_thread(provider.force_flush, 5_000)
        assert len(collector.names()) == 12
        await asyncio.to_thread(queue.close, timedelta(seconds=1))


@pytest.mark.parametrize("protocol", list(OtlpProtocol))
@pytest.mark.parametrize("how", ["down", "hangs"])
async def test_a_collector_that_fails_costs_nothing(
    how: str, protocol: OtlpProtocol, caplog: pytest.LogCaptureFixture
) -> None:
    """Spans are dropped and counted, calls do not wait, and neither does the stop."""
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        port = silent.getsockname()[1]
        if how == "down":
            silent.close()
        endpoint = f"http://127.0.0.1:{port}/v1/traces"
        limits = QueueLimits(size=50, batch=10, delay=timedelta(milliseconds=10))
        provider, queue = make_provider(
            settings(endpoint, protocol=protocol, timeout=timedelta(seconds=30), queue=limits), RESOURCE
        )
        assert record(provider, 2_000) < 2
        assert queue.dropped >= 1_900
        started = time.monotonic()
        await asyncio.to_thread(queue.close, timedelta(seconds=0.3))
        assert time.monotonic() - started < 1.5
    assert len([line for line in caplog.records if line.name == "weft.tracing"]) <= 2
    assert [line for line in caplog.records if line.name.startswith("opentelemetry")] == []
    assert "spans were not delivered" in caplog.text


class Broken(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002 - the exporter's own form
        raise OSError("no such collector")


def test_failures_are_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """However many batches fail, and whatever the exporter raises."""
    queue = SpanQueue(Broken(), QueueLimits(size=10, batch=1, delay=timedelta(milliseconds=1)))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    for _ in range(5):
        record(provider, 1)
        assert provider.force_flush(5_000)
    assert queue.lost == 5
    assert caplog.text.count("traces cannot be exported") == 1
    queue.close(timedelta(seconds=1))
    queue.on_end(ReadableSpan("late"))
    queue.close(timedelta(seconds=1))


def test_without_settings_nothing_is_set_up() -> None:
    """No provider, no thread; closing is fine."""
    run = configure_tracing({}, "shop")
    assert run.dropped == 0
    run.close()


PROGRAM = """
import os
from opentelemetry import trace
from weft.mesh.tracing.setup import configure_tracing
run = configure_tracing(os.environ, "shop", service_version="1.2", instance_id="shop-1")
trace.get_tracer("test").start_span("hello").end()
again = configure_tracing(os.environ, "other")
again.close()
run.close()
"""


def run_program(**environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_console_exporter_prints_what_ends() -> None:
    """With the resource of the process; a second set-up changes nothing."""
    ran = run_program(OTEL_TRACES_EXPORTER="console", OTEL_RESOURCE_ATTRIBUTES="team=a")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count('"name": "hello"') == 1
    for known in ('"service.name": "shop"', '"service.instance.id": "shop-1"', '"team": "a"'):
        assert known in ran.stdout


def test_a_server_with_wrong_settings_does_not_start() -> None:
    """Its exit code says that an option is wrong, its message which."""
    ran = subprocess.run(
        [sys.executable, "-m", "weft.cli", "server", "--listen", "127.0.0.1:0"],
        env={**os.environ, "OTEL_TRACES_EXPORTER": "jaeger", "OTEL_TRACES_SAMPLER": "some"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 2
    assert "OTEL_TRACES_EXPORTER='jaeger'" in ran.stderr
    assert "OTEL_TRACES_SAMPLER='some'" in ran.stderr


def test_wrong_limits_of_spans_stop_the_start() -> None:
    """Also those that the SDK reads itself."""
    ran = run_program(OTEL_TRACES_EXPORTER="console", OTEL_SPAN_EVENT_COUNT_LIMIT="many")
    assert "OTEL_SPAN_EVENT_COUNT_LIMIT" in ran.stderr
    assert "TracingSettingsError" in ran.stderr
