"""Servers on a store, and the workers that they call: everything that faults are done to."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from pathlib import Path

from tests.faults.rig.child import Child, listening
from tests.faults.rig.next_release import next_release
from tests.faults.rig.proxy import Proxy
from tests.faults.rig.server import BUG, FOLDER
from tests.faults.rig.stores import StoreAdapter

_DEFECTS = ("Traceback", "a defect of the engine", '"level":"critical"')


class ServerNode(Child):
    """One server: an address that stays, and whichever process answers there now."""

    def __init__(self, number: int, folder: Path, store: StoreAdapter, bug: str = "") -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.failpoints = folder / f"failpoints-{number}"
        self.failpoints.mkdir(parents=True)
        options = ("--listen", self.address, "--log-format", "json", "--drain", "5")
        environ = {FOLDER: str(self.failpoints)}
        if bug:
            environ[BUG] = bug
        super().__init__(
            f"server-{number}",
            folder / f"server-{number}.log",
            lambda _: ("tests.faults.rig.server", *options, *store.arguments(number)),
            environ,
        )

    def arm(self, failpoint: str, action: str) -> None:
        """Have the process kill or stop itself when it next passes a failpoint."""
        order = self.failpoints / failpoint
        waiting = order.with_suffix(order.suffix + ".new")
        waiting.write_text(action)
        waiting.rename(order)

    def fired(self, failpoint: str) -> float | None:
        """Return when an order was carried out, by the monotonic clock: callers notice at once."""
        with suppress(FileNotFoundError):
            renamed = (self.failpoints / f"{failpoint}.fired").stat().st_ctime
            return time.monotonic() - (time.time() - renamed)
        return None

    def disarm(self, failpoint: str) -> bool:
        """Take an order back; tell whether it was carried out."""
        (self.failpoints / failpoint).unlink(missing_ok=True)
        fired = self.failpoints / f"{failpoint}.fired"
        if fired.exists():
            fired.unlink()
            return True
        return False

    async def up(self) -> None:
        await listening(self.port)


class Cluster:
    """A store, its servers, a proxy before the first of them, and workers.

    Args:
        store: Where the data is.
        folder: For logs, journals and orders.
        workers: How many processes run actions.
        bug: What is planted in every server.
    """

    def __init__(self, store: StoreAdapter, folder: Path, workers: int = 2, bug: str = "") -> None:
        self.store = store
        self.folder = folder
        self.servers = [ServerNode(number, folder, store, bug) for number in range(store.replicas)]
        self.proxy = Proxy(self.servers[0].port)
        self.workers = [self._worker(number) for number in range(workers)]

    def _worker(self, number: int) -> Child:
        server = self.servers[number % len(self.servers)].address
        journal = self.folder / f"worker-{number}.jsonl"

        def arguments(life: int) -> Sequence[str]:
            return (
                *("tests.faults.rig.worker", "--server", server),
                *("--journal", str(journal), "--life", f"w{number}.{life}"),
            )

        return Child(f"worker-{number}", self.folder / f"worker-{number}.log", arguments)

    @property
    def children(self) -> tuple[Child, ...]:
        return (*self.servers, *self.workers)

    @cached_property
    def next_release(self) -> Mapping[str, str]:
        """The variables with which a server is of the next release, made when it is asked for first."""
        return next_release(self.folder / "next")

    @property
    def addresses(self) -> list[str]:
        """Where callers find a server: by the proxy, and directly."""
        return [self.proxy.address, *(server.address for server in self.servers[1:])]

    async def start(self) -> None:
        await self.store.open()
        await self.proxy.start()
        for number, server in enumerate(self.servers):
            server.environ |= self.store.environ(number)
            server.keep()
        await asyncio.gather(*(server.up() for server in self.servers))
        for worker in self.workers:
            worker.keep()

    async def stop(self) -> None:
        """Let everything end by itself, so that the store is whole."""
        await asyncio.gather(*(worker.release() for worker in self.workers))
        for worker in self.workers:
            worker.kill()
        await asyncio.gather(*(server.stop() for server in self.servers))

    async def close(self) -> None:
        for child in self.children:
            await child.close()
        await self.proxy.close()
        await self.store.close()

    def log_faults(self) -> Iterator[str]:
        """Return what servers logged and must not have."""
        for server in self.servers:
            for line in server.output.splitlines():
                if any(sign in line for sign in _DEFECTS):
                    yield f"{server.name}: {_shortened(line)}"


def _shortened(line: str) -> str:
    try:
        entry = json.loads(line)
    except ValueError:
        return line[:300]
    return f"{entry.get('event', '')}: {str(entry.get('exception', ''))[-400:]}"


@asynccontextmanager
async def running(cluster: Cluster) -> AsyncIterator[Cluster]:
    """Own a cluster; whatever still runs at the end is killed."""
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
