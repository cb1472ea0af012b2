"""Migrations: read, compared, applied as a whole."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from weft.core.testing import ManualClock
from weft.server.store.base import StoreUnavailableError
from weft.server.store.migrate import (
    AppliedMigration,
    Migration,
    load_migrations,
    pending_migrations,
    read_migrations,
)
from weft.server.store.sqlite._database import migrate

ONE = Migration(number=1, name="one", script="CREATE TABLE one (a TEXT);")
TWO = Migration(number=2, name="two", script="CREATE TABLE two (a TEXT);")


def applied(of: Migration) -> AppliedMigration:
    return AppliedMigration(of.number, of.name, of.checksum)


def tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


@pytest.fixture(name="connection")
def empty_database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def test_a_checksum_is_of_the_text() -> None:
    """It is SHA-256, so that anybody can compute it."""
    assert ONE.checksum == hashlib.sha256(ONE.script.encode()).hexdigest()


def test_the_released_migrations_have_not_changed() -> None:
    """Databases out there were made with them: add another one instead of changing one."""
    released = {1: "d8f786edeefdcaeb", 2: "80daf246c53a3990"}
    known = {each.number: each.checksum[:16] for each in load_migrations("sqlite")}
    assert {number: known[number] for number in released} == released


def test_what_is_left_is_pending() -> None:
    """All of an empty database, none of a present one, the rest of one between."""
    known = (ONE, TWO)
    assert pending_migrations(known, [], "x") == known
    assert pending_migrations(known, [applied(ONE)], "x") == (TWO,)
    assert pending_migrations(known, [applied(ONE), applied(TWO)], "x") == ()


def test_a_newer_database_is_refused() -> None:
    """The message names it and the migration that is not known."""
    with pytest.raises(StoreUnavailableError, match=r"^x was written by a newer release .*0002_two"):
        pending_migrations((ONE,), [applied(ONE), applied(TWO)], "x")


def test_a_newer_database_that_fits_is_taken() -> None:
    """Its names say how much a server has to know; one that is not content with it refuses all."""
    fits, more = replace(TWO, name="two.fits_0001"), replace(TWO, number=3, name="three.fits_0002")
    assert pending_migrations((ONE,), [applied(ONE), applied(fits)], "x") == ()
    assert pending_migrations((ONE, TWO), [applied(ONE), applied(TWO), applied(more)], "x") == ()
    with pytest.raises(StoreUnavailableError, match="0003_three"):
        pending_migrations((ONE,), [applied(ONE), applied(fits), applied(more)], "x")


def test_what_a_migration_fits_stands_in_its_name(tmp_path: Path) -> None:
    """Of the file, and so of what the database remembers."""
    (tmp_path / "0001_a.sql").write_text("SELECT 1;")
    (tmp_path / "0002_b.fits_0001.sql").write_text("SELECT 2;")
    assert [applied(it).fits for it in read_migrations(tmp_path)] == [1, 1]
    assert AppliedMigration(4, "four", "x").fits == 4


def test_a_changed_migration_is_refused() -> None:
    """The message names the database and the migration."""
    with pytest.raises(StoreUnavailableError, match=r"^x was made with another migration 0001_one"):
        pending_migrations((ONE,), [AppliedMigration(1, "one", "0" * 64)], "x")


@pytest.mark.parametrize("name", ["1_short.sql", "0001-dash.sql", "0001_Upper.sql"])
def test_a_misnamed_file_is_refused(tmp_path: Path, name: str) -> None:
    """The message says how a name should look."""
    (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(ValueError, match=r"0001_initial\.sql"):
        read_migrations(tmp_path)


def test_a_gap_is_refused(tmp_path: Path) -> None:
    """The numbers begin at 1 and miss none."""
    for name in ("0001_a.sql", "0003_c.sql"):
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(ValueError, match="0003 stands where 0002 is expected"):
        read_migrations(tmp_path)


def test_migrations_are_applied_once(connection: sqlite3.Connection) -> None:
    """A second run finds nothing to do, a later one only what is new."""
    clock = ManualClock()
    migrate(connection, (ONE,), "x", clock)
    migrate(connection, (ONE,), "x", clock)
    assert tables(connection) == {"schema_migrations", "one"}
    migrate(connection, (ONE, TWO), "x", clock)
    assert tables(connection) == {"schema_migrations", "one", "two"}
    rows = connection.execute("SELECT number, name, checksum, apply_time FROM schema_migrations").fetchall()
    time = int(clock.now().timestamp()) * 1_000_000
    assert rows == [(1, "one", ONE.checksum, time), (2, "two", TWO.checksum, time)]


def test_a_failed_migration_leaves_nothing(connection: sqlite3.Connection) -> None:
    """Neither its first statements nor its record; the one before it stays."""
    bad = Migration(
        number=2, name="bad", script="CREATE TABLE half (a TEXT);\nINSERT INTO nowhere VALUES (1);"
    )
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, (ONE, bad), "x", ManualClock())
    assert tables(connection) == {"schema_migrations", "one"}
    assert connection.execute("SELECT count(*) FROM schema_migrations").fetchone() == (1,)
    assert not connection.in_transaction


def test_the_database_of_something_else_is_refused(connection: sqlite3.Connection) -> None:
    """Nothing is written into it."""
    connection.execute("CREATE TABLE photos (a TEXT)")
    with pytest.raises(StoreUnavailableError, match="x is a database of something else"):
        migrate(connection, (ONE,), "x", ManualClock())
    assert tables(connection) == {"photos"}
