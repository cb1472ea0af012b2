"""Collects the metrics of a process, and sends them away."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)

from weft.mesh.tracing.export import quietly
from weft.mesh.tracing.metric_settings import MetricsSettings
from weft.mesh.tracing.settings import ExporterKind, OtlpProtocol
from weft.mesh.tracing.setup import grpc_options, http_options, resource_of

__all__ = ["make_meter_provider"]

_log = logging.getLogger("weft.metrics")

_QUIET: Final = 60.0
"""Seconds between log lines about metrics that were not delivered."""


def make_meter_provider(settings: MetricsSettings, resource: Mapping[str, str]) -> MeterProvider:
    """Return a provider as the settings say; it sends in a thread of its own.

    Args:
        settings: How it exports.
        resource: What is said of the process; the settings' own come before it.

    Raises:
        TracingSettingsError: A file that the settings name cannot be read.
    """
    reader = PeriodicExportingMetricReader(
        _Quiet(_exporter(settings)),
        export_interval_millis=settings.interval.total_seconds() * 1_000,
        export_timeout_millis=settings.timeout.total_seconds() * 1_000,
    )
    return MeterProvider(
        metric_readers=[reader], resource=resource_of(settings, resource), shutdown_on_exit=False
    )


class _Quiet(MetricExporter):
    """An exporter whose failures are one log line a minute.

    Args:
        exporter: Delivers.
    """

    def __init__(self, exporter: MetricExporter) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)  # noqa: SLF001 - as readers do
        self._exporter = exporter
        self._quiet_until = 0.0
        self._closing = False

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Deliver, and say when that fails."""
        with quietly() as said:
            try:
                result = self._exporter.export(metrics_data, timeout_millis=timeout_millis, **kwargs)
            except Exception as error:  # whatever an exporter raises must not fill the log
                said.text, result = str(error), MetricExportResult.FAILURE
        if result is not MetricExportResult.SUCCESS:
            self._complain(said.text)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Deliver what waits."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """End it."""
        self._closing = True
        self._exporter.shutdown(timeout_millis, **kwargs)

    def _complain(self, why: str) -> None:
        now = time.monotonic()
        if now >= self._quiet_until and not self._closing:
            self._quiet_until = now + _QUIET
            _log.warning("metrics cannot be exported: %s (said once a minute)", why or "no reason given")


def _exporter(settings: MetricsSettings) -> MetricExporter:
    if settings.exporter is ExporterKind.CONSOLE:
        return ConsoleMetricExporter(out=sys.stdout)
    if settings.protocol is OtlpProtocol.HTTP:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415 - only who exports pays
            OTLPMetricExporter as OverHttp,
        )

        return OverHttp(**http_options(settings))
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415 - only who exports pays
        OTLPMetricExporter as OverGrpc,
    )

    return OverGrpc(**grpc_options(settings))
