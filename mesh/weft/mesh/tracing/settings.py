"""The ``OTEL_*`` settings of tracing, read out of an environment and checked all at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum, unique
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from weft.mesh.tracing.export import QueueLimits

__all__ = [
    "ExportSettings",
    "ExporterKind",
    "OtlpProtocol",
    "SamplerKind",
    "SettingsReader",
    "TracingSettings",
    "TracingSettingsError",
]


_Choice = TypeVar("_Choice", bound=StrEnum)


class TracingSettingsError(ValueError):
    """Some of the settings are wrong; the message names each of them.

    Args:
        faults: What is wrong, each in one line.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


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


_DEFAULT_ENDPOINT: Final = "http://localhost:4317"
_DEFAULT_ENDPOINTS: Final = {
    OtlpProtocol.GRPC: _DEFAULT_ENDPOINT,
    OtlpProtocol.HTTP: "http://localhost:4318",
}
_HEADER: Final = re.compile(r"[0-9A-Za-z_.-]+", re.ASCII)
_SHORTEST_TIMEOUT: Final = 100
_LARGEST_QUEUE: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """Where one kind of telemetry goes, and how."""

    exporter: ExporterKind = ExporterKind.NONE
    """Where it goes; ``none`` still passes the contexts of traces on."""
    protocol: OtlpProtocol = OtlpProtocol.GRPC
    """How OTLP travels."""
    endpoint: str = _DEFAULT_ENDPOINT
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
    service_name: str = ""
    """``service.name`` of the resource; empty: whatever the process calls itself."""
    resource: Mapping[str, str] = field(default_factory=dict)
    """Further attributes of the resource."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings(ExportSettings):
    """How a process traces."""

    sampler: SamplerKind = SamplerKind.PARENT_ON
    """Which traces are recorded."""
    ratio: float = 1.0
    """Share of traces that a ratio sampler records."""
    queue: QueueLimits = field(default_factory=QueueLimits)
    """How many spans wait and travel together."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> TracingSettings:
        """Read the standard variables of OpenTelemetry.

        Nothing is exported unless ``OTEL_TRACES_EXPORTER`` or an OTLP endpoint is
        set: a default collector that is not there would only fill the log.

        Raises:
            TracingSettingsError: Naming every variable that is wrong, and what it may be.
        """
        read = SettingsReader(environ, "traces")
        found = cls(
            **read.export(),
            sampler=read.choice(("OTEL_TRACES_SAMPLER",), SamplerKind, SamplerKind.PARENT_ON),
            ratio=read.ratio(),
            queue=read.queue(),
        )
        read.raise_any()
        return found


class SettingsReader:
    """Reads variables, and collects what is wrong with them. An empty one counts as unset.

    Args:
        environ: Such as ``os.environ``.
        signal: ``traces`` or ``metrics``, which have variables of their own.
    """

    def __init__(self, environ: Mapping[str, str], signal: str) -> None:
        self._environ = environ
        self._signal = signal
        self._wrong: list[str] = []

    def raise_any(self) -> None:
        """Raise when something is wrong."""
        if self._wrong:
            raise TracingSettingsError(*self._wrong)

    def _found(self, names: tuple[str, ...]) -> tuple[str, str]:
        """Return the first variable that is set, with its value."""
        for name in names:
            value = self._environ.get(name, "").strip()
            if value:
                return name, value
        return names[0], ""

    def _fault(self, name: str, value: str, expected: str) -> None:
        shown = "" if "@" in value else f"={value!r}"  # there may be a password in it
        self._wrong.append(f"{name}{shown} is wrong: {expected}")

    def text(self, *names: str) -> str:
        """Return the first of these that is set."""
        return self._found(names)[1]

    def one_of(self, names: tuple[str, ...], allowed: tuple[str, ...]) -> str:
        """Return a value in lower case that must be one of these; the first of them is the default."""
        name, value = self._found(names)
        if value and value.lower() not in allowed:
            self._fault(name, value, f"it must be one of {', '.join(allowed)}")
        return value.lower() if value.lower() in allowed else allowed[0]

    def choice(self, names: tuple[str, ...], kind: type[_Choice], default: _Choice) -> _Choice:
        """Return a member of an enumeration."""
        chosen = self.one_of(names, (str(default), *(str(it) for it in kind if it != default)))
        return kind(chosen)

    def flag(self, names: tuple[str, ...]) -> bool | None:
        """Return true or false; None when nothing is set."""
        if not self._found(names)[1]:
            return None
        return self.one_of(names, ("true", "false")) == "true"

    def whole(self, names: tuple[str, ...], default: int, least: int, most: int, unit: str) -> int:
        """Return a whole number within bounds."""
        name, value = self._found(names)
        if not value:
            return default
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 12 else -1
        if not least <= number <= most:
            self._fault(name, value, f"it must be a whole number of {unit}, {least} to {most}")
            return default
        return number

    def ratio(self) -> float:
        """Return the share of a ratio sampler."""
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

    def export(self) -> dict[str, Any]:
        """Return the fields of ``ExportSettings``."""
        protocol = self.choice(self._names("PROTOCOL"), OtlpProtocol, OtlpProtocol.GRPC)
        own, shared = self._names("HEADERS")
        timeout = self.whole(self._names("TIMEOUT"), 10_000, _SHORTEST_TIMEOUT, 600_000, "milliseconds")
        return {
            "exporter": self._exporter(),
            "protocol": protocol,
            "endpoint": self._endpoint(protocol),
            "headers": {**self.headers(shared), **self.headers(own)},
            "timeout": timedelta(milliseconds=timeout),
            "insecure": self.flag(self._names("INSECURE")),
            "certificate": self.text(*self._names("CERTIFICATE")),
            "compression": self.one_of(self._names("COMPRESSION"), ("none", "gzip")),
            "service_name": self.text("OTEL_SERVICE_NAME"),
            "resource": self.pairs("OTEL_RESOURCE_ATTRIBUTES"),
        }

    def _names(self, setting: str) -> tuple[str, str]:
        """Return the variables of a setting of OTLP: that of the signal, and that of all of them."""
        return f"OTEL_EXPORTER_OTLP_{self._signal.upper()}_{setting}", f"OTEL_EXPORTER_OTLP_{setting}"

    def _exporter(self) -> ExporterKind:
        name = f"OTEL_{self._signal.upper()}_EXPORTER"
        chosen = self.choice((name,), ExporterKind, ExporterKind.NONE)
        if self.flag(("OTEL_SDK_DISABLED",)):
            return ExporterKind.NONE
        if self.text(*self._names("ENDPOINT")) and not self.text(name):
            return ExporterKind.OTLP
        return chosen

    def _endpoint(self, protocol: OtlpProtocol) -> str:
        own, shared = self._names("ENDPOINT")
        name, value = self._found((own, shared))
        path = f"/v1/{self._signal}" if protocol is OtlpProtocol.HTTP else ""
        if not value:
            return _DEFAULT_ENDPOINTS[protocol] + path
        if not _is_url(value):
            self._fault(name, value, "it must be a URL such as http://localhost:4317")
        return value.rstrip("/") + path if path and name == shared else value

    def pairs(self, name: str) -> dict[str, str]:
        """Return what is written as ``name=value,name=value``."""
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

    def headers(self, name: str) -> dict[str, str]:
        """Return pairs that can be sent as headers: with any other, no delivery would ever succeed."""
        found = self.pairs(name)
        for key, value in found.items():
            if not _HEADER.fullmatch(key) or not value.isascii() or not value.isprintable():
                self._wrong.append(f"{name} is wrong: {key[:40]!r} cannot be sent as a header")
        return found

    def queue(self) -> QueueLimits:
        """Return how many spans wait."""
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
