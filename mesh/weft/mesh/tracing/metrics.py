"""Sets the export of metrics up for a process, by the same rules as that of traces."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from opentelemetry import metrics
from opentelemetry.metrics._internal import _ProxyMeterProvider  # no public name says "none was set"

from weft.mesh.tracing.metric_settings import MetricsSettings
from weft.mesh.tracing.settings import ExporterKind
from weft.mesh.tracing.setup import STOP_BOUND

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider

__all__ = ["MetricsRun", "configure_metrics"]


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
    from weft.mesh.tracing.metric_export import make_meter_provider  # noqa: PLC0415 - only who exports pays

    provider = make_meter_provider(settings, known)
    metrics.set_meter_provider(provider)
    return MetricsRun(provider)
