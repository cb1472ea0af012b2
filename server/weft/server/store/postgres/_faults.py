"""What a failure of PostgreSQL, or on the way to it, means for the store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import asyncpg

from weft.core.errors import InternalError
from weft.server.store.base import StoreFullError, StoreUnavailableError

__all__ = ["Fault", "fault_of", "is_retryable", "unit_error", "words_of"]

_BREAKING_CLASSES: Final = frozenset({"08", "53", "57", "58", "XX", "28", "3D", "3F"})
"""Classes of SQLSTATE that speak of the server and not of one statement."""
_BREAKING: Final = frozenset({"25006", "25P03", "42501", "42P01"})
"""A standby; a session that was ended as it idled; no permission; tables that are gone."""
_FULL: Final = "53100"
_RETRYABLE: Final = frozenset({"40001", "40P01"})


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the store cannot do its work."""

    message: str
    """What happened, and where."""
    full: bool = False
    """Whether there is no space left; then nothing was written."""

    def error(self) -> StoreUnavailableError | StoreFullError:
        """Make an exception of it; each caller gets one of its own."""
        if self.full:
            return StoreFullError(self.message, retry_after=timedelta(seconds=5))
        return StoreUnavailableError(self.message)


def fault_of(error: BaseException, where: str) -> Fault | None:
    """Tell what a failure says about the whole store; None when it is about one unit of work."""
    if isinstance(error, StoreUnavailableError):
        return Fault(error.message)
    if isinstance(error, asyncpg.PostgresError):
        state = str(getattr(error, "sqlstate", "") or "")
        if state == _FULL:
            return Fault(f"no space left for {where}", full=True)
        if state[:2] in _BREAKING_CLASSES or state in _BREAKING:
            return Fault(f"{where}: {words_of(error)}")
        return None
    # The internal one is what asyncpg says of a connection that was cut in the middle of an answer.
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | TimeoutError):
        return Fault(f"{where}: {words_of(error)}")
    return None


def is_retryable(error: BaseException) -> bool:
    """Tell whether a unit of work was rolled back for the sake of another one, and may be run again."""
    return isinstance(error, asyncpg.PostgresError) and getattr(error, "sqlstate", "") in _RETRYABLE


def unit_error(error: Exception) -> Exception:
    """Return what the caller of a failed unit of work sees: no type of asyncpg leaves the adapter."""
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        wrapped = InternalError(f"the store refused a statement: {words_of(error)}")
        wrapped.__cause__ = error
        return wrapped
    return error


def words_of(error: BaseException) -> str:
    """Return what a failure says: of the system, or of the database, in one line."""
    if isinstance(error, OSError) and isinstance(error.errno, int):
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror or error)
    return str(error).partition("\n")[0] or type(error).__name__
