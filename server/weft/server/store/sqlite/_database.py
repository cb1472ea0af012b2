"""The database file: its lock, its connections and its schema."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from weft.core.clock import Clock
from weft.server.store.base import StoreUnavailableError
from weft.server.store.codec import to_micros
from weft.server.store.migrate import AppliedMigration, Migration, load_migrations, pending_migrations
from weft.server.store.queries import load_queries
from weft.server.store.sqlite._faults import fault_of
from weft.server.store.sqlite._lock import DirectoryLock

__all__ = ["SQL", "Database", "rollback"]

SQL = load_queries("sqlite")

_MINIMUM = (3, 37, 0)
"""The first release with STRICT tables."""
_BUSY_SECONDS = 5.0
_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600
_FILLER_BYTES = 256 * 1024
"""How much space a full disk must have again before it counts as healed."""

_PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -32768",
    # Rarer than by default: a checkpoint costs two more fsyncs and holds up the commit it follows.
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA journal_size_limit = 67108864",
)


class Database:
    """One database and the right to use it.

    Args:
        path: The file; None keeps everything in memory.
        clock: Dates the migrations.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._lock = DirectoryLock(path.parent) if path else None
        self._identity: tuple[int, int] | None = None
        self.epoch = 0
        """Grows each time the database is opened or comes back; what an older one owned is free."""

    @property
    def where(self) -> str:
        """Names it in messages."""
        return str(self.path or ":memory:")

    def open(self) -> sqlite3.Connection:
        """Take ownership, connect and migrate.

        Raises:
            StoreInUseError: Another process has it.
            StoreUnavailableError: It cannot be opened; the message says why.
        """
        if sqlite3.sqlite_version_info < _MINIMUM:
            needed = ".".join(map(str, _MINIMUM))
            raise StoreUnavailableError(
                f"SQLite {sqlite3.sqlite_version} is too old for the store: {needed} is needed"
            )
        try:
            self._own()
            connection = self._connect_and_migrate("rwc")
            try:
                connection.execute("BEGIN IMMEDIATE")
                self.take_over(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
        except (OSError, UnicodeDecodeError, sqlite3.Error) as error:
            fault = fault_of(error, self.where)
            reason = fault.message if fault else f"{self.where}: {error}"
            raise StoreUnavailableError(f"cannot open the store: {reason}") from error
        return connection

    def take_over(self, connection: sqlite3.Connection) -> None:
        """Begin a new epoch, and free what earlier ones owned; the caller commits."""
        self.epoch = connection.execute(SQL["take_epoch"]).fetchone()[0]
        connection.execute(SQL["free_owned"])

    def _own(self) -> None:
        if self.path is None or self._lock is None:
            return
        self.path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        self._lock.acquire()
        if self.path.is_dir():
            raise IsADirectoryError(f"{self.path} is a directory")
        # Payloads are nobody else's business; SQLite gives the files beside it the same mode.
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE))

    def reopen(self) -> sqlite3.Connection:
        """Connect again to the same file; a lost one is not made anew, another one not taken for it."""
        self._check_identity()
        return self._connect_and_migrate("rw")

    def reader(self) -> sqlite3.Connection:
        """Connect for reading only."""
        connection = self._connect("rw")
        connection.execute("PRAGMA query_only = ON")
        return connection

    def release(self) -> None:
        """Give up ownership."""
        if self._lock is not None:
            self._lock.release()

    def probe(self, connection: sqlite3.Connection, *, space: bool = False) -> None:
        """Write and read a row; within a transaction that the caller commits.

        Args:
            connection: Where.
            space: Also take space, and give it back.
        """
        self._check_identity()
        before = connection.execute(SQL["read_health"]).fetchone()[0]
        if space:
            connection.execute(SQL["fill_health"], (_FILLER_BYTES,))
        else:
            connection.execute(SQL["touch_health"])
        if connection.execute(SQL["read_health"]).fetchone()[0] != before + 1:
            raise StoreUnavailableError(f"{self.where} does not return what was written")

    def _check_identity(self) -> None:
        """Notice that the file was removed or replaced: what is written would be lost."""
        if self.path is not None and _identity(self.path) != self._identity:
            raise StoreUnavailableError(f"{self.where} was replaced by another file; restart to use that one")

    def _connect_and_migrate(self, mode: str) -> sqlite3.Connection:
        connection = self._connect(mode)
        try:
            self._require_wal(connection)
            migrate(connection, load_migrations("sqlite"), self.where, self._clock)
        except BaseException:
            connection.close()
            raise
        if self.path is not None:
            self._identity = _identity(self.path)
        return connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        target = f"{self.path.absolute().as_uri()}?mode={mode}" if self.path else ":memory:"
        connection = sqlite3.connect(
            target, timeout=_BUSY_SECONDS, isolation_level=None, cached_statements=256, uri=True
        )
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma)
        except BaseException:
            connection.close()
            raise
        return connection

    def _require_wal(self, connection: sqlite3.Connection) -> None:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if self.path is not None and mode != "wal":
            raise StoreUnavailableError(
                f"cannot open the store: {self.where}: its file system does not support write-ahead logging"
            )


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def migrate(connection: sqlite3.Connection, known: tuple[Migration, ...], where: str, clock: Clock) -> None:
    """Bring a database to the present schema.

    Raises:
        StoreUnavailableError: It is newer, or not what the migrations made, or no database of ours.
    """
    if connection.execute(SQL["count_foreign_tables"]).fetchone()[0]:
        raise StoreUnavailableError(f"{where} is a database of something else")
    connection.execute(SQL["create_schema_migrations"])
    applied = [AppliedMigration(*row) for row in connection.execute(SQL["applied_migrations"])]
    for migration in pending_migrations(known, applied, where):
        _apply(connection, migration, clock)


def _apply(connection: sqlite3.Connection, migration: Migration, clock: Clock) -> None:
    record = (migration.number, migration.name, migration.checksum, to_micros(clock.now()))
    try:
        # The script runs inside: the module commits before a script, not after it.
        connection.executescript(f"BEGIN IMMEDIATE;\n{migration.script}")
        connection.execute(SQL["record_migration"], record)
        connection.execute("COMMIT")
    except BaseException:
        rollback(connection)
        raise


def rollback(connection: sqlite3.Connection) -> None:
    """Undo what is not committed; SQLite may have done so already."""
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
