"""``weft server``: the command that joins the command line by an entry point."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from weft.server.app import WeftServer
from weft.server.config import DEFAULT_LISTEN, ConfigError, ServerConfig
from weft.server.logs import LOG_FORMATS, configure_logging
from weft.server.store.base import StoreInUseError, StoreUnavailableError

__all__ = ["server"]

_CANNOT_START = 1


def server(
    listen: Annotated[
        str, typer.Option(envvar="WEFT_LISTEN", help="host:port of the loopback interface.")
    ] = DEFAULT_LISTEN,
    data_dir: Annotated[Path, typer.Option(envvar="WEFT_DATA_DIR", help="Where everything is kept.")] = Path(
        ".weft/data"
    ),
    drain: Annotated[
        float,
        typer.Option(envvar="WEFT_DRAIN_SECONDS", min=0, help="Seconds that running work gets at a stop."),
    ] = 10.0,
    log_level: Annotated[
        str, typer.Option(envvar="WEFT_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
    log_format: Annotated[
        str, typer.Option(envvar="WEFT_LOG_FORMAT", help=" or ".join(LOG_FORMATS) + ".")
    ] = "auto",
) -> None:
    """Run the server: registry, workflows and engine, on one port.

    Ends on SIGTERM and SIGINT: health goes NOT_SERVING, running calls finish,
    executions stop at a durable point and go on at the next start.

    Example: weft server --listen 127.0.0.1:7420 --data-dir ./data
    """
    if log_level not in {"debug", "info", "warning", "error"}:
        raise typer.BadParameter("is debug, info, warning or error", param_hint="--log-level")
    if log_format not in LOG_FORMATS:
        raise typer.BadParameter("is " + " or ".join(LOG_FORMATS), param_hint="--log-format")
    configure_logging(log_level, log_format)
    try:
        config = ServerConfig(listen=listen, data_dir=data_dir, drain_grace=timedelta(seconds=drain))
        _run(config)
    except (ConfigError, StoreInUseError, StoreUnavailableError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(_CANNOT_START) from None


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
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with WeftServer(config):
        await stop.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
