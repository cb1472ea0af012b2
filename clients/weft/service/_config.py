"""How a service is hosted."""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, TypedDict

from weft.core.clock import Clock, SystemClock
from weft.core.names import INSTANCE_ID, check_name
from weft.mesh.policies.retry import RandomSource

__all__ = ["Address", "HostConfig", "HostOptions", "parse_address"]


class HostOptions(TypedDict, total=False):
    """Keyword arguments of ``Service.run``, ``serve`` and ``hosted``; all have defaults."""

    server: str | None
    listen: str
    advertise: str
    instance_id: str
    ttl: timedelta
    drain: timedelta
    threads: int
    clock: Clock
    chance: RandomSource


class Address(NamedTuple):
    """Where something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """The options of one host.

    Raises:
        ValueError: One of them is not allowed.
    """

    server: str | None = None
    """``host:port`` of the registry; none hosts without registering."""
    listen: str = "127.0.0.1:0"
    """``host:port`` to serve on, loopback only; port 0 takes a free one."""
    advertise: str = ""
    """``host:port`` that callers dial; empty for the one that is served on."""
    instance_id: str = ""
    """Id of the instance; empty for the service's name and a random part."""
    ttl: timedelta = timedelta(seconds=10)
    """How long the instance counts as alive without a heartbeat; 1 s to 10 min."""
    drain: timedelta = timedelta(seconds=10)
    """How long running calls may take to finish when the host stops."""
    threads: int = 16
    """The most plain functions that run at once."""
    clock: Clock = field(default_factory=SystemClock)
    """Times the heartbeats."""
    chance: RandomSource = field(default_factory=random.Random)
    """Spreads the retries."""

    def __post_init__(self) -> None:
        _check_loopback(parse_address(self.listen, "listen"), self.listen)
        if self.server is not None:
            _check_port(parse_address(self.server, "server"), "server")
        if self.advertise:
            _check_port(parse_address(self.advertise, "advertise"), "advertise")
        if self.instance_id:
            for violation in check_name("instance_id", self.instance_id, INSTANCE_ID):
                raise ValueError(str(violation))
        if not timedelta(seconds=1) <= self.ttl <= timedelta(minutes=10):
            raise ValueError(f"ttl: {self.ttl} is not between 1 s and 10 min")
        if self.drain < timedelta():
            raise ValueError(f"drain: {self.drain} is negative")
        if self.threads < 1:
            raise ValueError(f"threads: {self.threads} is less than 1")


def parse_address(text: str, field_name: str) -> Address:
    """Split ``host:port``; an IPv6 address stands in brackets.

    Raises:
        ValueError: It has another form.
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host != bare
    if not colon or not bare or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{field_name}: {text!r} is not host:port")
    if bracketed != (":" in bare):
        raise ValueError(f"{field_name}: {text!r} is not host:port; write IPv6 as [::1]:7420")
    return Address(bare, int(port))


def _check_port(address: Address, field_name: str) -> None:
    if address.port == 0:
        raise ValueError(f"{field_name}: port 0 cannot be dialled")


def _check_loopback(address: Address, text: str) -> None:
    try:
        loopback = ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        loopback = address.host == "localhost"
    if not loopback:
        raise ValueError(
            f"listen: {text!r} is not a loopback address; calls are neither encrypted nor authenticated, "
            "so only this machine may make them"
        )
