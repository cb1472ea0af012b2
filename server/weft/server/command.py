"""``weft server``: the command that joins the command line by an entry point."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import typer

from weft.core.errors import ValidationError
from weft.core.variables import misspelt
from weft.discovery.resolvers import SourcesConfig, sources_config
from weft.mesh.balancing import BalancerConfig
from weft.mesh.tracing.metric_settings import MetricsSettings
from weft.mesh.tracing.metrics import MetricsRun, configure_metrics
from weft.mesh.tracing.settings import TracingSettingsError
from weft.mesh.tracing.setup import TracingRun, configure_tracing
from weft.server.app import WeftServer
from weft.server.config import DEFAULT_LISTEN, DEFAULT_POLICY, ConfigError, ServerConfig
from weft.server.logs import configure_logging
from weft.server.options import (
    Advertise,
    Consul,
    DatabaseSchema,
    DatabaseUrl,
    DataDir,
    Drain,
    Environment,
    Format,
    Lease,
    Level,
    Listen,
    LogFormat,
    LogLevel,
    Policy,
    Retained,
    Zone,
)
from weft.server.retention import Retention
from weft.server.store.base import StoreInUseError, StoreUnavailableError
from weft.server.store.database import DatabaseConfig, DatabaseUrlError
from weft.server.which_store import chosen_url

__all__ = ["server"]

_CANNOT_START = 1
_WRONG_OPTION = 2
_SERVICE_NAME = "weft-server"
"""What traces call this process, unless ``OTEL_SERVICE_NAME`` says otherwise."""

_COLLECT_AFTER = (10_000, 20, 20)
"""Python's own are (700, 10, 10). A step makes some hundred objects and next to no cycles, so looking for
them that often is a twentieth of a busy server's work; a tenth of that is enough."""

_LEASE = timedelta(seconds=6)
"""Stands in for one that is wrong."""

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_log = logging.getLogger("weft.server")


def server(
    context: typer.Context,
    listen: Listen = DEFAULT_LISTEN,
    data_dir: DataDir = Path(".weft/data"),
    database_url: DatabaseUrl = "",
    database_schema: DatabaseSchema = "weft",
    lease: Lease = "6",
    drain: Drain = "10",
    advertise: Advertise = "",
    consul: Consul = "",
    environment: Environment = "",
    zone: Zone = "",
    policy: Policy = DEFAULT_POLICY,
    retention: Retained = "",
    log_level: Level = LogLevel.INFO.value,
    log_format: Format = LogFormat.AUTO.value,
) -> None:
    """Run the server: registry, workflows and engine, on one port.

    Ends on SIGTERM and SIGINT: it leaves Consul, health goes NOT_SERVING,
    running calls finish, executions stop at a durable point and go on at the
    next start. A second signal ends it at once: nothing is lost, but calls that
    run are cut off. The exit code is 2 when an option is wrong, 1 when it
    cannot start.

    Example: weft server --listen 127.0.0.1:7420 --data-dir ./data
    """
    settings = _Settings({**os.environ, "CONSUL_HTTP_ADDR": consul})
    level = settings.read(lambda _: _one_of("log level", log_level, LogLevel), LogLevel.INFO)
    form = settings.read(lambda _: _one_of("log format", log_format, LogFormat), LogFormat.AUTO)
    configure_logging(level, form)
    sources = settings.read(sources_config, SourcesConfig())
    balancer = settings.read(lambda _: BalancerConfig(policy=policy, zone=zone), BalancerConfig())
    kept = settings.read(lambda _: Retention.parse(retention), Retention())
    held = settings.read(lambda _: _seconds("lease", lease), _LEASE)
    database = settings.read(
        lambda _: _database(chosen_url(context, database_url), database_schema, held, listen), None
    )
    grace = settings.read(lambda _: _seconds("drain", drain), timedelta())
    config = settings.read(
        lambda _: ServerConfig(
            listen=listen,
            data_dir=data_dir,
            database=database,
            drain_grace=grace,
            sources=sources,
            balancer=balancer,
            advertise=advertise,
            environment=environment,
            zone=zone,
            retention=kept,
        ),
        ServerConfig(),
    )
    settings.read(MetricsSettings.from_environment, None)
    exports: list[TracingRun | MetricsRun] = settings.read(_configure_exports, [])
    if settings.faults:
        _close(exports)
        raise _refusal(settings.faults, _WRONG_OPTION)
    for text in misspelt(os.environ):
        _log.warning(text)
    try:
        _run(config)
    except (ConfigError, StoreInUseError, StoreUnavailableError) as error:
        raise _refusal([str(error)], _CANNOT_START) from None
    finally:
        _close(exports)


class _Settings:
    """Reads settings one after the other, and collects everything that is wrong with them.

    Args:
        environ: The environment, and what options say instead of it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.faults: list[str] = []

    def read(self, part: Callable[[Mapping[str, str]], T], default: T) -> T:
        """Read some of them; what is wrong leaves the default."""
        try:
            return part(self._environ)
        except ConfigError as error:
            self.faults += error.faults
        except DatabaseUrlError as error:
            self.faults += error.faults
        except ValidationError as error:
            self.faults += [str(it) for it in error.violations]
        except TracingSettingsError as error:
            self.faults += error.faults
        return default


def _one_of(name: str, text: str, names: type[E]) -> E:
    try:
        return names(text.lower())
    except ValueError:
        raise ConfigError(f"{name}: {text!r} is none of {', '.join(names)}") from None


def _seconds(name: str, text: str) -> timedelta:
    try:
        seconds = timedelta(seconds=float(text))
    except (OverflowError, ValueError):  # ValueError: it is NaN, or no number at all
        raise ConfigError(f"{name}: {text!r} is no number of seconds that can be counted") from None
    if seconds < timedelta():
        raise ConfigError(f"{name}: {text} is less than 0")
    return seconds


def _database(url: str, schema: str, lease: timedelta, listen: str) -> DatabaseConfig | None:
    """Return the database that is shared, if one is."""
    if not url:
        return None
    name = f"{socket.gethostname()} {listen} ({os.getpid()})"
    return DatabaseConfig(url=url, schema=schema, lease=lease, server=name)


def _configure_exports(environ: Mapping[str, str]) -> list[TracingRun | MetricsRun]:
    """Set up what leaves this process."""
    ours = version("weft")
    tracing = configure_tracing(environ, _SERVICE_NAME, service_version=ours)
    return [tracing, configure_metrics(environ, _SERVICE_NAME, service_version=ours)]


def _close(exports: Iterable[TracingRun | MetricsRun]) -> None:
    """Send what waits; both have a bound."""
    for export in exports:
        export.close()


def _refusal(faults: Iterable[str], code: int) -> typer.Exit:
    """Say what is wrong, a line for each fault."""
    for fault in dict.fromkeys(faults):
        typer.echo(f"Error: {fault}", err=True)
    return typer.Exit(code)


def _run(config: ServerConfig) -> None:
    try:
        import uvloop  # noqa: PLC0415 - missing on Windows
    except ImportError:
        asyncio.run(_serve(config))
    else:
        uvloop.run(_serve(config))


async def _serve(config: ServerConfig) -> None:
    """Serve until a signal asks to stop; a second signal ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            _end_now(number)
        _log.info("asked to stop", extra={"signal": number.name})
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    async with WeftServer(config):
        _calm_collector()
        await stop.wait()


def _calm_collector() -> None:
    """Look for garbage less often, and never again through what stays as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def _end_now(number: signal.Signals) -> None:
    """End as the signal does by default, so that whoever sent it sees that in the status."""
    _log.warning("a second signal: ending now, without draining", extra={"signal": number.name})
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
