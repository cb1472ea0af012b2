"""What a failure of SQLite means for the store."""

from __future__ import annotations

import errno
import os
import sqlite3
from dataclasses import dataclass
from datetime import timedelta

from weft.core.errors import InternalError
from weft.server.store.base import StoreFullError, StoreUnavailableError

__all__ = ["Fault", "fault_of", "unit_error"]

_BREAKING = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOTADB,
    }
)
"""Result codes that speak of the database or its disk, not of one statement."""

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the store cannot do its work."""

    message: str
    """What happened, and where."""
    full: bool
    """Whether there is no space left; then nothing was written."""

    def error(self) -> StoreUnavailableError | StoreFullError:
        """Make an exception of it; each caller gets one of its own."""
        if self.full:
            return StoreFullError(self.message, retry_after=timedelta(seconds=5))
        return StoreUnavailableError(self.message)


def fault_of(error: BaseException, where: str) -> Fault | None:
    """Tell what a failure says about the whole store; None when it is about one unit of work."""
    if isinstance(error, StoreUnavailableError):
        return Fault(error.message, full=False)
    if isinstance(error, OSError):
        reason = os.strerror(error.errno) if error.errno else str(error)
        return _fault(where, reason, full=error.errno in _NO_SPACE)
    if isinstance(error, MemoryError):
        return _fault(where, "out of memory", full=False)
    if isinstance(error, UnicodeDecodeError):
        return _fault(where, "it is damaged: what should be text is none", full=False)
    return _sqlite_fault(error, where) if isinstance(error, sqlite3.Error) else None


def _sqlite_fault(error: sqlite3.Error, where: str) -> Fault | None:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    if code in _BREAKING:
        return _fault(where, str(error), full=code == sqlite3.SQLITE_FULL)
    return None


def _fault(where: str, reason: str, *, full: bool) -> Fault:
    return Fault(f"no space left for {where}" if full else f"{where}: {reason}", full)


def unit_error(error: Exception) -> Exception:
    """Return what the caller of a failed unit of work sees: no type of sqlite3 leaves the adapter."""
    if isinstance(error, sqlite3.Error):
        wrapped = InternalError(f"the store refused a statement: {error}")
        wrapped.__cause__ = error
        return wrapped
    return error
