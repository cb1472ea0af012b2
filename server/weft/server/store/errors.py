"""What can go wrong with a store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from weft.core.errors import ExhaustedError, ServiceUnavailableError
from weft.core.reasons import Reason
from weft.server.execution.history.model import Execution

__all__ = [
    "KeyTakenError",
    "SlotFullError",
    "StoreDamagedError",
    "StoreFullError",
    "StoreInUseError",
    "StoreUnavailableError",
]


class StoreUnavailableError(ServiceUnavailableError):
    """The store cannot be read or written now; a write's outcome is unknown."""

    default_reason = Reason.STORE_UNAVAILABLE

    def __init__(self, message: str) -> None:
        super().__init__("store", message, retry_after=timedelta(seconds=1))


class StoreDamagedError(StoreUnavailableError):
    """Something is missing that was acknowledged, so the store is not opened; people have to decide.

    Attributes:
        file: What is damaged.
        offset: From where on it is not what was written; None where that is not known.

    Args:
        file: What is damaged.
        offset: From where on it is not what was written.
        why: How that is known.
        hint: What can be done.
    """

    def __init__(self, file: Path, offset: int | None, why: str, hint: str) -> None:
        place = "" if offset is None else f" at byte {offset:,}"
        super().__init__(f"{file} is damaged{place}: {why}. {hint}")
        self.file = file
        self.offset = offset


class StoreFullError(ExhaustedError):
    """There is no space left; nothing was written. Heals when space is freed."""

    default_reason = Reason.STORE_FULL


class StoreInUseError(Exception):
    """Another process has the data directory open; the message names it."""


class KeyTakenError(Exception):
    """Another execution has the key; nothing was written.

    Attributes:
        execution: That one, as it stands.
    """

    def __init__(self, execution: Execution) -> None:
        super().__init__(f"the key {execution.key!r} belongs to {execution.id}")
        self.execution = execution


class SlotFullError(Exception):
    """As many executions of its slot run as may; nothing was written."""
