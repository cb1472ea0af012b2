"""Who owns a data directory: a lock that dies with its process."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from weft.server.store.base import StoreInUseError

__all__ = ["LOCK_NAME", "DirectoryLock"]

LOCK_NAME = "weft.lock"
_PAUSE = 0.02


class DirectoryLock:
    """An exclusive lock on a file in the directory, which names the process that holds it.

    The kernel lets go of it when the process ends, however that happens, so a
    file that was left behind locks nobody out.

    Args:
        directory: What to own.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK_NAME
        self._file: int | None = None

    def acquire(self, patience: float = 0.0) -> None:
        """Take the lock.

        Args:
            patience: Seconds that whoever has it is waited for; ``weft admin`` has it for a moment.

        Raises:
            StoreInUseError: Somebody else has it.
            OSError: The file cannot be made or written.
        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(file, time.monotonic() + patience)
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(file, 32, 0).decode(errors="replace").strip()
            os.close(file)
            who = f"process {holder}" if holder else "another process"
            raise StoreInUseError(f"{self._path.parent} is in use by {who}") from None
        except OSError:
            os.close(file)
            raise
        self._file = file

    def release(self) -> None:
        """Let go, if it is held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _lock(file: int, until: float) -> None:
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
            time.sleep(_PAUSE)
