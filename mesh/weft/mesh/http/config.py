"""How HTTP services are called by name."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from weft.mesh.http.timeouts import HttpTimeouts
from weft.mesh.policies.retry import RetryPolicy

__all__ = ["HttpConfig"]


_RETRY: Final = RetryPolicy(max_retries=2, base_delay=timedelta(seconds=0.1), max_delay=timedelta(seconds=2))


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """How HTTP services are called by name."""

    timeouts: HttpTimeouts = field(default_factory=HttpTimeouts)
    """How long a call may take, as a whole and in each phase."""
    retry: RetryPolicy = _RETRY
    """How often a request that may be repeated is sent again, and after which wait."""
    instance_wait: timedelta = timedelta(seconds=2)
    """How long a call waits for an instance that can be connected, or for one to be known at all."""
    max_body_bytes: int = 4 * 1024 * 1024
    """The longest body of an answer, and the longest JSON text that is sent."""
    tls: ssl.SSLContext | None = None
    """How https is spoken; None: with the certificates that the system trusts."""

    def __post_init__(self) -> None:
        if self.max_body_bytes < 1:
            raise ValueError("max_body_bytes must be positive")
        if self.instance_wait < timedelta():
            raise ValueError("instance_wait must not be negative")
