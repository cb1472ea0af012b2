"""What is missing of a write-ahead log, and what only seems to be."""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from weft.core.clock import SystemClock
from weft.server.store.base import StoreDamagedError
from weft.server.store.sqlite._acknowledged import Acknowledged
from weft.server.store.sqlite._database import Database
from weft.server.store.sqlite._log import INDEX_HEADER, Damage, Log, Position, opened_log, read_index
from weft.server.store.sqlite._valid import valid_frames

PAGE = 512
FRAME = 24 + PAGE
BLOCK = 4096


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database; what a killed process would leave of it is copied before it is closed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, content BLOB)")
        yield connection
        left = path.with_name("left")
        left.mkdir()
        for name in (path.name, f"{path.name}-wal"):
            shutil.copy(path.with_name(name), left)


def add(connection: sqlite3.Connection, size: int, seed: int = 0) -> None:
    connection.execute("INSERT INTO t (content) VALUES (?)", (random.Random(seed).randbytes(size),))


def written(folder: Path, *sizes: int) -> Path:
    """Make a database with a commit for each size; return the files that are left of it."""
    folder.mkdir()
    with opened(folder / "a.db") as connection:
        for size in sizes:
            add(connection, size)
    return folder / "left" / "a.db"


def grown(before: Path, folder: Path, *sizes: int, seed: int = 0) -> Path:
    """Copy files and go on with them: the log is the same one."""
    folder.mkdir()
    for file in before.parent.glob("a.db*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, folder)
    with opened(folder / "a.db") as connection:
        for size in sizes:
            add(connection, size, seed)
    return folder / "left" / "a.db"


def log_of(database: Path) -> Path:
    return Path(f"{database}-wal")


def damage(database: Path, acknowledged: Position | None = None) -> Damage | None:
    with opened_log(log_of(database)) as log:
        return log.damage(valid_frames(database, log.salt), acknowledged)


def change(database: Path, content: bytes) -> None:
    log_of(database).write_bytes(content)


def test_a_whole_log_lacks_nothing_and_stays_as_it_is(tmp_path: Path) -> None:
    """Looking changes neither the database nor its log."""
    database = written(tmp_path / "a", 100, 5_000, 100)
    before = (database.read_bytes(), log_of(database).read_bytes())
    log = Log(before[1])
    assert valid_frames(database, log.salt) == log.frames > 10
    assert damage(database, Position(log.salt, log.frames)) is None
    assert (database.read_bytes(), log_of(database).read_bytes()) == before


@pytest.mark.parametrize("noted", [True, False])
def test_a_change_before_the_last_commit_is_found_where_it_is(tmp_path: Path, *, noted: bool) -> None:
    """The offset is that of the first frame that SQLite leaves out: the one after the last whole commit."""
    first = written(tmp_path / "a", 100)
    database = grown(first, tmp_path / "b", 3_000, 100)
    whole, kept = log_of(database).read_bytes(), log_of(first).stat().st_size
    last = grown(first, tmp_path / "c", 3_000)  # the same, without the last commit
    end = log_of(last).stat().st_size
    acknowledged = Position(Log(whole).salt, Log(whole).frames) if noted else None
    headers = (*range(kept, kept + 24), *range(end - FRAME, end - FRAME + 24))
    for place in (*headers, *range(kept + 24, end, 97), end - 1):
        change(database, whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        found = damage(database, acknowledged)
        assert found is not None, place
        assert found.offset == kept


def test_a_header_that_is_damaged_is_found(tmp_path: Path) -> None:
    """SQLite takes such a log for an empty one."""
    database = written(tmp_path / "a", 100)
    whole = log_of(database).read_bytes()
    for place in range(32):
        change(database, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert damage(database) == Damage(0, "its header is not what was written")


def test_a_log_that_was_cut_short_is_missed_where_it_was_noted(tmp_path: Path) -> None:
    """Without a note it looks like a log of which no more was written."""
    database = written(tmp_path / "a", 100, 100, 100)
    whole = log_of(database).read_bytes()
    salt, frames = Log(whole).salt, Log(whole).frames
    change(database, whole[:-FRAME])
    assert damage(database) is None
    found = damage(database, Position(salt, frames))
    assert found is not None
    assert "missing that were acknowledged" in found.why
    assert damage(database, Position(b"another!", frames + 7)) is None


@pytest.mark.parametrize("seed", range(25))
def test_the_last_transaction_may_be_there_in_part(tmp_path: Path, seed: int) -> None:
    """A power cut keeps any blocks of what was not synced yet; the rest is as before. That is no damage."""
    chance = random.Random(seed)
    before = written(tmp_path / "a", *(chance.randrange(50, 3_000) for _ in range(3)))
    database = grown(before, tmp_path / "b", chance.randrange(5_000, 60_000), seed=seed)
    old, new = log_of(before).read_bytes(), log_of(database).read_bytes()
    torn = bytearray(new)
    for start in range(len(old) // BLOCK * BLOCK, len(new), BLOCK):
        if chance.random() < 0.5:
            end = min(start + BLOCK, len(new))
            torn[start:end] = old[start:end].ljust(end - start, b"\0")
    change(database, bytes(torn))
    assert damage(database, Position(Log(old).salt, Log(old).frames)) is None
    assert damage(database, None) is None


def test_what_an_undone_transaction_left_is_no_damage(tmp_path: Path) -> None:
    """One whose fsync failed is overwritten from its beginning; the end of a longer one stays there."""
    before = written(tmp_path / "a", 100)
    longer = log_of(grown(before, tmp_path / "b", 20_000, seed=1)).read_bytes()
    middle = log_of(grown(before, tmp_path / "c", 8_000, seed=2)).read_bytes()
    database = grown(before, tmp_path / "d", 100, 100, seed=3)
    shorter = log_of(database).read_bytes()
    assert len(shorter) < len(middle) < len(longer)
    once = shorter + longer[len(shorter) :]
    twice = shorter + middle[len(shorter) :] + longer[len(middle) :]
    for left in (once, twice):
        change(database, left)
        assert damage(database, Position(Log(shorter).salt, Log(shorter).frames)) is None


def test_frames_of_an_earlier_log_are_no_damage(tmp_path: Path) -> None:
    """A log that was written back is overwritten from its beginning, under another name."""
    (tmp_path / "a").mkdir()
    with opened(tmp_path / "a" / "a.db") as connection:
        for _ in range(20):
            add(connection, 2_000)
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        add(connection, 100)
        add(connection, 100)
    database = tmp_path / "a" / "left" / "a.db"
    log = Log(log_of(database).read_bytes())
    assert valid_frames(database, log.salt) < log.frames
    assert damage(database) is None


def test_no_log_is_an_empty_log(tmp_path: Path) -> None:
    """It was written back, or never made."""
    with opened_log(tmp_path / "none") as log:
        assert log.empty
        assert log.damage(0, Position(b"whatever", 3)) is None


def test_an_index_that_is_being_written_says_nothing(tmp_path: Path) -> None:
    """Its two copies differ then."""
    words = struct.pack("=3IBBH8I", 3_007_000, 0, 1, 1, 0, PAGE, 7, 0, 0, 0, 1, 2, 0, 0)
    assert read_index(words * 2) == Position(words[32:40], 7)
    torn = words + words[:40] + b"x" * 8
    for content in (torn, words, b"", bytes(INDEX_HEADER)):
        assert read_index(content) is None


def test_what_is_noted_is_what_is_committed(tmp_path: Path) -> None:
    """A note names the log and its frames; a garbled one, or none, says nothing."""
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "a.db"
    notes = Acknowledged(path)
    assert notes.read() is None
    with opened(path) as connection:
        notes.open()
        add(connection, 100)
        notes.note()
        log = Log(log_of(path).read_bytes())
        assert notes.read() == Position(log.salt, log.frames)
        add(connection, 100)
        assert notes.read() == Position(log.salt, log.frames)
        file = Path(f"{path}-acked")
        content = file.read_bytes()
        for place in range(len(content)):
            file.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
            assert notes.read() is None
        notes.forget()
        assert notes.read() is None
    notes.close()


def test_a_log_that_is_opened_again_is_missed_what_was_noted(tmp_path: Path) -> None:
    """After a fault of the disk the process opens it anew, and knows how far it was."""
    database = Database(tmp_path / "data" / "weft.db", SystemClock())
    with closing(database.open()) as connection:
        database.acknowledge()
        connection.execute("PRAGMA user_version = 7")
        database.acknowledge()
        database.reopen().close()
        notes: Any = database._acknowledged
        notes._last = Position(notes._last.salt, notes._last.frames + 3)
        with pytest.raises(StoreDamagedError, match="3 frames are missing that were acknowledged"):
            database.reopen()
    database.release()
