"""How often each kind of call is tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from weft.mesh.policies.retry import RetryPolicy

_CHANGES = RetryPolicy(max_retries=3, base_delay=timedelta(seconds=0.5), max_delay=timedelta(seconds=4))
_DELETES = RetryPolicy(max_retries=2, base_delay=timedelta(seconds=1), max_delay=timedelta(seconds=4))
_READS = RetryPolicy(max_retries=2, base_delay=timedelta(seconds=0.5), max_delay=timedelta(seconds=2))
_WATCHES = RetryPolicy(max_retries=10, base_delay=timedelta(seconds=0.5), max_delay=timedelta(seconds=4))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicies:
    """Retry policies by kind of call; only unavailability is retried.

    Every mutation carries a ``request_id`` that its attempts share, so that a
    repeat never does the work twice. Direct action calls are never retried.
    """

    create: RetryPolicy = _CHANGES
    """Creations and registrations, and the start of executions."""
    update: RetryPolicy = _CHANGES
    """Changes, transitions, heartbeats and cancellations."""
    delete: RetryPolicy = _DELETES
    """Deletions and deregistrations."""
    read: RetryPolicy = _READS
    """Reads and lists."""
    watch: RetryPolicy = _WATCHES
    """Reopening a watch, counted from the last message, and joining an execution that was accepted:
    about half a minute, enough for a restart."""
