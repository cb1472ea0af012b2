"""``weft server`` and providers as real processes, which can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A child whose output goes to a file."""

    def __init__(
        self,
        log: Path,
        *arguments: str,
        inside: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self.child = subprocess.Popen(
                [*inside, sys.executable, "-m", *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environ or {})},
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End it as the machine would: without a word."""
        self.child.kill()
        self.child.wait(10)

    def pause(self) -> None:
        """Hold it: it neither does anything nor ends."""
        self.child.send_signal(signal.SIGSTOP)
        os.waitpid(self.child.pid, os.WUNTRACED)  # until it stands still

    def resume(self) -> None:
        """Let it go on."""
        self.child.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        self.child.send_signal(signal.SIGTERM)

    async def ended(self, within: float = 20) -> int:
        """Wait for its end; return the exit code."""
        await until(lambda: self.child.poll() is not None, within)
        return self.child.wait()

    def close(self) -> None:
        if self.child.poll() is None:
            self.kill()


class ServerProcess:
    """One address and one data directory, and whichever process serves them now."""

    def __init__(self, folder: Path, *, port: int | None = None, drain: float = 10.0) -> None:
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.data_dir = folder / "data"
        self.process: Process | None = None
        self.starts = 0
        self.inside: Sequence[str] = ()
        """A command to start it in, such as one that mounts a small disk."""
        self._log = folder / "server.log"
        self._drain = drain

    def start(self) -> Process:
        self.starts += 1
        self.process = Process(
            self._log,
            *("weft.cli", "server", "--listen", self.address, "--data-dir", str(self.data_dir)),
            *("--drain", str(self._drain), "--log-format", "json"),
            inside=self.inside,
        )
        return self.process

    async def up(self) -> None:
        """Start it and wait until it takes connections."""
        process = self.start()
        await listening(self.port, process)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    async def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return await self.process.ended()

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        if self.process is not None:
            self.process.close()


async def until(holds: Callable[[], bool | Awaitable[bool]], within: float = 15) -> None:
    """Look again and again until a condition holds: what other processes do has no event here.

    A look that takes longer is followed by a longer pause: it leaves the processor to what it waits for.
    """
    async with asyncio.timeout(within):
        while True:
            began = time.monotonic()
            found = holds()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(min(0.05, max(0.003, 2 * (time.monotonic() - began))))


async def listening(port: int, process: Process, within: float = 20) -> None:
    """Wait until somebody takes connections there."""
    async with asyncio.timeout(within):
        while True:
            assert process.child.poll() is None, process.output[-2_000:]
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.005)
            else:
                writer.close()
                return


@contextmanager
def server_in(folder: Path, *, port: int | None = None, drain: float = 10.0) -> Iterator[ServerProcess]:
    """Own a server's address and data; whatever serves them at the end is killed."""
    server = ServerProcess(folder, port=port, drain=drain)
    try:
        yield server
    finally:
        server.close()
