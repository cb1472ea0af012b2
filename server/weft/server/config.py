"""Settings of the server: typed, frozen, checked once."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from weft.core.errors import ValidationError
from weft.discovery.endpoint import is_dialable, parse_address
from weft.discovery.resolvers import SourcesConfig
from weft.mesh.balancing import BalancerConfig
from weft.server.execution.engine.engine import EngineLimits
from weft.server.retention import Retention
from weft.server.store.database import DatabaseConfig

__all__ = ["DEFAULT_LISTEN", "DEFAULT_POLICY", "ConfigError", "ServerConfig"]

DEFAULT_LISTEN = "127.0.0.1:7420"
DEFAULT_POLICY = "least_request"
"""Actions take unequally long, so calls go where the fewest are under way."""

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,63}")
_NAME_WORDS: Final = "it has letters, digits, '.', '_' and '-', at most 63"


class ConfigError(Exception):
    """The server cannot start like this; the message says why.

    Args:
        faults: Everything that is wrong, each in one line.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """How a server runs."""

    listen: str = DEFAULT_LISTEN
    """``host:port`` of the loopback interface; port 0 takes a free one."""
    data_dir: Path | None = None
    """Where everything is kept, made absolute; None keeps it in memory only, for tests."""
    database: DatabaseConfig | None = None
    """The PostgreSQL database where everything is kept instead, shared with other servers."""
    drain_grace: timedelta = timedelta(seconds=10)
    """How long running calls and steps may take to finish at a stop."""
    instance_wait: timedelta = timedelta(seconds=10)
    """How long a call of an action waits for a healthy instance when there is none."""
    limits: EngineLimits = field(default_factory=EngineLimits)
    """How much the engine takes on at once."""
    balancer: BalancerConfig = field(default_factory=lambda: BalancerConfig(policy=DEFAULT_POLICY))
    """How calls of actions are spread over instances."""
    sources: SourcesConfig = field(default_factory=SourcesConfig)
    """Where services are looked up whose endpoint is ``consul://…`` or ``dns://…``. With Consul in it
    the server is registered there."""
    advertise: str = ""
    """``host:port`` that callers dial, as Consul is told; empty for the one that is served on."""
    environment: str = ""
    """Such as ``production``; told to Consul."""
    zone: str = ""
    """Where the server is: told to Consul."""
    retention: Retention = field(default_factory=Retention)
    """How long executions are kept after their end, where their workflow does not say it."""

    def __post_init__(self) -> None:
        """Check what can be checked without changing anything.

        Raises:
            ConfigError: Every fault, with the setting's name.
        """
        faults = [*self._place_faults(), *self._name_faults()]
        if faults:
            raise ConfigError(*faults)

    def _place_faults(self) -> Iterator[str]:
        if self.data_dir is not None:
            try:
                object.__setattr__(self, "data_dir", self.data_dir.absolute())
            except FileNotFoundError:
                yield "data directory: the current folder is gone; name one by its whole path"
            if os.path.isfile(self.data_dir):  # noqa: PTH113 - where it cannot be seen, opening it says why
                yield f"data directory: {self.data_dir} is a file, not a folder"
        try:
            host, port = self.address
        except ConfigError as error:
            yield from error.faults
            return
        if not _is_loopback(host):
            yield (
                f"refused to listen on {host}:{port}: this release has neither TLS nor authentication, "
                "so it serves the loopback interface only (127.0.0.1, localhost or [::1])"
            )

    def _name_faults(self) -> Iterator[str]:
        if self.advertise:
            try:
                host, _ = parse_address(self.advertise, "advertise")
            except ValidationError as error:
                yield str(error)
            else:
                if not is_dialable(host):
                    yield f"advertise: {self.advertise!r} is nobody's address, so that no caller can dial it"
        for name in ("environment", "zone"):
            value = getattr(self, name)
            if value and _NAME.fullmatch(value) is None:
                yield f"{name}: {value[:80]!r} is not allowed: {_NAME_WORDS}"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of ``listen``.

        Raises:
            ConfigError: It is not ``host:port``.
        """
        host, separator, port = self.listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not separator or not host or not (port.isascii() and port.isdecimal()):
            raise ConfigError(f"listen: {self.listen!r} is not host:port, such as {DEFAULT_LISTEN}")
        if len(port) > 9 or int(port) > 65_535:
            raise ConfigError(f"listen: port {port[:20]} is above 65535")
        return host, int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
