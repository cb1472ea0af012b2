"""Export of metrics to real collectors: one that works, one that is down, one that hangs."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc

from tests.integration.engine.processes import server_in, until
from tests.integration.tracing.collectors import over_grpc, over_http
from weft.client import connect
from weft.mesh.tracing.metric_export import make_meter_provider
from weft.mesh.tracing.metric_settings import MetricsSettings
from weft.mesh.tracing.metrics import MetricsRun
from weft.mesh.tracing.settings import ExporterKind, OtlpProtocol, TracingSettingsError

pytestmark = pytest.mark.integration


class Collector(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self) -> None:
        self.requests: list[metrics_service_pb2.ExportMetricsServiceRequest] = []
        self.address = ""

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - named as its RPC
        self.requests.append(request)
        return metrics_service_pb2.ExportMetricsServiceResponse()

    def take(self, body: bytes, metadata: Mapping[str, str]) -> None:  # noqa: ARG002 - a collector's
        self.requests.append(metrics_service_pb2.ExportMetricsServiceRequest.FromString(body))

    def names(self) -> set[str]:
        return {
            metric.name
            for request in self.requests
            for of_resource in request.resource_metrics
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
        }

    def services(self) -> set[str]:
        """Return which services its gauges are about."""
        return {
            attribute.value.string_value
            for request in self.requests
            for of_scope in request.resource_metrics[0].scope_metrics
            for metric in of_scope.metrics
            for point in metric.gauge.data_points
            for attribute in point.attributes
            if attribute.key == "weft.service"
        }


def collecting(protocol: OtlpProtocol = OtlpProtocol.GRPC) -> AbstractAsyncContextManager[Collector]:
    if protocol is OtlpProtocol.GRPC:
        return over_grpc(Collector(), metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server)
    return over_http(Collector(), "/v1/metrics")


def settings(endpoint: str, **changes: Any) -> MetricsSettings:
    short = {"timeout": timedelta(seconds=1), "interval": timedelta(seconds=30)}
    return MetricsSettings(**{"exporter": ExporterKind.OTLP, "endpoint": endpoint, **short, **changes})


@pytest.mark.parametrize("protocol", list(OtlpProtocol))
async def test_metrics_arrive(protocol: OtlpProtocol) -> None:
    """With the resource, over either protocol; the stop sends what there is."""
    async with collecting(protocol) as collector:
        provider = make_meter_provider(
            settings(collector.address, protocol=protocol), {"service.name": "shop"}
        )
        provider.get_meter("test").create_counter("sold").add(3)
        await asyncio.to_thread(MetricsRun(provider).close, timedelta(seconds=5))
        assert collector.names() >= {"sold"}
        resource = collector.requests[0].resource_metrics[0].resource
        told = {it.key: it.value.string_value for it in resource.attributes}
        assert told["service.name"] == "shop"


async def test_a_collector_that_is_down_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """However often it is tried."""
    provider = make_meter_provider(
        settings("http://127.0.0.1:9/v1/metrics", protocol=OtlpProtocol.HTTP, timeout=timedelta(seconds=0.1)),
        {},
    )
    provider.get_meter("test").create_counter("sold").add(3)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await asyncio.to_thread(provider.force_flush, 2_000)
    assert [record.name for record in caplog.records] == ["weft.metrics"]
    assert "metrics cannot be exported" in caplog.text
    await asyncio.to_thread(MetricsRun(provider).close, timedelta(seconds=1))


async def test_a_collector_that_hangs_does_not_hold_up_the_stop() -> None:
    """What could not be sent within the bound is lost."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        provider = make_meter_provider(settings(endpoint), {})
        provider.get_meter("test").create_counter("sold").add(3)
        started = time.monotonic()
        await asyncio.to_thread(MetricsRun(provider).close, timedelta(seconds=0.3))
        assert time.monotonic() - started < 1


def test_the_settings_are_those_of_opentelemetry() -> None:
    """The variables of metrics win over those of everything; nothing set means nothing is sent."""
    assert MetricsSettings.from_environment({}) == MetricsSettings()
    found = MetricsSettings.from_environment(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf",
            "OTEL_METRIC_EXPORT_INTERVAL": "5000",
            "OTEL_TRACES_EXPORTER": "none",
        }
    )
    assert (found.exporter, found.endpoint) == (ExporterKind.OTLP, "http://collector:4318/v1/metrics")
    assert (found.protocol, found.interval) == (OtlpProtocol.HTTP, timedelta(seconds=5))
    off = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_METRICS_EXPORTER": "none"}
    assert MetricsSettings.from_environment(off).exporter is ExporterKind.NONE
    with pytest.raises(TracingSettingsError) as refused:
        MetricsSettings.from_environment(
            {"OTEL_METRICS_EXPORTER": "paper", "OTEL_METRIC_EXPORT_INTERVAL": "0"}
        )
    assert len(refused.value.faults) == 2


async def test_a_server_sends_what_its_mesh_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it runs, and once more when it stops; the same stands in its health."""
    async with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", collector.address)
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "200")
        with server_in(tmp_path) as server:
            await server.up()
            async with connect(server.address) as weft:
                await weft.registry.register(
                    "carts", endpoint="http://127.0.0.1:9", actions=[{"name": "get"}]
                )
                with pytest.raises(Exception, match="no connection"):
                    await weft.executions.call("carts", "get", {}, timeout=timedelta(seconds=0.5))
                await until(lambda: "carts" in collector.services())
                health = await weft.registry.integration_health()
            (route,) = health.server["mesh"]["routes"]
            assert (route["target"], route["policy"]) == ("weft://carts", "least_request")
            assert await server.stop() == 0
        assert collector.names() >= {
            "weft.discovery.endpoints",
            "weft.discovery.stale",
            "weft.mesh.ejected",
            "weft.mesh.in_flight",
        }
        json.dumps(health.to_dict())
