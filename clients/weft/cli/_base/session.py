"""One run of the command: where it goes, how it prints, and how it waits."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer

from weft.cli._base.interrupts import interrupts

if TYPE_CHECKING:
    from weft.client import Client
    from weft.client.mesh import MeshClient, MeshConfig

__all__ = [
    "DEFAULT_TARGET",
    "Output",
    "Settings",
    "call",
    "environment",
    "mesh_client",
    "mesh_to",
    "remember",
]

T = TypeVar("T")

DEFAULT_TARGET: Final = "127.0.0.1:7420"
TARGET_VARIABLE: Final = "WEFT_TARGET"
_PREFIX: Final = "weft.cli."


@unique
class Output(StrEnum):
    """The form of what goes to stdout."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The global options, as they hold for the command that runs."""

    target: str = DEFAULT_TARGET
    """Where the server is: ``host:port``, or a target such as ``consul://weft-execution``."""
    output: Output = Output.TABLE
    """The form of what goes to stdout."""
    request_timeout: timedelta | None = None
    """How long one request may take; none: the client's own default."""
    color: bool = True
    """Whether a terminal gets colours."""
    debug: bool = False
    """Whether a failure shows its traceback."""

    @classmethod
    def of(cls, context: typer.Context | Any) -> Settings:
        """Read what the options before and after the command say, the later one winning."""
        said = {
            key.removeprefix(_PREFIX): value
            for key, value in context.meta.items()
            if key.startswith(_PREFIX) and value is not None
        }
        said.setdefault("target", os.environ.get(TARGET_VARIABLE) or DEFAULT_TARGET)
        said["color"] = not said.pop("no_color", False) and not os.environ.get("NO_COLOR")
        return cls(**said)

    @property
    def for_people(self) -> bool:
        """Whether stdout gets text for people, rather than a document for programs."""
        return self.output is Output.TABLE

    @property
    def on_terminal(self) -> bool:
        """Whether stdout gets text for people who are watching it."""
        return self.for_people and sys.stdout.isatty()


def remember(context: typer.Context, name: str, value: object) -> None:
    """Keep a global option for ``Settings.of``; nothing given changes nothing."""
    if value is not None and value is not False:
        context.meta[_PREFIX + name] = value


def call(settings: Settings, work: Callable[[Client], Awaitable[T]], *, patient: bool = True) -> T:
    """Connect, do the work, and close the connection, in an event loop of its own.

    Args:
        settings: Where to connect to, and how long a request may take.
        work: What to do.
        patient: Whether requests are tried again while the server is unavailable.
    """
    return interrupts.run(_connected(settings, work, patient=patient))


async def _connected(settings: Settings, work: Callable[[Client], Awaitable[T]], *, patient: bool) -> T:
    from weft.client import NO_RETRY, RetryPolicies, connect  # noqa: PLC0415 - gRPC is slow to import

    options: dict[str, Any] = {"timeout": settings.request_timeout} if settings.request_timeout else {}
    if not patient:
        once = RetryPolicies(create=NO_RETRY, update=NO_RETRY, delete=NO_RETRY, read=NO_RETRY, watch=NO_RETRY)
        options["retry"] = once
    async with mesh_to(settings) as mesh, connect(settings.target, mesh=mesh, **options) as weft:
        return await work(weft)


def environment(settings: Settings) -> Mapping[str, str]:
    """Return the environment, in which the server is the one that the options name."""
    return {**os.environ, TARGET_VARIABLE: settings.target}


@asynccontextmanager
async def mesh_to(settings: Settings) -> AsyncIterator[MeshClient | None]:
    """Yield what looks the server up; nothing where its address is given.

    Raises:
        ValidationError: Every variable of the environment with a wrong value.
    """
    if "://" not in settings.target or settings.target.startswith(("grpc://", "http://")):
        yield None
        return
    async with mesh_client(settings) as mesh:
        yield mesh


def mesh_client(settings: Settings, config: MeshConfig | None = None) -> MeshClient:
    """Make what calls services, as the environment says.

    Raises:
        ValidationError: Every variable with a wrong value; that of the server by its option.
    """
    from weft.client.mesh import MeshClient  # noqa: PLC0415 - HTTP and DNS are slow to import
    from weft.core.errors import ValidationError  # noqa: PLC0415

    try:
        return MeshClient.from_environment(environment(settings), config=config)
    except ValidationError as error:
        faults = [
            replace(it, field="target") if it.field == TARGET_VARIABLE else it for it in error.violations
        ]
        raise ValidationError(faults, metadata=error.metadata) from None
