"""Sets the export of metrics up for a process, by the same rules as that of traces."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from opentelemetry import metrics
from opentelemetry.metrics._internal import _ProxyMeterProvider  # no public name says "none was set"
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)

from weft.mesh.tracing.export import quietly
from weft.mesh.tracing.settings import ExporterKind, ExportSettings, OtlpProtocol, SettingsReader
from weft.mesh.tracing.setup import STOP_BOUND, grpc_options, http_options, resource_of

__all__ = ["MetricsRun", "MetricsSettings", "configure_metrics", "make_meter_provider"]

_log = logging.getLogger("weft.metrics")

_QUIET: Final = 60.0
"""Seconds between log lines about metrics that were not delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings(ExportSettings):
    """How a process exports metrics."""

    interval: timedelta = timedelta(seconds=60)
    """How often they are collected and sent."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> MetricsSettings:
        """Read the standard variables of OpenTelemetry; what holds for traces holds here.

        Raises:
            TracingSettingsError: Naming every variable that is wrong, and what it may be.
        """
        read = SettingsReader(environ, "metrics")
        interval = read.whole(("OTEL_METRIC_EXPORT_INTERVAL",), 60_000, 100, 86_400_000, "milliseconds")
        found = cls(**read.export(), interval=timedelta(milliseconds=interval))
        read.raise_any()
        return found


class MetricsRun:
    """The export of metrics of this process, from its start to its stop.

    Args:
        provider: What collects; None when nothing is exported by us.
    """

    def __init__(self, provider: MeterProvider | None) -> None:
        self._provider = provider

    def close(self, bound: timedelta = STOP_BOUND) -> None:
        """Send what there is, within a bound; blocks, so do it after the loop or in a thread."""
        if self._provider is None:
            return
        provider, self._provider = self._provider, None
        seconds = bound.total_seconds()
        # In a thread of its own: an exporter that hangs in a request may hang here as well.
        closing = threading.Thread(
            target=lambda: provider.shutdown(timeout_millis=seconds * 1_000),
            name="weft-metrics-close",
            daemon=True,
        )
        closing.start()
        closing.join(seconds)


def configure_metrics(
    environ: Mapping[str, str], service_name: str, *, service_version: str = "", instance_id: str = ""
) -> MetricsRun:
    """Read the ``OTEL_*`` settings, and export the metrics of this process if they say so.

    A provider that the program has set itself stays: our metrics go there.

    Args:
        environ: Such as ``os.environ``.
        service_name: What the process is called when the settings do not say.
        service_version: Version of the software.
        instance_id: Which of its instances this is.

    Raises:
        TracingSettingsError: Naming every setting that is wrong.
    """
    settings = MetricsSettings.from_environment(environ)
    taken = not isinstance(metrics.get_meter_provider(), _ProxyMeterProvider)
    if settings.exporter is ExporterKind.NONE or taken:
        return MetricsRun(None)
    known = {
        "service.name": service_name,
        "service.version": service_version,
        "service.instance.id": instance_id,
    }
    provider = make_meter_provider(settings, known)
    metrics.set_meter_provider(provider)
    return MetricsRun(provider)


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
