"""Sets tracing up for a process; only composition roots call this, never a library."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Final, TextIO

import grpc
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import ProxyTracerProvider

from weft.mesh.tracing.export import SpanQueue
from weft.mesh.tracing.settings import (
    ExporterKind,
    ExportSettings,
    OtlpProtocol,
    SamplerKind,
    TracingSettings,
    TracingSettingsError,
)

__all__ = [
    "STOP_BOUND",
    "TracingRun",
    "configure_tracing",
    "grpc_options",
    "http_options",
    "make_provider",
    "resource_of",
]

STOP_BOUND: Final = timedelta(seconds=2)
"""How long the last spans may take to leave when a process stops."""


class TracingRun:
    """Tracing of this process, from its start to its stop.

    Args:
        queue: Where spans wait; None when nothing is exported by us.
    """

    def __init__(self, queue: SpanQueue | None) -> None:
        self._queue = queue

    @property
    def dropped(self) -> int:
        """How many spans found the queue full."""
        return self._queue.dropped if self._queue is not None else 0

    def close(self, bound: timedelta = STOP_BOUND) -> None:
        """Send what waits, within a bound; blocks, so do it after the loop or in a thread."""
        if self._queue is not None:
            self._queue.close(bound)


def configure_tracing(
    environ: Mapping[str, str],
    service_name: str,
    *,
    service_version: str = "",
    instance_id: str = "",
    console: TextIO | None = None,
) -> TracingRun:
    """Read the ``OTEL_*`` settings, and export the spans of this process if they say so.

    A provider that the program has set itself stays: our spans go there.

    Args:
        environ: Such as ``os.environ``.
        service_name: What the process is called when the settings do not say.
        service_version: Version of the software.
        instance_id: Which of its instances this is.
        console: Where ``OTEL_TRACES_EXPORTER=console`` writes; stdout by default.

    Raises:
        TracingSettingsError: Naming every setting that is wrong.
    """
    settings = TracingSettings.from_environment(environ)
    taken = not isinstance(trace.get_tracer_provider(), ProxyTracerProvider)
    if settings.exporter is ExporterKind.NONE or taken:
        return TracingRun(None)
    known = {
        "service.name": service_name,
        "service.version": service_version,
        "service.instance.id": instance_id,
    }
    provider, queue = make_provider(settings, known, console)
    trace.set_tracer_provider(provider)
    return TracingRun(queue)


def make_provider(
    settings: TracingSettings, resource: Mapping[str, str], console: TextIO | None = None
) -> tuple[TracerProvider, SpanQueue]:
    """Return a provider as the settings say, and the queue in which its spans wait.

    Args:
        settings: How it exports.
        resource: What is said of the process; the settings' own come before it.
        console: Where spans for the console go; stdout by default.

    Raises:
        TracingSettingsError: A file that the settings name cannot be read.
    """
    queue = SpanQueue(_exporter(settings, console or sys.stdout), settings.queue)
    try:
        provider = TracerProvider(
            sampler=_sampler(settings), resource=resource_of(settings, resource), shutdown_on_exit=False
        )
    except ValueError as error:  # the SDK reads its limits (OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT, …) itself
        queue.close(timedelta())
        raise TracingSettingsError(str(error)) from None
    provider.add_span_processor(queue)
    return provider, queue


def resource_of(settings: ExportSettings, resource: Mapping[str, str]) -> Resource:
    """Return what is said of the process.

    Args:
        settings: Theirs comes first.
        resource: What the process says itself; what is empty is left out.
    """
    attributes = {
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": version("opentelemetry-sdk"),
        **{key: value for key, value in resource.items() if value},
        **settings.resource,
    }
    if settings.service_name:
        attributes["service.name"] = settings.service_name
    return Resource(attributes)


def grpc_options(settings: ExportSettings) -> dict[str, Any]:
    """Return how an exporter of OTLP over gRPC is made.

    Raises:
        TracingSettingsError: The file of the certificates cannot be read.
    """
    packed = settings.compression == "gzip"
    plain = settings.endpoint.startswith("http://") if settings.insecure is None else settings.insecure
    roots = _certificate(settings)
    return {
        "endpoint": settings.endpoint,
        "insecure": plain,
        "credentials": None if plain else grpc.ssl_channel_credentials(roots),
        "headers": tuple((key.lower(), value) for key, value in settings.headers.items()),
        "timeout": settings.timeout.total_seconds(),
        "compression": grpc.Compression.Gzip if packed else grpc.Compression.NoCompression,
    }


def http_options(settings: ExportSettings) -> dict[str, Any]:
    """Return how an exporter of OTLP over HTTP is made.

    Raises:
        TracingSettingsError: The file of the certificates cannot be read.
    """
    _certificate(settings)
    from opentelemetry.exporter.otlp.proto.http import (  # noqa: PLC0415 - only who exports pays
        Compression,
    )

    return {
        "endpoint": settings.endpoint,
        "certificate_file": settings.certificate or None,
        "headers": dict(settings.headers),
        "timeout": settings.timeout.total_seconds(),
        "compression": Compression.Gzip if settings.compression == "gzip" else Compression.NoCompression,
    }


def _sampler(settings: TracingSettings) -> Sampler:
    ratio = TraceIdRatioBased(settings.ratio)
    samplers: dict[SamplerKind, Sampler] = {
        SamplerKind.ALWAYS_ON: ALWAYS_ON,
        SamplerKind.ALWAYS_OFF: ALWAYS_OFF,
        SamplerKind.RATIO: ratio,
        SamplerKind.PARENT_ON: ParentBased(ALWAYS_ON),
        SamplerKind.PARENT_OFF: ParentBased(ALWAYS_OFF),
        SamplerKind.PARENT_RATIO: ParentBased(ratio),
    }
    return samplers[settings.sampler]


def _exporter(settings: TracingSettings, console: TextIO) -> SpanExporter:
    if settings.exporter is ExporterKind.CONSOLE:
        return ConsoleSpanExporter(out=console)
    if settings.protocol is OtlpProtocol.HTTP:
        return _http_exporter(settings)
    return _grpc_exporter(settings)


def _grpc_exporter(settings: TracingSettings) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - only who exports pays
        OTLPSpanExporter,
    )

    return OTLPSpanExporter(**grpc_options(settings))


def _http_exporter(settings: TracingSettings) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - only who exports pays
        OTLPSpanExporter,
    )

    return OTLPSpanExporter(**http_options(settings))


def _certificate(settings: ExportSettings) -> bytes | None:
    if not settings.certificate:
        return None
    try:
        with open(settings.certificate, "rb") as file:  # noqa: PTH123 - the path is the user's, as it is
            return file.read()
    except OSError as error:
        raise TracingSettingsError(f"OTEL_EXPORTER_OTLP_CERTIFICATE: {error}") from None
