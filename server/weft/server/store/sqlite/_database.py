"""The database file: its lock, its connections and its schema."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from weft.core.clock import Clock
from weft.server.store.base import StoreDamagedError, StoreUnavailableError
from weft.server.store.codec import to_micros
from weft.server.store.migrate import AppliedMigration, Migration, load_migrations, pending_migrations
from weft.server.store.queries import load_queries
from weft.server.store.sqlite._acknowledged import Acknowledged
from weft.server.store.sqlite._faults import fault_of
from weft.server.store.sqlite._lock import DirectoryLock
from weft.server.store.sqlite._log import Damage, opened_log
from weft.server.store.sqlite._valid import valid_frames

__all__ = ["SQL", "Database", "rollback"]

logger = logging.getLogger("weft.store")

SQL = load_queries("sqlite")

_MINIMUM = (3, 37, 0)
"""The first release with STRICT tables."""
_BUSY_SECONDS = 5.0
_PATIENCE = 0.3
"""Seconds that the owner of the directory is waited for: a command may look at the log before we do."""
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


_HINT = (
    "Nothing was changed. Copy the folder, then restore a backup; or take what is left with "
    "`weft admin accept-loss`"
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
        self._acknowledged = Acknowledged(path) if path else None
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
            StoreDamagedError: What was acknowledged is not all there.
            StoreUnavailableError: It cannot be opened; the message says why.
        """
        if sqlite3.sqlite_version_info < _MINIMUM:
            needed = ".".join(map(str, _MINIMUM))
            raise StoreUnavailableError(
                f"SQLite {sqlite3.sqlite_version} is too old for the store: {needed} is needed"
            )
        try:
            self._own()
            self.check_log()
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
        self._lock.acquire(_PATIENCE)
        if self.path.is_dir():
            raise IsADirectoryError(f"{self.path} is a directory")
        # Payloads are nobody else's business; SQLite gives the files beside it the same mode.
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE))

    def damage(self) -> Damage | None:
        """Tell whether the log lacks what was acknowledged; nobody else has it open."""
        if self.path is None or self._acknowledged is None:
            return None
        with opened_log(self.log) as log:
            if log.empty:
                return None
            return log.damage(valid_frames(self.path, log.salt), self._acknowledged.read())

    @property
    def log(self) -> Path:
        """The write-ahead log of the file."""
        return Path(f"{self.path}-wal")

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Keep everybody else out while the block runs.

        Raises:
            StoreInUseError: Another process has it.
        """
        assert self._lock is not None
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def check_log(self) -> None:
        """Look at the log; nobody else has it open.

        Raises:
            StoreDamagedError: What was acknowledged is not all there.
        """
        found = self.damage()
        if found is not None:
            raise StoreDamagedError(self.log, found.offset, found.why, _HINT)

    def acknowledge(self) -> None:
        """Take note that all that was committed is on the disk."""
        if self._acknowledged is not None:
            with suppress(OSError):  # an older note only says less
                self._acknowledged.note()

    def write_back(self, connection: sqlite3.Connection) -> None:
        """Write the log back to the file, so that it is whole by itself, and close."""
        try:
            if self._acknowledged is not None:
                with suppress(OSError):
                    self._acknowledged.forget()
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()

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
        """Give up ownership, after everything is closed."""
        if self._acknowledged is not None:
            self._acknowledged.close()
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
            self._begin_notes()
        except BaseException:
            connection.close()
            raise
        if self.path is not None:
            self._identity = _identity(self.path)
        return connection

    def _begin_notes(self) -> None:
        """Go on taking notes, unless the log that SQLite has opened ends before what was noted."""
        if self._acknowledged is None:
            return
        try:
            self._acknowledged.open()
        except OSError as error:
            logger.warning("what is acknowledged cannot be noted beside %s: %s", self.path, error)
        if missing := self._acknowledged.missing():
            raise StoreDamagedError(
                self.log, None, f"{missing} frames are missing that were acknowledged", _HINT
            )

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
