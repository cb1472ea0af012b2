"""Options of ``weft server``, each with its variable of the environment.

Most are text here, and read by the command: so it can name everything that is wrong at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated

import typer

from weft.mesh.balancing import POLICIES

__all__ = [
    "Advertise",
    "Consul",
    "DataDir",
    "DatabaseSchema",
    "DatabaseUrl",
    "Drain",
    "Environment",
    "Format",
    "Lease",
    "Level",
    "Listen",
    "LogFormat",
    "LogLevel",
    "Policy",
    "Retained",
    "Zone",
]


@unique
class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@unique
class LogFormat(StrEnum):
    """How the log looks."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


def _offer(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what the shell offers as one types."""
    return lambda incomplete: [name for name in map(str, names) if name.startswith(incomplete)]


Listen = Annotated[str, typer.Option(envvar="WEFT_LISTEN", help="host:port of the loopback interface.")]


def _folder(text: str) -> Path:
    """Read a folder; nothing at all is a variable of somebody's shell that is not set."""
    if not str(text).strip():
        raise typer.BadParameter("it is empty; write . for the current folder")
    return Path(text)


DataDir = Annotated[
    Path,
    typer.Option(envvar="WEFT_DATA_DIR", parser=_folder, metavar="FOLDER", help="Where everything is kept."),
]

DatabaseUrl = Annotated[
    str,
    typer.Option(
        envvar="WEFT_DATABASE_URL",
        show_default=False,
        metavar="URL",
        help="postgresql://user@host/database: keep all there, shared with other servers.",
    ),
]

DatabaseSchema = Annotated[
    str,
    typer.Option(
        "--schema", envvar="WEFT_DATABASE_SCHEMA", help="Schema of the database; made when it is missing."
    ),
]

Lease = Annotated[
    str,
    typer.Option(
        envvar="WEFT_LEASE_SECONDS",
        metavar="SECONDS",
        help="Seconds after which other servers on the database take over from one that stands still.",
    ),
]

Drain = Annotated[
    str,
    typer.Option(
        envvar="WEFT_DRAIN_SECONDS", metavar="SECONDS", help="Seconds that running work gets at a stop."
    ),
]

Advertise = Annotated[
    str,
    typer.Option(
        envvar="WEFT_ADVERTISE", help="host:port that Consul is told; by default the one listened on."
    ),
]

Consul = Annotated[
    str,
    typer.Option(
        envvar="CONSUL_HTTP_ADDR", help="host:port of the Consul agent: the server is registered there."
    ),
]

Environment = Annotated[
    str, typer.Option("--env", envvar="WEFT_ENVIRONMENT", help="Such as production; told to Consul.")
]

Zone = Annotated[
    str, typer.Option(envvar="WEFT_ZONE", help="Where it is: instances of this zone are preferred.")
]

Policy = Annotated[
    str,
    typer.Option(
        envvar="WEFT_MESH_POLICY",
        autocompletion=_offer(POLICIES),
        help=f"How calls of actions are spread: {', '.join(POLICIES)}.",
    ),
]

Retained = Annotated[
    str,
    typer.Option(
        "--retention",
        metavar="STATE=TIME,…",
        envvar="WEFT_RETENTION",
        help="How long executions are kept after their end, such as COMPLETED=30d,*=90d; without: for ever.",
    ),
]

Level = Annotated[
    str,
    typer.Option(
        envvar="WEFT_LOG_LEVEL",
        metavar=f"<{'|'.join(LogLevel)}>",
        autocompletion=_offer(LogLevel),
        help="The least that is logged.",
    ),
]

Format = Annotated[
    str,
    typer.Option(
        envvar="WEFT_LOG_FORMAT",
        metavar=f"<{'|'.join(LogFormat)}>",
        autocompletion=_offer(LogFormat),
        help="Form of the log; auto is console on a terminal.",
    ),
]
