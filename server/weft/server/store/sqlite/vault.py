"""A SQLite database, for ``weft admin``."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from weft.core.clock import SystemClock
from weft.server.store.base import StoreInUseError, StoreUnavailableError
from weft.server.store.migrate import AppliedMigration, load_migrations, pending_migrations
from weft.server.store.sqlite._database import SQL, Database
from weft.server.store.sqlite._salvage import cut, file_faults
from weft.server.store.vault import (
    TABLES,
    Member,
    Row,
    Salvage,
    Snapshot,
    Table,
    VaultDamagedError,
    VaultError,
)

__all__ = ["SqliteVault"]

_NO_TEXT: Final = re.compile(r"Could not decode to UTF-8 (column '\w+')")
_PRIMARY: Final = 0xFF
"""Of a code of SQLite: the rest says more about it."""


class SqliteVault:
    """A database file.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"sqlite {self._path}"

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Read it as of now; a server may go on."""
        connection = self._reader()
        try:
            if missing := self._missing(connection):
                raise VaultError(f"{self._path} has to be migrated first ({', '.join(missing)})")
            connection.execute("BEGIN")
            connection.execute(SQL["read_health"]).fetchone()  # from here on it is of this moment
            yield _Snapshot(connection)
        except sqlite3.Error as error:
            raise _failure(self._path, error) from error
        finally:
            connection.close()

    @asynccontextmanager
    async def filling(self) -> AsyncIterator[_Filler]:
        """Fill it, all or nothing."""
        database = Database(self._path, SystemClock())
        connection = _opened(database)
        try:
            for each in TABLES:
                if connection.execute(f"SELECT 1 FROM {each.name} LIMIT 1").fetchone():  # noqa: S608 - a name of ours
                    raise VaultError(f"{self._path} is not empty: there are {each.name}")
            connection.execute("BEGIN IMMEDIATE")
            yield _Filler(connection)
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise VaultError(f"{self._path}: {error}") from error
        finally:
            connection.close()
            database.release()

    async def migrate(self, *, apply: bool) -> tuple[str, ...]:
        """Bring it up to date; return the names of the migrations that were missing."""
        connection = self._reader()
        try:
            missing = self._missing(connection)
        finally:
            connection.close()
        if apply and missing:
            database = Database(self._path, SystemClock())
            _opened(database).close()
            database.release()
        return missing

    async def accept_loss(self) -> Salvage | None:
        """Cut the log where SQLite ends it, and write the rest back; copies of the files stay."""
        self._require_file()
        database = Database(self._path, SystemClock())
        try:
            with database.owned():
                return cut(database)
        except StoreInUseError as error:
            raise VaultError(str(error)) from error
        except (OSError, sqlite3.Error) as error:
            raise VaultError(f"{self._path}: {error}") from error

    async def members(self) -> tuple[Member, ...]:
        """Return nobody: who has the lock of the directory is the only one, and frees what others left."""
        self._require_file()
        return ()

    async def remove(self, epoch: int) -> int:
        """Do nothing: there is no other server."""
        del epoch
        return 0

    def _require_file(self) -> None:
        try:
            if self._path.is_file():
                return
        except OSError as error:  # such as a folder above it that may not be entered
            raise VaultError(f"{self._path}: {error.strerror or error}") from error
        raise VaultError(f"there is no database at {self._path}")

    def _reader(self) -> sqlite3.Connection:
        self._require_file()
        database = Database(self._path, SystemClock())
        try:
            with suppress(StoreInUseError), database.owned():  # who reads a log last writes it back
                database.check_log()
            return database.reader()
        except StoreUnavailableError as error:
            raise VaultError(error.message) from error
        except sqlite3.Error as error:
            raise _failure(self._path, error) from error
        except OSError as error:
            raise VaultError(f"{self._path}: {error.strerror or error}") from error

    def _missing(self, connection: sqlite3.Connection) -> tuple[str, ...]:
        try:
            if connection.execute(SQL["count_foreign_tables"]).fetchone()[0]:
                raise VaultError(f"{self._path} is a database of something else")
            applied = [AppliedMigration(*row) for row in connection.execute(SQL["applied_migrations"])]
            pending = pending_migrations(load_migrations("sqlite"), applied, str(self._path))
        except StoreUnavailableError as error:
            raise VaultError(error.message) from error
        except sqlite3.Error as error:
            raise _failure(self._path, error) from error
        return tuple(f"{it.number:04}_{it.name}" for it in pending)


class _Snapshot:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, what: Table) -> AsyncIterator[Row]:
        columns, order = ", ".join(what.columns), ", ".join(what.order)
        for row in self._connection.execute(f"SELECT {columns} FROM {what.name} ORDER BY {order}"):  # noqa: S608 - names of ours
            yield row

    async def count(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM executions").fetchone()[0])

    async def owners(self) -> dict[str, int]:
        found = self._connection.execute(SQL["owners"]).fetchall()
        return dict(found)

    async def epochs(self) -> frozenset[int]:
        return frozenset({self._connection.execute(SQL["current_epoch"]).fetchone()[0]})

    async def faults(self) -> tuple[str, ...]:
        return file_faults(self._connection)


class _Filler:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def add(self, what: Table, rows: Iterable[Row]) -> None:
        columns, marks = ", ".join(what.columns), ", ".join("?" * len(what.columns))
        self._connection.executemany(f"INSERT INTO {what.name} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - names of ours


def _failure(path: Path, error: sqlite3.Error) -> VaultError:
    """Say what SQLite says, but nothing of what is stored."""
    no_text = _NO_TEXT.match(str(error))
    if no_text is not None:
        return VaultDamagedError(f"{path} is damaged: a text in {no_text[1]} is none")
    if getattr(error, "sqlite_errorcode", 0) & _PRIMARY == sqlite3.SQLITE_CORRUPT:
        return VaultDamagedError(f"{path} is damaged: {error}")
    return VaultError(f"{path}: {error}")


def _opened(database: Database) -> sqlite3.Connection:
    try:
        return database.open()
    except StoreInUseError as error:
        raise VaultError(str(error)) from error
    except StoreUnavailableError as error:
        database.release()
        raise VaultError(error.message) from error
