"""An endpoint as Consul stores it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.discovery.consul.config import ConsulConfig
from weft.discovery.endpoint import is_host
from weft.discovery.model import Endpoint, Health

__all__ = ["INSTANCE", "OWN_KEYS", "STATUS", "HealthReport", "Registration"]

_log = logging.getLogger("weft.discovery.consul")

INSTANCE: Final = "weft-instance"
"""Key of the metadata by which a registration of ours is known."""
OWN_KEYS: Final = frozenset({INSTANCE, "protocol", "version", "zone", "path", "secure"})
"""Metadata that holds the fields of an endpoint."""

STATUS: Final = {
    Health.PASSING: "passing",
    Health.WARNING: "warning",
    Health.CRITICAL: "critical",
    Health.DRAINING: "critical",
}
"""What Consul calls it."""

_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MAX_VALUE: Final = 512
_MAX_PAIRS: Final = 64
_MAX_WEIGHT: Final = 65_535
"""The limits of Consul."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """How well an instance is."""

    health: Health = Health.PASSING
    """Its state; a draining one is critical and in maintenance mode, as Consul has no such state."""
    note: str = ""
    """Why, for a person; at most 4 KB of it are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What Consul is told of one instance.

    Raises:
        ValidationError: Every fault of it.
    """

    service: str
    """Name of the service, without the prefix."""
    endpoint: Endpoint
    """Where it is, and what it is; it must have an instance id."""
    environment: str = ""
    """Such as ``production``; told as a tag and as metadata."""

    def __post_init__(self) -> None:
        endpoint, faults = self.endpoint, []
        if not self.service:
            faults.append(Violation("service", "is required", Rule.REQUIRED))
        if not endpoint.instance_id:
            faults.append(Violation("endpoint.instance_id", "is required", Rule.REQUIRED))
        if not is_host(endpoint.host):
            faults.append(Violation("endpoint.host", f"{endpoint.host[:80]!r} is no host", Rule.INVALID))
        if not 1 <= endpoint.port <= 65_535:
            faults.append(
                Violation("endpoint.port", f"{endpoint.port} is not between 1 and 65535", Rule.OUT_OF_RANGE)
            )
        if not 1 <= endpoint.weight <= _MAX_WEIGHT:
            words = f"{endpoint.weight} is not between 1 and {_MAX_WEIGHT}"
            faults.append(Violation("endpoint.weight", words, Rule.OUT_OF_RANGE))
        if faults:
            raise ValidationError(faults)

    @property
    def check_id(self) -> str:
        """Id of the TTL check."""
        return f"service:{self.endpoint.instance_id}"

    def tags(self) -> list[str]:
        """Return its tags, then those that follow from the rest: protocol, version, environment."""
        derived = [
            self.endpoint.protocol.lower(),
            f"version-{self.endpoint.version}" if self.endpoint.version else "",
            f"env-{self.environment}" if self.environment else "",
        ]
        return list(dict.fromkeys([*self.endpoint.tags, *filter(None, derived)]))

    def meta(self) -> dict[str, str]:
        """Return its metadata, as far as Consul takes it, and the fields that Consul has no place for."""
        endpoint = self.endpoint
        fields = {
            INSTANCE: endpoint.instance_id,
            "protocol": endpoint.protocol.lower(),
            "version": endpoint.version,
            "zone": endpoint.zone,
            "path": endpoint.path,
            "secure": "true" if endpoint.secure else "",
            "environment": self.environment,
        }
        kept = {key: value for key, value in fields.items() if value}
        free = _MAX_PAIRS - len(kept)
        left_out = []
        for key, value in endpoint.metadata.items():
            fits = _KEY.fullmatch(key) and len(value.encode()) <= _MAX_VALUE and key not in OWN_KEYS
            if fits and free > 0:
                free -= key not in kept
                kept.setdefault(key, value)
            elif kept.get(key) != value:
                left_out.append(key)
        if left_out:
            _log.warning(
                "Consul cannot store this metadata of %s, so it is left out: %s (%d characters of letters, "
                "digits, '-' and '_' to a key, %d bytes to a value, %d pairs; reserved: %s)",
                endpoint.instance_id,
                ", ".join(sorted(left_out)[:10]),
                128,
                _MAX_VALUE,
                _MAX_PAIRS,
                ", ".join(sorted(OWN_KEYS)),
            )
        return kept

    def definition(self, config: ConsulConfig, report: HealthReport) -> dict[str, Any]:
        """Return what the agent is sent.

        Args:
            config: For the prefix and the times of the check.
            report: How well it is now: it starts with that, not as critical.
        """
        return {
            "Name": config.prefix + self.service,
            "ID": self.endpoint.instance_id,
            "Address": self.endpoint.host,
            "Port": self.endpoint.port,
            "Tags": self.tags(),
            "Meta": self.meta(),
            "Weights": {"Passing": self.endpoint.weight, "Warning": 1},
            "EnableTagOverride": False,
            "Check": {
                "CheckID": self.check_id,
                "Name": "weft heartbeat",
                "TTL": _go(config.ttl),
                "Status": STATUS[report.health],
                "DeregisterCriticalServiceAfter": _go(config.deregister_after),
            },
        }

    def is_in(self, found: Mapping[str, Any], config: ConsulConfig) -> bool:
        """Tell whether the agent's definition of the id is of this instance."""
        mine = (config.prefix + self.service, self.endpoint.host, self.endpoint.port)
        return (found.get("Service"), found.get("Address"), found.get("Port")) == mine


def _go(duration: timedelta) -> str:
    """Write a duration as Consul reads it."""
    return f"{round(duration.total_seconds() * 1000)}ms"
