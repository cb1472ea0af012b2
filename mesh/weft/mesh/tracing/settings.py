"""The ``OTEL_*`` settings of tracing, read out of an environment and checked all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum, unique
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

from weft.mesh.tracing.export import QueueLimits

__all__ = ["ExporterKind", "OtlpProtocol", "SamplerKind", "TracingSettings", "TracingSettingsError"]


_Choice = TypeVar("_Choice", bound=StrEnum)


class TracingSettingsError(ValueError):
    """Some of the settings are wrong; the message names each of them."""


@unique
class ExporterKind(StrEnum):
    """Where spans go."""

    NONE = "none"
    CONSOLE = "console"
    OTLP = "otlp"


@unique
class OtlpProtocol(StrEnum):
    """How OTLP travels."""

    GRPC = "grpc"
    HTTP = "http/protobuf"


@unique
class SamplerKind(StrEnum):
    """Which traces are recorded."""

    ALWAYS_ON = "always_on"
    ALWAYS_OFF = "always_off"
    RATIO = "traceidratio"
    PARENT_ON = "parentbased_always_on"
    PARENT_OFF = "parentbased_always_off"
    PARENT_RATIO = "parentbased_traceidratio"


_TRACES_PATH: Final = "/v1/traces"
_DEFAULT_ENDPOINTS: Final = {
    OtlpProtocol.GRPC: "http://localhost:4317",
    OtlpProtocol.HTTP: f"http://localhost:4318{_TRACES_PATH}",
}
_SHORTEST_TIMEOUT: Final = 100
_LARGEST_QUEUE: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """How a process traces."""

    exporter: ExporterKind = ExporterKind.NONE
    """Where spans go; ``none`` still passes contexts on."""
    protocol: OtlpProtocol = OtlpProtocol.GRPC
    """How OTLP travels."""
    endpoint: str = _DEFAULT_ENDPOINTS[OtlpProtocol.GRPC]
    """URL of the collector; for HTTP with its path."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent to the collector, such as a key."""
    timeout: timedelta = timedelta(seconds=10)
    """How long one delivery may take, with its repeats."""
    insecure: bool | None = None
    """Whether gRPC goes without TLS; None: as the scheme of the endpoint says."""
    certificate: str = ""
    """File with the certificates to trust; empty: those of the system."""
    compression: str = "none"
    """``none`` or ``gzip``."""
    sampler: SamplerKind = SamplerKind.PARENT_ON
    """Which traces are recorded."""
    ratio: float = 1.0
    """Share of traces that a ratio sampler records."""
    queue: QueueLimits = field(default_factory=QueueLimits)
    """How many spans wait and travel together."""
    service_name: str = ""
    """``service.name`` of the resource; empty: whatever the process calls itself."""
    resource: Mapping[str, str] = field(default_factory=dict)
    """Further attributes of the resource."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> TracingSettings:
        """Read the standard variables of OpenTelemetry.

        Nothing is exported unless ``OTEL_TRACES_EXPORTER`` or an OTLP endpoint is
        set: a default collector that is not there would only fill the log.

        Raises:
            TracingSettingsError: Naming every variable that is wrong, and what it may be.
        """
        read = _Reader(environ)
        protocol = read.choice(
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"),
            OtlpProtocol,
            OtlpProtocol.GRPC,
        )
        found = cls(
            exporter=read.exporter(),
            protocol=protocol,
            endpoint=read.endpoint(protocol),
            headers={
                **read.pairs("OTEL_EXPORTER_OTLP_HEADERS"),
                **read.pairs("OTEL_EXPORTER_OTLP_TRACES_HEADERS"),
            },
            timeout=timedelta(
                milliseconds=read.whole(
                    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"),
                    10_000,
                    _SHORTEST_TIMEOUT,
                    600_000,
                    "milliseconds",
                )
            ),
            insecure=read.flag(("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE")),
            certificate=read.text("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
            compression=read.one_of(
                ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"),
                ("none", "gzip"),
            ),
            sampler=read.choice(("OTEL_TRACES_SAMPLER",), SamplerKind, SamplerKind.PARENT_ON),
            ratio=read.ratio(),
            queue=read.queue(),
            service_name=read.text("OTEL_SERVICE_NAME"),
            resource=read.pairs("OTEL_RESOURCE_ATTRIBUTES"),
        )
        read.raise_any()
        return found


class _Reader:
    """Reads variables, and collects what is wrong with them. An empty one counts as unset."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._wrong: list[str] = []

    def raise_any(self) -> None:
        if self._wrong:
            raise TracingSettingsError("; ".join(self._wrong))

    def _found(self, names: tuple[str, ...]) -> tuple[str, str]:
        """Return the first variable that is set, with its value."""
        for name in names:
            value = self._environ.get(name, "").strip()
            if value:
                return name, value
        return names[0], ""

    def _fault(self, name: str, value: str, expected: str) -> None:
        self._wrong.append(f"{name}={value!r} is wrong: {expected}")

    def text(self, *names: str) -> str:
        return self._found(names)[1]

    def one_of(self, names: tuple[str, ...], allowed: tuple[str, ...]) -> str:
        name, value = self._found(names)
        if value and value.lower() not in allowed:
            self._fault(name, value, f"it must be one of {', '.join(allowed)}")
        return value.lower() if value.lower() in allowed else allowed[0]

    def choice(self, names: tuple[str, ...], kind: type[_Choice], default: _Choice) -> _Choice:
        chosen = self.one_of(names, (str(default), *(str(it) for it in kind if it != default)))
        return kind(chosen)

    def flag(self, names: tuple[str, ...]) -> bool | None:
        if not self._found(names)[1]:
            return None
        return self.one_of(names, ("true", "false")) == "true"

    def whole(self, names: tuple[str, ...], default: int, least: int, most: int, unit: str) -> int:
        name, value = self._found(names)
        if not value:
            return default
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 12 else -1
        if not least <= number <= most:
            self._fault(name, value, f"it must be a whole number of {unit}, {least} to {most}")
            return default
        return number

    def ratio(self) -> float:
        sampler = self.text("OTEL_TRACES_SAMPLER").lower()
        value = self.text("OTEL_TRACES_SAMPLER_ARG")
        if not value or not sampler.endswith("ratio"):
            return 1.0
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number <= 1:
            self._fault("OTEL_TRACES_SAMPLER_ARG", value, "it must be a number from 0 to 1")
            return 1.0
        return number

    def exporter(self) -> ExporterKind:
        chosen = self.choice(("OTEL_TRACES_EXPORTER",), ExporterKind, ExporterKind.NONE)
        if self.flag(("OTEL_SDK_DISABLED",)):
            return ExporterKind.NONE
        named = self.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
        if named and not self.text("OTEL_TRACES_EXPORTER"):
            return ExporterKind.OTLP
        return chosen

    def endpoint(self, protocol: OtlpProtocol) -> str:
        name, value = self._found(("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"))
        if not value:
            return _DEFAULT_ENDPOINTS[protocol]
        if not _is_url(value):
            self._fault(name, value, "it must be a URL such as http://localhost:4317")
        elif protocol is OtlpProtocol.HTTP and name == "OTEL_EXPORTER_OTLP_ENDPOINT":
            return value.rstrip("/") + _TRACES_PATH
        return value

    def pairs(self, name: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for part in self.text(name).split(","):
            key, equals, value = part.partition("=")
            if equals and key.strip():
                found[key.strip()] = unquote(value.strip())
            elif part.strip():
                # Not the value: headers hold keys to the collector.
                self._wrong.append(f"{name} is wrong: it must be name=value,name=value")
                break
        return found

    def queue(self) -> QueueLimits:
        defaults = QueueLimits()
        most = _LARGEST_QUEUE
        size = self.whole(("OTEL_BSP_MAX_QUEUE_SIZE",), defaults.size, 1, most, "spans")
        batch = self.whole(("OTEL_BSP_MAX_EXPORT_BATCH_SIZE",), min(defaults.batch, size), 1, most, "spans")
        delay = self.whole(("OTEL_BSP_SCHEDULE_DELAY",), 5_000, 1, 600_000, "milliseconds")
        if batch > size:
            text = self.text("OTEL_BSP_MAX_EXPORT_BATCH_SIZE")
            self._fault("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", text, f"it is more than the queue holds, {size}")
        return QueueLimits(size=size, batch=min(batch, size), delay=timedelta(milliseconds=delay))


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
