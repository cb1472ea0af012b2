"""How DNS is asked; what asks it is slow to import, and stands elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from weft.discovery.endpoint import is_host, parse_address

__all__ = ["DnsConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsConfig:
    """Whom to ask, and how often.

    Raises:
        ValidationError: The nameserver is neither a host nor ``host:port``.
    """

    nameserver: str = ""
    """``host`` or ``host:port``; empty for what the system is set up with, its hosts file included."""
    min_interval: timedelta = timedelta(seconds=1)
    """The shortest time between two questions, however small the records' TTL."""
    max_interval: timedelta = timedelta(seconds=60)
    """The longest time between two questions, however large the records' TTL."""
    host_interval: timedelta = timedelta(seconds=10)
    """Between two questions to the system for a host: it tells no TTL."""
    timeout: timedelta = timedelta(seconds=2)
    """How long a nameserver may take for one answer."""
    settle: timedelta = timedelta(seconds=10)
    """How long after a failure missing addresses are kept."""

    def __post_init__(self) -> None:
        if self.nameserver and not is_host(self.nameserver):
            parse_address(self.nameserver, "nameserver")
