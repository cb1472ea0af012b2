"""Who is alive where: endpoints, and snapshots of all endpoints of a service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique

__all__ = ["Endpoint", "Health", "Protocol", "Snapshot"]


@unique
class Protocol(StrEnum):
    """What an endpoint speaks."""

    GRPC = "GRPC"
    HTTP = "HTTP"


@unique
class Health(StrEnum):
    """How well an endpoint is."""

    PASSING = "PASSING"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"
    DRAINING = "DRAINING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address that serves calls of a service."""

    host: str
    """Host name or IP address to dial."""
    port: int
    """1 to 65535."""
    instance_id: str = ""
    """Id of the instance behind it; empty for a bare address."""
    protocol: Protocol = Protocol.GRPC
    """What it speaks."""
    secure: bool = False
    """Whether to dial with TLS."""
    path: str = ""
    """Put before the action's name in an HTTP call; starts with ``/`` or is empty."""
    weight: int = 1
    """Share of calls relative to other endpoints."""
    tags: tuple[str, ...] = ()
    """Such as ``production``."""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Free values."""
    version: str = ""
    """Version of the software it runs."""
    zone: str = ""
    """Failure domain within the datacenter."""
    datacenter: str = ""
    """Failure domain above zones; empty where a source has none."""
    health: Health = Health.PASSING
    """How well it is."""

    @property
    def address(self) -> str:
        """``host:port``, with an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def key(self) -> str:
        """What stays the same while the rest of it changes: the instance's id, else the address."""
        return self.instance_id or self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that is known of where a service is, at one moment."""

    service: str
    """Name of the service."""
    endpoints: tuple[Endpoint, ...]
    """Every endpoint, also those that must not be called."""
    version: int = 0
    """Grows with every change."""
    stale: bool = False
    """Whether the source failed since, so that this is the last good answer, or part of it is."""
    problem: str = ""
    """Why it is stale."""
    bound_to: str = ""
    """Target under which another source knows the instances; empty when this one does."""

    def callable(self) -> tuple[Endpoint, ...]:
        """Return the endpoints to call: the passing ones, else those with a warning."""
        passing = tuple(e for e in self.endpoints if e.health is Health.PASSING)
        return passing or tuple(e for e in self.endpoints if e.health is Health.WARNING)

    def summary(self) -> str:
        """Say what is known, such as ``3 known: 2 CRITICAL, 1 DRAINING; stale: no answer``."""
        counts = Counter(endpoint.health for endpoint in self.endpoints)
        parts = ", ".join(f"{counts[health]} {health}" for health in Health if counts[health])
        known = f"{len(self.endpoints)} known" + (f": {parts}" if parts else "")
        return f"{known}; stale: {self.problem}" if self.stale else known
