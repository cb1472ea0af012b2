"""Several ``weft server`` processes on one database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

from tests.integration.engine.processes import Process, free_port, listening
from weft.client import Client, RetryPolicies, RetryPolicy, connect

PATIENT = RetryPolicy(
    max_retries=300, base_delay=timedelta(milliseconds=30), max_delay=timedelta(seconds=0.2)
)


class Replica:
    """One address, and whichever process serves it now."""

    def __init__(self, folder: Path, url: str, *, lease: float) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process: Process | None = None
        self._log = folder / f"replica-{self.port}.log"
        self._url = url
        self._lease = lease

    async def up(self) -> None:
        """Start it and wait until it takes connections."""
        self.process = Process(
            self._log,
            *("weft.cli", "server", "--listen", self.address, "--log-format", "json"),
            *("--lease", str(self._lease), "--drain", "2"),
            environ={"WEFT_DATABASE_URL": self._url},
        )
        await listening(self.port, self.process, within=40)

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.child.poll() is None

    @property
    def running(self) -> Process:
        assert self.process is not None
        return self.process

    async def stop(self) -> int:
        self.running.terminate()
        return await self.running.ended()

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        if self.process is not None:
            if self.process.child.poll() is None:
                self.process.resume()
            self.process.close()


class Fleet:
    """Servers, and a client of each."""

    def __init__(self, replicas: list[Replica], clients: list[Client]) -> None:
        self.replicas = replicas
        self.clients = clients

    def __len__(self) -> int:
        return len(self.replicas)


@asynccontextmanager
async def fleet_of(replicas: Sequence[Replica]) -> AsyncIterator[Fleet]:
    """Have all of them run, with a client that waits patiently for its own."""
    policies = RetryPolicies(create=PATIENT, update=PATIENT, read=PATIENT, watch=PATIENT)
    await asyncio.gather(*(replica.up() for replica in replicas if not replica.runs))
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                connect(replica.address, retry=policies, timeout=timedelta(seconds=5))
            )
            for replica in replicas
        ]
        yield Fleet(list(replicas), clients)


@contextmanager
def replicas_of(count: int, folder: Path, url: str, *, lease: float) -> Iterator[list[Replica]]:
    """Own that many addresses; whatever serves them at the end is killed."""
    made = [Replica(folder, url, lease=lease) for _ in range(count)]
    try:
        yield made
    finally:
        for replica in made:
            replica.close()
