"""A store that breaks says so, refuses at once, and heals by itself."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.store.samples import execution, first_events, service
from weft.core.testing import ManualClock
from weft.server.store.base import StoreFullError, StoreState, StoreUnavailableError
from weft.server.store.sqlite import SqliteStore
from weft.server.store.sqlite._jobs import Job

pytestmark = pytest.mark.integration

BIG = b'{"t":"' + b"x" * 1_000_000 + b'"}'


class Watcher:
    """Remembers what a store told, and waits for a word."""

    def __init__(self, store: SqliteStore) -> None:
        self.told: list[StoreState] = []
        self._changed = asyncio.Event()
        store.subscribe(self._note)

    def _note(self, state: StoreState) -> None:
        self.told.append(state)
        self._changed.set()

    async def wait_for(self, state: StoreState) -> None:
        while not self.told or self.told[-1] is not state:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 10)


def limit_pages(store: SqliteStore, spare: int) -> asyncio.Future[None]:
    """Leave room for so many pages, as a small disk would; it goes past a broken store's refusal."""

    def limit(connection: sqlite3.Connection) -> None:
        count = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {count + spare}")

    assert store._writer is not None
    limited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    store._writer._queue.put(Job(limit, limited, reads=True))
    return limited


def move(path: Path, target: Path) -> None:
    path.replace(target)


def exists(path: Path) -> bool:
    return path.exists()


@pytest.fixture(name="any_store", params=["file", "memory"])
async def file_or_memory(
    request: pytest.FixtureRequest, path: Path, clock: ManualClock
) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(path if request.param == "file" else None, clock)
    await opened.open()
    yield opened
    await opened.close()


async def test_a_full_disk_is_told_and_heals(any_store: SqliteStore, clock: ManualClock) -> None:
    """Nothing of the write is there; reads go on; writes go on when there is space again."""
    store = any_store
    watcher = Watcher(store)
    kept = await store.insert_service(service("kept"))
    await limit_pages(store, 10)
    lost = execution()
    with pytest.raises(StoreFullError) as full:
        await store.insert_execution(lost, first_events(lost, BIG))
    assert full.value.message == f"no space left for {store._database.where}"
    assert full.value.retry_after is not None
    assert store.state is StoreState.BROKEN
    assert watcher.told == [StoreState.BROKEN]

    await clock.advance(1)
    for attempt in (store.insert_service(service("b")), store.check()):
        with pytest.raises(StoreFullError):
            await attempt
    assert await store.get_service("kept") == kept
    assert await store.get_execution(lost.id) is None

    await limit_pages(store, 100_000)
    await watcher.wait_for(StoreState.HEALTHY)
    assert watcher.told == [StoreState.BROKEN, StoreState.HEALTHY]
    await store.check()
    await store.insert_execution(lost, first_events(lost, BIG))
    assert await store.read_events(lost.id, max_bytes=1) == (first_events(lost, BIG)[0],)


async def test_everything_in_a_failed_batch_fails(store: SqliteStore) -> None:
    """Nobody in it is told that a write is there; afterwards none is."""
    await limit_pages(store, 10)
    made = [execution() for _ in range(20)]
    payloads = [BIG if number == 10 else b"{}" for number in range(20)]
    # Keeps the writer busy, so that the twenty gather behind it.
    store._write(lambda connection: connection.execute("SELECT 1").fetchone())
    results = await asyncio.gather(
        *(
            store.insert_execution(each, first_events(each, payload))
            for each, payload in zip(made, payloads, strict=True)
        ),
        return_exceptions=True,
    )
    assert isinstance(results[10], StoreFullError)
    for each, result in zip(made, results, strict=True):
        stored = await store.get_execution(each.id)
        assert (stored is None) == isinstance(result, StoreFullError)


async def test_a_lost_file_is_noticed_and_found_again(
    store: SqliteStore, path: Path, clock: ManualClock
) -> None:
    """What is written to a removed file would be lost, so nothing is; no empty one is made in its place."""
    watcher = Watcher(store)
    kept = await store.insert_service(service("kept"))
    moved = path.with_name("moved.db")
    move(path, moved)
    await clock.advance(1)
    with pytest.raises(StoreUnavailableError) as lost:
        await store.check()
    assert lost.value.message == f"{path}: No such file or directory"
    assert store.state is StoreState.BROKEN
    with pytest.raises(StoreUnavailableError):
        await store.insert_service(service("b"))
    await asyncio.sleep(0.1)  # it tries to open it again meanwhile
    assert exists(path) is False

    move(moved, path)
    await watcher.wait_for(StoreState.HEALTHY)
    assert watcher.told == [StoreState.BROKEN, StoreState.HEALTHY]
    await store.check()
    assert await store.get_service("kept") == kept
    await store.insert_service(service("b"))


async def test_a_replaced_file_is_refused(store: SqliteStore, path: Path, clock: ManualClock) -> None:
    """The log beside it belongs to the old one: the two must not mix. With the old one back it heals."""
    watcher = Watcher(store)
    await store.insert_service(service("old"))
    other = SqliteStore(path.parent / "elsewhere" / "weft.db")
    await other.open()
    await other.close()
    moved = path.with_name("moved.db")
    move(path, moved)
    move(path.parent / "elsewhere" / "weft.db", path)
    await clock.advance(1)
    with pytest.raises(StoreUnavailableError, match="replaced by another file"):
        await store.check()
    await asyncio.sleep(0.1)  # it tries to open it again meanwhile
    assert store.state is StoreState.BROKEN
    move(moved, path)
    await watcher.wait_for(StoreState.HEALTHY)
    assert await store.get_service("old") is not None


async def test_a_store_can_be_closed_while_broken(store: SqliteStore, path: Path, clock: ManualClock) -> None:
    """It lets go of the directory, and the next one finds everything."""
    await store.insert_service(service("kept"))
    moved = path.with_name("moved.db")
    move(path, moved)
    await clock.advance(1)
    with pytest.raises(StoreUnavailableError):
        await store.check()
    await store.close()
    move(moved, path)
    again = SqliteStore(path)
    await again.open()
    assert await again.get_service("kept") is not None
    await again.close()


async def test_a_failing_listener_harms_nobody(
    store: SqliteStore, path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the next listener is called."""

    def fail(_: StoreState) -> None:
        raise RuntimeError("listener")

    store.subscribe(fail)
    watcher = Watcher(store)
    move(path, path.with_name("moved.db"))
    await clock.advance(1)
    with pytest.raises(StoreUnavailableError):
        await store.check()
    assert watcher.told == [StoreState.BROKEN]
    assert "a listener of the store failed" in caplog.text


async def test_a_check_writes_once_a_second(store: SqliteStore, clock: ManualClock) -> None:
    """However often it is asked, and however many ask at once."""

    async def serial() -> int:
        found: int = await store._read(lambda c: c.execute("SELECT serial FROM health").fetchone()[0])
        return found

    before = await serial()
    await asyncio.gather(*(store.check() for _ in range(10)))
    await store.check()
    assert await serial() == before + 1
    await clock.advance(0.9)
    await store.check()
    assert await serial() == before + 1
    await clock.advance(0.2)
    await store.check()
    assert await serial() == before + 2


FAILING_WRITES = """
import asyncio, os, resource, sys
from pathlib import Path
from tests.contract.store.samples import execution, first_events
from weft.server.store.base import StoreState, StoreUnavailableError
from weft.server.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    told, healed = [], asyncio.Event()
    store.subscribe(lambda state: (told.append(state), state is StoreState.HEALTHY and healed.set()))
    acked = []
    async def insert(size):
        made = execution()
        await store.insert_execution(made, first_events(made, b'{"t":"' + b"x" * size + b'"}'))
        acked.append(made)
    await asyncio.gather(*(insert(10) for _ in range(50)))
    size = os.stat(sys.argv[1] + "-wal").st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 8192, resource.RLIM_INFINITY))
    results = await asyncio.gather(*(insert(100_000) for _ in range(20)), return_exceptions=True)
    assert any(isinstance(result, StoreUnavailableError) for result in results), results
    assert told[0] is StoreState.BROKEN and store.state is StoreState.BROKEN
    try:
        await insert(10)
    except StoreUnavailableError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await asyncio.wait_for(healed.wait(), 10)
    await insert(100_000)
    for made in acked:
        assert await store.get_execution(made.id) == made
        assert len(await store.read_events(made.id)) == 2
    await store.close()
    print(len(acked) >= 51, *told)

asyncio.run(main())
"""


def test_a_failing_disk_is_told_and_heals(path: Path, pytestconfig: pytest.Config) -> None:
    """Writes fail in the kernel: all are unknown, what was acknowledged is there after the recovery."""
    command = [sys.executable, "-c", FAILING_WRITES, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=pytestconfig.rootpath, check=False)
    assert done.stderr == f"the store is broken: {path}: disk I/O error\n"
    assert done.stdout.splitlines() == [f"{path}: disk I/O error", "True BROKEN HEALTHY"]
