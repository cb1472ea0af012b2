"""How far the log was acknowledged, in a file beside it: what is there no more at the next start was lost."""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

from weft.server.store.sqlite._log import INDEX_HEADER, Position, read_index

__all__ = ["Acknowledged"]

_MAGIC: Final = b"weftack1"
_RECORD: Final = struct.Struct(">8s8sQ")
_NOTHING: Final = Position(bytes(8), 0)


class Acknowledged:
    """Takes note of each commit after it is on the disk, and before anybody is told.

    A note outlives the process at once, and a power cut once the system has written
    it back; it never says more than what is on the disk. It is not synced: that would
    be another wait for the disk with each commit.

    Args:
        database: The database file.
    """

    def __init__(self, database: Path) -> None:
        self._path = Path(f"{database}-acked")
        self._index_path = Path(f"{database}-shm")
        self._file: int | None = None
        self._index: int | None = None
        self._last = _NOTHING

    def read(self) -> Position | None:
        """Return what was noted last; None when that is nothing, or cannot be read."""
        try:
            content = self._path.read_bytes()
        except OSError:
            return None
        record, seal = content[: _RECORD.size], content[_RECORD.size :]
        if len(record) < _RECORD.size or seal != _seal(record):
            return None
        magic, salt, frames = _RECORD.unpack(record)
        found = Position(salt, frames)
        return None if magic != _MAGIC or found == _NOTHING else found

    def open(self) -> None:
        """Begin to take notes; SQLite has the database open.

        The index is never closed while SQLite has it: that would drop SQLite's locks
        on it, which are the process's.
        """
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._index is not None and not _is_at(self._index, self._index_path):
            if os.fstat(self._index).st_nlink == 0:  # SQLite has let go of it
                os.close(self._index)
            self._index = None
        if self._index is None:
            with suppress(FileNotFoundError):
                self._index = os.open(self._index_path, os.O_RDONLY | os.O_CLOEXEC)

    def note(self) -> None:
        """Take note that all that the log has now is on the disk."""
        found = self._now()
        if found is not None and found != self._last:
            self._write(found)

    def missing(self) -> int:
        """Return how many frames the log that is open lacks of those that were noted by this process."""
        found = self._now()
        if found is None or found.salt != self._last.salt:
            return 0
        return max(0, self._last.frames - found.frames)

    def _now(self) -> Position | None:
        return None if self._index is None else read_index(os.pread(self._index, INDEX_HEADER, 0))

    def forget(self) -> None:
        """Say nothing more of the log, as it will be written back and go; waits for the disk."""
        if self._file is not None:
            self._write(_NOTHING)
            os.fsync(self._file)  # a note must not be found when the log is gone
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go, after SQLite has."""
        for file in (self._file, self._index):
            if file is not None:
                os.close(file)
        self._file = self._index = None

    def _write(self, position: Position) -> None:
        assert self._file is not None
        record = _RECORD.pack(_MAGIC, *position)
        os.pwrite(self._file, record + _seal(record), 0)
        self._last = position


def _seal(record: bytes) -> bytes:
    return zlib.crc32(record).to_bytes(4, "big")


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
