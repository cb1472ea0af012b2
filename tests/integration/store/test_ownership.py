"""One process owns a data directory, as long as it lives."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.store.samples import (
    advanced,
    execution,
    first_events,
    instance,
    key,
    output,
    service,
    workflow,
)
from weft.server.store.base import ExecutionFilter, Page, StoreInUseError
from weft.server.store.sqlite import SqliteStore

pytestmark = pytest.mark.integration

ACKER = Path(__file__).with_name("acker.py")


def start_acker(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(ACKER), str(path)], stdout=subprocess.PIPE)


def read_acks(process: subprocess.Popen[bytes], count: int) -> list[tuple[str, int]]:
    assert process.stdout is not None
    lines = [process.stdout.readline().split() for _ in range(count)]
    return [(name.decode(), int(number)) for name, number in lines]


async def test_a_second_store_is_refused(store: SqliteStore, path: Path) -> None:
    """The message names the directory and the process; the first goes on undisturbed."""
    second = SqliteStore(path)
    with pytest.raises(StoreInUseError, match=rf"^{path.parent} is in use by process {os.getpid()}$"):
        await second.open()
    await second.close()
    await store.insert_service(service())


async def test_a_second_process_is_refused(path: Path) -> None:
    """The message names the other process."""
    process = start_acker(path)
    try:
        read_acks(process, 1)
        with pytest.raises(StoreInUseError, match=rf"^{path.parent} is in use by process {process.pid}$"):
            await SqliteStore(path).open()
    finally:
        process.kill()
        process.communicate()


async def test_a_closed_store_is_free(store: SqliteStore, path: Path) -> None:
    """The next one opens at once, and the same refused one on its second try."""
    second = SqliteStore(path)
    with pytest.raises(StoreInUseError):
        await second.open()
    await store.close()
    await second.open()
    await second.close()


async def test_everything_is_there_after_a_restart(store: SqliteStore, path: Path) -> None:
    """Services, instances, workflows, executions, histories and request keys."""
    of_service = await store.insert_service(service(), key("s"))
    of_instance = instance(of_service.id)
    await store.put_instance(of_instance)
    of_workflow = await store.insert_workflow(workflow(), key("w", method="other"))
    made = execution(workflow_id=of_workflow.id)
    await store.insert_execution(made, first_events(made), key("e"))
    moved = advanced(made)
    await store.append_events(moved, [output(3)], 2)
    await store.close()

    again = SqliteStore(path)
    await again.open()
    assert await again.get_service(of_service.id) == of_service
    assert await again.all_instances() == (of_instance,)
    assert await again.get_workflow(of_workflow.id) == of_workflow
    assert await again.get_execution(moved.id) == moved
    assert await again.read_events(made.id) == (*first_events(made), output(3))
    assert await again.recall_service(key("s")) == of_service
    assert await again.recall_workflow(key("w", method="other")) == of_workflow
    assert await again.recall_execution(key("e")) == moved
    await again.close()


async def test_a_closed_database_is_one_whole_file(store: SqliteStore, path: Path) -> None:
    """Nothing waits in a log beside it, so that a copy of the file is a backup."""
    await store.insert_service(service("a"))
    await store.close()
    assert sorted(each.name for each in path.parent.iterdir()) == ["weft.db", "weft.lock"]
    copy = sqlite3.connect(path)
    assert copy.execute("SELECT name FROM services").fetchall() == [("a",)]
    copy.close()


async def test_the_file_is_durable_by_default(store: SqliteStore) -> None:
    """Every connection that writes waits for the disk."""
    pragmas = {
        name: await store._write(lambda c, name=name: c.execute(f"PRAGMA {name}").fetchone()[0])  # type: ignore[misc] # mypy cannot infer a lambda with a default
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


async def test_a_reader_cannot_write(store: SqliteStore) -> None:
    """A defect in a read does not reach the data."""
    with pytest.raises(Exception, match="readonly"):
        await store._read(lambda c: c.execute("DELETE FROM services"))


@pytest.mark.parametrize("round_", range(3))
async def test_what_was_acknowledged_survives_a_kill(path: Path, round_: int) -> None:
    """Kill -9 in full flight loses no acknowledged event and leaves neither a gap in a history nor a lock."""
    process = start_acker(path)
    acks = read_acks(process, 200 * (round_ + 1))
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate()
    # A line that the kill cut short was never read as an acknowledgement.
    whole = rest.decode().rpartition("\n")[0].splitlines()
    acks += [(name, int(number)) for name, number in (line.split() for line in whole)]

    newest: dict[str, int] = {}
    for name, number in acks:
        newest[name] = max(number, newest.get(name, 0))
    store = SqliteStore(path)
    await store.open()
    for name, number in newest.items():
        summary = await store.get_execution(name)
        assert summary is not None
        assert summary.last_event >= number
        history = await store.read_events(name)
        assert [event.number for event in history] == list(range(1, summary.last_event + 1))
    listed = await store.list_executions(ExecutionFilter(), Page(size=1))
    assert listed.total >= len(newest)
    await store.close()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_only_the_owner_may_read_what_is_stored(store: SqliteStore, path: Path) -> None:
    """The directory and every file in it are the server's own."""
    await store.insert_service(service())
    modes = {file.name: mode(file) for file in path.parent.iterdir()}
    names = ("weft.db", "weft.db-acked", "weft.db-shm", "weft.db-wal", "weft.lock")
    assert modes == dict.fromkeys(names, 0o600)
    assert mode(path.parent) == 0o700


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A database and a directory that somebody shares with a group."""
    path = tmp_path / "weft.db"
    path.touch()
    path.chmod(0o640)
    tmp_path.chmod(0o750)
    return path


async def test_what_somebody_shares_stays_shared(shared: Path) -> None:
    """A directory and a database that were there keep their modes."""
    store = SqliteStore(shared)
    await store.open()
    await store.close()
    assert (mode(shared.parent), mode(shared)) == (0o750, 0o640)
