"""The loader of named SQL, and the statements of every dialect."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import pytest

from weft.core.clock import SystemClock
from weft.server.store.queries import load_queries, parse_queries
from weft.server.store.sqlite._database import Database

GOOD = """
-- name: first_one
-- Says why.
SELECT 1
-- a remark within
FROM health;

-- name: second
-- Says why, too.
SELECT 2;
"""


def test_blocks_are_cut_out() -> None:
    """A block is a name and one statement, without comments and without its semicolon."""
    assert parse_queries(GOOD, "x.sql") == {"first_one": "SELECT 1\nFROM health", "second": "SELECT 2"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("SELECT 1;", "before the first"),
        ("-- name: \n-- Why.\nSELECT 1;", "'' is no name"),
        ("-- name: Bad-Name\n-- Why.\nSELECT 1;", "'Bad-Name' is no name"),
        ("-- name: a\nSELECT 1;", "'a' does not say what it is for"),
        ("-- name: a\n-- Why.\n", "'a' has no statement"),
        (
            "-- name: a\n-- Why.\nSELECT 1;\n-- name: a\n-- Why.\nSELECT 2;",
            "'a' exists already",
        ),
    ],
)
def test_a_faulty_file_is_refused(text: str, fault: str) -> None:
    """The message names the file and what is wrong."""
    with pytest.raises(ValueError, match=rf"^x\.sql: .*{re.escape(fault)}"):
        parse_queries(text, "x.sql")


_OF_PARAMETERS = re.compile(r"SCAN \w+ VIRTUAL TABLE INDEX .*|CORRELATED SCALAR SUBQUERY \d+")
"""What a plan says of JSON in a parameter, or in a row that an index has found."""


@pytest.fixture(name="database")
def migrated_database() -> Iterator[sqlite3.Connection]:
    connection = Database(None, SystemClock()).open()
    yield connection
    connection.close()


@pytest.mark.parametrize("name", sorted(load_queries("sqlite")))
def test_a_statement_fits_the_schema(database: sqlite3.Connection, name: str) -> None:
    """SQLite can prepare it, and finds no second statement in it."""
    text = load_queries("sqlite")[name]
    count = max([int(number) for number in re.findall(r"\?(\d)", text)], default=text.count("?"))
    assert database.execute(f"EXPLAIN {text}", (1,) * count).fetchall()


@pytest.mark.parametrize(
    "name",
    [name for name in sorted(load_queries("sqlite")) if name.startswith(("list_", "open_", "read_events"))],
)
def test_a_page_is_found_by_an_index(database: sqlite3.Connection, name: str) -> None:
    """A list neither scans a table nor sorts, however long it is."""
    text = load_queries("sqlite")[name]
    count = max([int(number) for number in re.findall(r"\?(\d)", text)], default=text.count("?"))
    plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {text}", (1,) * count)]
    assert plan
    assert all(step.startswith("SEARCH") or _OF_PARAMETERS.fullmatch(step) for step in plan), plan


def test_every_list_has_a_count() -> None:
    """A page without its total would be half an answer."""
    queries = load_queries("sqlite")
    lists = {name.removeprefix("list_") for name in queries if name.startswith("list_")}
    counts = {name.removeprefix("count_") for name in queries if name.startswith("count_")}
    assert lists == counts - {"foreign_tables"}
