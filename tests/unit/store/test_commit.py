"""Group commit: many units, one transaction, each whole or not at all."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence

import pytest

from weft.core.errors import InternalError
from weft.server.store.base import StaleWriteError
from weft.server.store.sqlite._commit import commit
from weft.server.store.sqlite._jobs import Job
from weft.server.store.sqlite._together import Together, write_rows

Work = Callable[[sqlite3.Connection], object]


@pytest.fixture(name="connection")
def small_database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY) STRICT")
    yield connection
    connection.close()


def insert(*values: int) -> Work:
    def work(connection: sqlite3.Connection) -> int:
        for value in values:
            connection.execute("INSERT INTO t VALUES (?)", (value,))
        return len(values)

    return work


def refuse(_: sqlite3.Connection) -> None:
    raise StaleWriteError("too late")


def insert_then_refuse(connection: sqlite3.Connection) -> None:
    insert(100)(connection)
    refuse(connection)


def rows(connection: sqlite3.Connection) -> list[int]:
    assert not connection.in_transaction
    return [value for (value,) in connection.execute("SELECT a FROM t ORDER BY a")]


async def run(connection: sqlite3.Connection, *works: Work) -> list[object]:
    loop = asyncio.get_running_loop()
    outcomes = commit(connection, [Job(work, loop.create_future()) for work in works])
    return [outcome.error or outcome.result for outcome in outcomes]


async def test_units_share_a_transaction(connection: sqlite3.Connection) -> None:
    """One BEGIN and one COMMIT, without savepoints, however many units there are."""
    traced: list[str] = []
    connection.set_trace_callback(traced.append)
    await run(connection, insert(1), refuse, insert(2, 3))
    assert [text for text in traced if not text.startswith("INSERT")] == ["BEGIN IMMEDIATE", "COMMIT"]
    assert rows(connection) == [1, 2, 3]


async def test_a_unit_that_refuses_fails_alone(connection: sqlite3.Connection) -> None:
    """Those before and after it are committed."""
    results = await run(connection, insert(1), refuse, insert(2))
    assert isinstance(results[1], StaleWriteError)
    assert (results[0], results[2]) == (1, 1)
    assert rows(connection) == [1, 2]


async def test_what_a_failed_unit_wrote_is_undone(connection: sqlite3.Connection) -> None:
    """And only that."""
    results = await run(connection, insert(1), insert_then_refuse, insert(2))
    assert isinstance(results[1], StaleWriteError)
    assert (results[0], results[2]) == (1, 1)
    assert rows(connection) == [1, 2]


async def test_a_broken_constraint_is_a_defect(connection: sqlite3.Connection) -> None:
    """No type of sqlite3 reaches the caller; the unit leaves nothing."""
    results = await run(connection, insert(1), insert(2, 1), insert(3))
    assert isinstance(results[1], InternalError)
    assert "UNIQUE constraint failed" in results[1].message
    assert rows(connection) == [1, 3]


async def test_a_full_disk_stops_everything(connection: sqlite3.Connection) -> None:
    """The error leaves, and nothing of the batch is there."""
    connection.execute("CREATE TABLE big (a BLOB)")
    connection.execute("PRAGMA max_page_count = 4")

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO big VALUES (zeroblob(100000))")

    with pytest.raises(sqlite3.OperationalError, match="full"):
        await run(connection, insert(1), fill, insert(2))
    assert rows(connection) == []


async def test_units_run_in_their_order(connection: sqlite3.Connection) -> None:
    """The later one sees what the earlier one wrote."""

    def count(connection: sqlite3.Connection) -> int:
        found: int = connection.execute("SELECT count(*) FROM t").fetchone()[0]
        return found

    assert await run(connection, count, insert(1), count, insert(2), count) == [0, 1, 1, 1, 2]


class Row(Together[int]):
    """Writes one row, if there is none of that number yet."""

    def __init__(self, value: int) -> None:
        super().__init__(value)

    def __call__(self, connection: sqlite3.Connection) -> int:
        if not self.all_at_once(connection, (self,)):
            raise StaleWriteError("there is one")
        return self.result

    @staticmethod
    def all_at_once(connection: sqlite3.Connection, works: Sequence[Row]) -> bool:
        written = write_rows(connection, UNLESS_THERE, [(work.result,) for work in works])
        return written == len(works)


class Double(Row):
    """Likewise, of another kind."""


UNLESS_THERE = "INSERT INTO t VALUES (?) ON CONFLICT DO NOTHING"


def traced_inserts(connection: sqlite3.Connection) -> list[str]:
    """Return where the statements that write come to be, each as it is run."""
    traced: list[str] = []
    connection.set_trace_callback(lambda text: traced.append(text) if text.startswith("INSERT") else None)
    return traced


@pytest.mark.parametrize(
    ("count", "statements"), [(1, 1), (2, 1), (16, 1), (17, 2), (31, 2), (64, 1), (65, 2), (200, 4)]
)
async def test_units_of_a_kind_share_statements(
    connection: sqlite3.Connection, count: int, statements: int
) -> None:
    """As many rows as there are units, each unit with its result, in statements of up to 64 rows."""
    traced = traced_inserts(connection)
    works = [Row(value) for value in range(count)]
    assert await run(connection, *works) == list(range(count))
    assert rows(connection) == list(range(count))
    assert len(traced) == statements


async def test_kinds_are_told_apart(connection: sqlite3.Connection) -> None:
    """Each kind has statements of its own, and each unit its result, in whatever order they were queued."""
    traced = traced_inserts(connection)
    outcomes = await run(connection, Row(1), Double(2), Row(3), Double(4))
    assert sorted(str(it) for it in outcomes) == ["1", "2", "3", "4"]
    assert rows(connection) == [1, 2, 3, 4]
    assert len(traced) == 2


async def test_kinds_of_a_group_share_statements(connection: sqlite3.Connection) -> None:
    """Starts and steps are of two kinds, and their events go into one statement."""

    class Joined(Row):
        @classmethod
        def group(cls) -> type[Row]:
            return Row

    traced = traced_inserts(connection)
    assert await run(connection, Row(1), Joined(2), Row(3)) == [1, 2, 3]
    assert len(traced) == 1


async def test_one_that_cannot_be_done_together_fails_alone(connection: sqlite3.Connection) -> None:
    """All is done again one by one: the first of two that exclude each other takes effect."""
    results = await run(connection, Row(1), Row(2), Row(1), Row(3))
    assert isinstance(results[2], StaleWriteError)
    assert [results[0], results[1], results[3]] == [1, 2, 3]
    assert rows(connection) == [1, 2, 3]


async def test_other_units_keep_their_place(connection: sqlite3.Connection) -> None:
    """A unit that is done alone sees all that was queued before it, and nothing that was queued after."""
    seen: list[int] = []

    def look(connection: sqlite3.Connection) -> None:
        seen.append(connection.execute("SELECT count(*) FROM t").fetchone()[0])

    await run(connection, look, Row(1), Row(2), look, Row(3), look, Row(4))
    assert seen == [0, 2, 3]
    assert rows(connection) == [1, 2, 3, 4]


async def test_a_defect_of_one_does_not_reach_the_others(connection: sqlite3.Connection) -> None:
    """What breaks a constraint of the table is told to its own caller, as it is when it comes alone."""

    class Careless(Row):
        @staticmethod
        def all_at_once(connection: sqlite3.Connection, works: Sequence[Row]) -> bool:
            write_rows(connection, "INSERT INTO t VALUES (?)", [(work.result,) for work in works])
            return True

    results = await run(connection, Careless(1), Careless(2), Careless(1))
    assert isinstance(results[2], InternalError)
    assert results[:2] == [1, 2]
    assert rows(connection) == [1, 2]
