"""A PostgreSQL on small disks: one for its tables, one for its log, which the rig fills and frees."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import asyncpg

from tests.faults.rig.postgres import PostgresStoreAdapter
from tests.support.postgres import PostgresServer

_SIZE: Final = "64m"
_SETTINGS: Final = {
    "max_wal_size": "16MB",
    "min_wal_size": "2MB",
    # What the log needs next is not there already: it is taken from the disk, as it is full.
    "wal_recycle": "off",
}
_PAUSE: Final = 0.5
"""How many seconds the database is left alone when it does not come back."""


def why_no_disks() -> str:
    """Return why there can be no small disks here; empty when there can."""
    with tempfile.TemporaryDirectory() as folder:
        disk = SmallDisk(Path(folder), "1m")
        try:
            disk.mount()
        except OSError as error:
            return f"small disks need the right to mount: {error}"
        disk.unmount()
    return ""


class SmallDisk:
    """A file system of its own, filled by a file of somebody else: the real ENOSPC.

    Args:
        folder: Where it is mounted.
        size: As ``mount`` takes it.
    """

    def __init__(self, folder: Path, size: str) -> None:
        self.folder = folder
        self._size = size
        self._filler = folder / "filler"

    def mount(self) -> None:
        """Make it, empty.

        Raises:
            OSError: That is not allowed here.
        """
        self.folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={self._size},mode=777", "none", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.strip())

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)

    def fill(self) -> None:
        """Take all that is left of it."""
        with suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


class FullDiskStoreAdapter(PostgresStoreAdapter):
    """Replicas on one database, of which the tables and the log are on small disks.

    Attributes:
        tables: Has the tables.
        log: Has the write-ahead log.
    """

    def __init__(self) -> None:
        # Another user must be able to enter it, so a test's own folder will not do.
        self._folder = Path(tempfile.mkdtemp(prefix="weft-disks-"))
        self._folder.chmod(0o755)
        self.tables = SmallDisk(self._folder / "tables", _SIZE)
        self.log = SmallDisk(self._folder / "log", _SIZE)
        super().__init__(PostgresServer(durable=True, log_in=self.log.folder / "wal", settings=_SETTINGS))

    async def open(self) -> None:
        for disk in (self.tables, self.log):
            disk.mount()
        await super().open()

    async def _database(self) -> str:
        await self._server.make_tablespace("small", self.tables.folder / "tables")
        return await self._server.database(tablespace="small")

    async def close(self) -> None:
        await super().close()
        for disk in (self.tables, self.log):
            disk.unmount()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def press(self) -> None:
        """Write to the log, as somebody else may: it comes to where there is no room the sooner."""
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await self._server.execute("SELECT pg_logical_emit_message(true, 'rig', repeat('x', 300000))")

    async def has_room(self) -> None:
        """Free both disks, and start the database again if the lack of room has ended it."""
        self.tables.free()
        self.log.free()
        if not self._server.running:
            await asyncio.to_thread(self._bring_back, _PAUSE)
