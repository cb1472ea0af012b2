"""The processes of a benchmark: started, waited for, measured, and stopped by their ids."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.child import PROFILE

__all__ = ["Child", "Processes", "StartError", "announce", "cpu_seconds"]

ROOT = Path(__file__).resolve().parent.parent

_START_SECONDS = 20.0
_STOP_SECONDS = 15.0
_POLL = 0.02
_MOST = 9
"""No benchmark needs more processes at once."""


class StartError(Exception):
    """A process did not come up; the message ends with the last lines it wrote."""


@dataclass(frozen=True, slots=True)
class Child:
    """One process."""

    name: str
    """What it is."""
    popen: subprocess.Popen[bytes]
    """The process."""
    log: Path
    """Everything that it writes."""

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used, in user and kernel mode, of all threads."""
        return cpu_seconds(self.popen.pid)

    def resident_megabytes(self) -> float:
        """Return how much of its memory is there now."""
        pages = Path(f"/proc/{self.popen.pid}/statm").read_text(encoding="utf-8").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1_000_000

    async def address(self) -> str:
        """Wait until it says that it is ready, and where.

        Raises:
            StartError: It ended, or did not say so in time.
        """
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            code = self.popen.poll()
            if address := _ready_address(self.log):
                return address
            if code is not None:
                raise StartError(f"{self.name} ended with code {code}:\n{self._last_words()}")
            await asyncio.sleep(_POLL)
        raise StartError(f"{self.name} was not ready within {_START_SECONDS:.0f} s:\n{self._last_words()}")

    def _last_words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2_000:]


class Processes:
    """The processes of one benchmark; leaving the block stops them, the last one first.

    Args:
        place: An empty directory, for data and logs.
        profiles: Where a profile of each process goes; none: they are not profiled.
    """

    def __init__(self, place: Path, profiles: Path | None = None) -> None:
        self.place = place
        self._profiles = profiles
        self._children: list[Child] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._children:
            _stop(self._children.pop())

    def start(self, name: str, module: str, *arguments: str, prefix: Sequence[str] = ()) -> Child:
        """Start a module of Python in a process of its own.

        Args:
            name: Of the process, and of its log.
            module: What to run.
            arguments: Of its command line.
            prefix: A command that becomes the process, such as a tracer that stands aside.
        """
        if len(self._children) == _MOST:
            raise StartError(f"a benchmark may start {_MOST} processes")
        log = self.place / f"{name}.log"
        python = (sys.executable, "-m", "benchmarks.child", str(os.getpid()))
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [*prefix, *python, module, *arguments],
                cwd=ROOT,
                env=self._environment(name),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Child(name, popen, log)
        self._children.append(child)
        return child

    def kill(self, child: Child) -> None:
        """End a process as kill -9 does."""
        child.popen.kill()
        child.popen.wait()
        self._children.remove(child)

    def start_server(
        self,
        name: str = "server",
        *,
        listen: str = "127.0.0.1:0",
        options: Sequence[str] = (),
        prefix: Sequence[str] = (),
    ) -> Child:
        """Start a Weft server as users do, on a data directory that is empty unless it ran before.

        Args:
            name: Of the process, and of the directory.
            listen: Where; by default on a free port.
            options: Further ones of its command line.
            prefix: As for ``start``.
        """
        own = ["--listen", listen, "--data-dir", str(self.place / f"{name}-data"), "--log-format", "json"]
        return self.start(name, "weft.cli", "server", *own, *options, prefix=prefix)

    def _environment(self, name: str) -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("WEFT_")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed server is compiled
        if self._profiles is not None:
            environment[PROFILE] = str(self._profiles / f"{name}.prof")
        return environment


def cpu_seconds(pid: int, *, ended_children: bool = False) -> float:
    """Return the processor time of a process, in user and kernel mode, of all threads; 0 when it is gone.

    Args:
        pid: Its id.
        ended_children: Whether what its children used, that have ended, counts too.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    times = stat.rpartition(")")[2].split()[11:15]
    return sum(map(int, times if ended_children else times[:2])) / os.sysconf("SC_CLK_TCK")


def announce(address: str) -> None:
    """Say from within a process that it is ready, and where, as the server's log does."""
    print(json.dumps({"event": "ready", "address": address}), flush=True)


def _ready_address(log: Path) -> str:
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):
            entry: Any = json.loads(line)
            if isinstance(entry, dict) and entry.get("event") == "ready":
                return str(entry["address"])
    return ""


def _stop(child: Child) -> None:
    """Ask it to end, then make it; the wait is bounded."""
    child.popen.terminate()
    try:
        child.popen.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.popen.kill()
        child.popen.wait()
