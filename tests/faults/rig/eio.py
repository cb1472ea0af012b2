"""A disk that answers fsync with EIO: a small library that the server is started with."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.faults.rig.stores import SqliteStoreAdapter

_SOURCE = Path(__file__).with_name("eio.c")


class FailingDiskStoreAdapter(SqliteStoreAdapter):
    """One server on one file, whose fsyncs fail when told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._library = folder.with_name("eio.so")
        self.order = folder.with_name("eio")
        self.fired = folder.with_name("eio.fired")

    async def open(self) -> None:
        self._build()

    def _build(self) -> None:
        self._library.parent.mkdir(parents=True, exist_ok=True)
        command = ["cc", "-shared", "-fPIC", "-o", str(self._library), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True)

    def environ(self, _server: int, /) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "WEFT_RIG_EIO": str(self.order)}

    def begin(self) -> None:
        self.order.touch()

    def heal(self) -> None:
        self.end()

    def end(self) -> bool:
        """Let it work again; tell whether anybody noticed."""
        self.order.unlink()
        if self.fired.exists():
            self.fired.unlink()
            return True
        return False
