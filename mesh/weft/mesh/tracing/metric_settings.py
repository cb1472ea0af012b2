"""How a process exports metrics: the standard variables of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from weft.mesh.tracing.settings import ExportSettings, SettingsReader

__all__ = ["MetricsSettings"]


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
