"""A database that cannot be opened is refused with one line that says what and where."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.store.samples import service
from weft.server.store.base import StoreUnavailableError
from weft.server.store.sqlite import SqliteStore

pytestmark = pytest.mark.integration


async def refusal(path: Path) -> str:
    store = SqliteStore(path)
    with pytest.raises(StoreUnavailableError) as refused:
        await store.open()
    await store.close()
    assert "\n" not in refused.value.message
    assert str(path) in refused.value.message
    return refused.value.message


NO_DATABASE = b"no database at all, but long enough for a header" * 100


def content(path: Path) -> bytes:
    return path.read_bytes()


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


async def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    """Its parent cannot be made."""
    put(tmp_path / "data", b"a file")
    path = tmp_path / "data" / "weft.db"
    assert await refusal(path) == f"cannot open the store: {path}: File exists"
    deeper = tmp_path / "data" / "deeper" / "weft.db"
    assert await refusal(deeper) == f"cannot open the store: {deeper}: Not a directory"


async def test_a_file_that_is_a_directory(path: Path) -> None:
    """It is said so, rather than that it cannot be opened."""
    put(path / "something", b"")
    assert "is a directory" in await refusal(path)


async def test_a_file_that_is_no_database(path: Path) -> None:
    """It is left as it is."""
    put(path, NO_DATABASE)
    assert await refusal(path) == f"cannot open the store: {path}: file is not a database"
    assert content(path) == NO_DATABASE


async def test_the_database_of_something_else(path: Path) -> None:
    """Nothing is put beside its tables."""
    put(path, b"")
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE photos (a)")
    other.close()
    assert "is a database of something else" in await refusal(path)


async def test_a_database_of_a_newer_release(store: SqliteStore, path: Path) -> None:
    """It is refused before anything is read or written."""
    await store.close()
    newer = sqlite3.connect(path)
    newer.execute("INSERT INTO schema_migrations VALUES (999, 'later', 'x', 0)")
    newer.commit()
    newer.close()
    assert "newer release" in await refusal(path)


async def test_a_database_of_a_changed_migration(store: SqliteStore, path: Path) -> None:
    """Its tables may be others than this release expects."""
    await store.close()
    changed = sqlite3.connect(path)
    changed.execute("UPDATE schema_migrations SET checksum = 'x'")
    changed.commit()
    changed.close()
    assert "the checksums differ" in await refusal(path)


async def test_a_refused_store_leaves_no_lock(path: Path) -> None:
    """When the trouble is gone the same store opens."""
    put(path, NO_DATABASE)
    store = SqliteStore(path)
    with pytest.raises(StoreUnavailableError):
        await store.open()
    put(path, b"")
    await store.open()
    await store.insert_service(service())
    await store.close()


@pytest.fixture(name="shared_folder")
def folder_that_all_can_enter() -> Iterator[Path]:
    """Pytest's own folders are closed to other users, and root may write everywhere."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


UNPRIVILEGED = """
import asyncio, os, sys
from pathlib import Path
from weft.server.store.sqlite import SqliteStore
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    asyncio.run(SqliteStore(Path(sys.argv[1])).open())
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


def refusal_of_an_unprivileged_process(path: Path) -> str:
    command = [sys.executable, "-c", UNPRIVILEGED, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_read_only_directory(shared_folder: Path) -> None:
    """No lock can be taken in it, and none below it be made."""
    closed = shared_folder / "closed"
    closed.mkdir(mode=0o555)
    closed.chmod(0o555)
    for path in (closed / "weft.db", closed / "data" / "weft.db"):
        message = f"StoreUnavailableError: cannot open the store: {path}: Permission denied"
        assert refusal_of_an_unprivileged_process(path) == message


def test_a_read_only_file(shared_folder: Path) -> None:
    """It can be read, but nothing could be recorded."""
    path = shared_folder / "weft.db"
    path.write_bytes(b"")
    path.chmod(0o444)
    shared_folder.chmod(0o777)
    message = refusal_of_an_unprivileged_process(path)
    assert (
        message
        == f"StoreUnavailableError: cannot open the store: {path}: attempt to write a readonly database"
    )
    assert content(path) == b""
