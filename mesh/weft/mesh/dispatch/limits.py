"""How much may wait, be open, and stand in one message of a stream of actions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

__all__ = ["BATCH_BYTES", "LARGEST_BYTES", "DispatchConfig", "Window"]

BATCH_BYTES: Final = 1024 * 1024
"""A message takes no further entry beyond it."""

LARGEST_BYTES: Final = 2 * 1024 * 1024
"""The largest single entry: one of these, and a batch, fit into what a peer receives (4 MiB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How much a provider lets be open at once."""

    invocations: int
    """Sent and not answered."""
    input_bytes: int
    """Of their inputs; one alone may always be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchConfig:
    """How an engine keeps its streams."""

    opening_patience: timedelta = timedelta(milliseconds=250)
    """How long a call waits for a stream that is being opened, before it is made without one."""
    open_timeout: timedelta = timedelta(seconds=5)
    """How long an instance may take to greet; one that does not is called without streams."""
    retry_unsupported: timedelta = timedelta(minutes=10)
    """When an instance that does not stream is asked again, if its connection lasts; after a new one at once.

    Not often: servers on generated stubs of Python log a traceback each time."""
    retry_broken: timedelta = timedelta(seconds=1)
    """When an instance is asked again after the connection broke while it was asked."""
    idle: timedelta = timedelta(minutes=1)
    """After how long without an invocation a stream is closed."""
    most_waiting: int = 10_000
    """Calls that wait for the window of one stream; further ones go elsewhere."""
