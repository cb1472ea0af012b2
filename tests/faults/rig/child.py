"""Processes that the rig starts, kills, stops, and starts again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_LOOK_SECONDS = 0.01


class Child:
    """A program that is kept running: whenever it ends, it is started again.

    Args:
        name: For logs and reports.
        log: Where its output goes.
        arguments: Of a Python module.
        environ: What is added to the environment.
        inside: A command to start it in, such as one that mounts a disk.

    Attributes:
        starts: How often it was started.
        exits: Exit codes so far; a signal as its negative number.
    """

    def __init__(
        self,
        name: str,
        log: Path,
        arguments: Callable[[int], Sequence[str]],
        environ: Mapping[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.log = log
        self.environ: dict[str, str] = dict(environ or {})
        self.inside: Sequence[str] = inside
        self.starts = 0
        self.exits: list[int] = []
        self.before_start: Callable[[], None] = lambda: None
        self.process: subprocess.Popen[bytes] | None = None
        self._arguments = arguments
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.before_start()
        self.starts += 1
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*self.inside, sys.executable, "-m", *self._arguments(self.starts)],
                cwd=ROOT,
                # An installed server is compiled: one that is killed must not compile all of it again.
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def keep(self) -> None:
        """Start it, and again whenever it ends."""
        self.start()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def _keep(self) -> None:
        while True:
            await self.gone()
            self.start()

    async def gone(self, within: float = 3_600) -> int:
        """Wait for the end of the process that runs now."""
        process = self.process
        assert process is not None
        end = time.monotonic() + within
        while (code := process.poll()) is None:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name} did not end")
            await asyncio.sleep(_LOOK_SECONDS)
        if process is self.process:
            self.exits.append(code)
        return code

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it as the machine would: without a word."""
        self.signal(signal.SIGKILL)

    async def stop(self, within: float = 30) -> int:
        """End it for good, politely."""
        await self.release()
        self.signal(signal.SIGTERM)
        return await self.gone(within)

    async def release(self) -> None:
        """Keep it no longer."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None

    async def close(self) -> None:
        """End it for good, whatever it does."""
        await self.release()
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


async def until(holds: Callable[[], bool | Awaitable[bool]], within: float) -> bool:
    """Look again and again whether a condition holds; tell whether it did in time."""
    end = time.monotonic() + within
    while True:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return True
        if time.monotonic() > end:
            return False
        await asyncio.sleep(_LOOK_SECONDS)


async def listening(port: int, within: float = 120) -> None:
    """Wait until somebody takes connections there."""
    async with asyncio.timeout(within):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                writer.close()
                return
