"""A SQLite store whose disk forgets what was not fsynced."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults.rig.child import ROOT
from tests.faults.rig.powerfs import mount, unmount
from tests.faults.rig.stores import SqliteStoreAdapter


def why_no_fuse() -> str:
    """Return why there can be no power cuts here; empty when there can."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            device = mount(folder)
        except OSError as error:
            return f"power cuts need /dev/fuse and the right to mount: {error}"
        unmount(folder)
        os.close(device)
    return ""


class PowerCutStoreAdapter(SqliteStoreAdapter):
    """One server on one file, on a file system that ``cut`` makes forget.

    Args:
        folder: Where it is mounted.
        torn: Keep some of the unsynced blocks, by chance, instead of none.
    """

    name = "sqlite"

    def __init__(self, folder: Path, *, torn: bool = False) -> None:
        super().__init__(folder / "data")
        self._mount = folder
        self._torn = torn
        self._fs: subprocess.Popen[bytes] | None = None
        self.lost: list[int] = []
        """How many blocks each cut made it forget."""

    async def open(self) -> None:
        self._start()

    def _start(self) -> None:
        self._mount.mkdir(parents=True, exist_ok=True)
        self._fs = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.rig.powerfs", str(self._mount)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._said() == "mounted"

    def cut(self) -> None:
        """Take the power away, now that nobody uses it."""
        assert self._fs is not None
        assert self._fs.stdin is not None
        order = f"tear {len(self.lost)}\n" if self._torn else "drop\n"
        self._fs.stdin.write(order.encode())
        self._fs.stdin.flush()
        self.lost.append(int(self._said()))

    def _said(self) -> str:
        assert self._fs is not None
        assert self._fs.stdout is not None
        return self._fs.stdout.readline().decode().strip()

    async def close(self) -> None:
        if self._fs is not None:
            unmount(str(self._mount))
            self._fs.communicate(timeout=10)
