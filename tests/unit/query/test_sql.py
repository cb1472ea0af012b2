"""Filters in SQL mean what they mean in Python."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.query.trees import TEXTS, trees
from weft.core.errors import ValidationError
from weft.server.execution.filters import EXECUTION_FIELDS
from weft.server.query.check import read_filter
from weft.server.query.evaluate import matches
from weft.server.query.keys import key_of, successor, value_of
from weft.server.query.predicate import Predicate, Ref, Value
from weft.server.query.sql import POSTGRES, SQLITE, Column, Parameters, Table, ValueTable, condition
from weft.server.query.tree import Comparison, Literal, Operator, Tree, show
from weft.server.store.codec import to_micros

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def micros(value: Value) -> object:
    assert isinstance(value, datetime)
    return to_micros(value)


TABLE = Table(
    id="e.id",
    columns={
        "id": Column(name="e.id"),
        "workflow": Column(name="e.workflow_id"),
        "version": Column(name="e.version"),
        "state": Column(name="e.state"),
        "create_time": Column(name="e.create_time", encode=micros),
        "end_time": Column(name="e.end_time", nullable=True, encode=micros),
        "key": Column(name="e.key", nullable=True),
    },
    maps={"attributes": ValueTable(name="execution_attributes", owner="execution_id")},
)
SCHEMA = """
CREATE TABLE executions (
    id TEXT NOT NULL PRIMARY KEY, workflow_id TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
    create_time INTEGER NOT NULL, end_time INTEGER, key TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE execution_attributes (
    execution_id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (execution_id, name)
) STRICT, WITHOUT ROWID;
"""

Record = Mapping[Ref, Value]

FEW_TEXTS = st.sampled_from(
    ["", "a", "ab", "b", "é", "a*", "10", "true", "A", "\U0010ffff", "a\U0010ffff", "\ud7ff"]
)
SOME_TEXTS = FEW_TEXTS | TEXTS
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 10.0, -1.5, 1e300, -1e-300]) | st.floats(
    allow_nan=False, allow_infinity=False
)
TIMES = st.sampled_from([NOW, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)])
ATTRIBUTES = st.dictionaries(st.sampled_from("xyz"), SOME_TEXTS | NUMBERS | st.booleans())


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    count = draw(st.integers(1, 6))
    made: list[Record] = []
    for number in range(count):
        values: dict[Ref, Value] = {
            Ref("id"): f"exe_{number}",
            Ref("workflow"): draw(st.sampled_from(["wf_1", "wf_2"])),
            Ref("version"): draw(st.integers(1, 3)),
            Ref("state"): draw(st.sampled_from(["RUNNING", "FAILED"])),
            Ref("create_time"): draw(TIMES),
            Ref("end_time"): draw(st.none() | TIMES),
            Ref("key"): draw(st.none() | SOME_TEXTS),
        }
        values |= {Ref("attributes", name): value for name, value in draw(ATTRIBUTES).items()}
        made.append(values)
    return made


def said(values: st.SearchStrategy[str], *, quoted: bool, prefix: bool = False) -> st.SearchStrategy[Literal]:
    prefixes = st.booleans() if prefix else st.just(value=False)
    return st.builds(lambda text, star: Literal(text, quoted=quoted, prefix=star), values, prefixes)


ANY_TEXT = said(SOME_TEXTS, quoted=True, prefix=True)
WORDS = {
    "id": ANY_TEXT,
    "key": ANY_TEXT,
    "workflow": said(st.sampled_from(["wf_1", "wf_2", "wf_3"]), quoted=False),
    "version": said(st.integers(0, 4).map(str), quoted=False),
    "state": said(st.sampled_from(["RUNNING", "FAILED", "COMPLETED"]), quoted=False),
    "create_time": said(TIMES.map(datetime.isoformat), quoted=True),
    "end_time": said(TIMES.map(datetime.isoformat), quoted=True),
    **dict.fromkeys(
        ("attributes.x", "attributes.y", "attributes.z"),
        ANY_TEXT | said(NUMBERS.map(repr) | st.sampled_from(["true", "false"]), quoted=False),
    ),
}


@st.composite
def comparisons(draw: st.DrawFn) -> Tree:
    name = draw(st.sampled_from(sorted(WORDS)))
    literal = draw(WORDS[name] | st.just(Literal("", prefix=True)))
    return Comparison(name, draw(st.sampled_from(Operator)), literal)


def stored(found: Sequence[Record]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    for record in found:
        columns = [TABLE.columns[name] for name in TABLE.columns]
        values = [record[Ref(name)] for name in TABLE.columns]
        row = [None if v is None else column.encode(v) for column, v in zip(columns, values, strict=True)]
        connection.execute("INSERT INTO executions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        for ref, value in record.items():
            if ref.key:
                assert isinstance(value, str | int | float)
                given_values = (record[Ref("id")], ref.key, key_of(value))
                connection.execute("INSERT INTO execution_attributes VALUES (?, ?, ?)", given_values)
    return connection


def selected(connection: sqlite3.Connection, predicate: Predicate) -> list[str]:
    parameters = Parameters(SQLITE)
    where = condition(predicate, TABLE, parameters)
    return [
        row[0]
        for row in connection.execute(
            f"SELECT id FROM executions e WHERE {where} ORDER BY id", parameters.values
        )
    ]


@settings(max_examples=200, deadline=None)
@given(records(), st.lists(trees(comparisons(), max_leaves=6), min_size=1, max_size=8))
def test_sql_selects_what_the_evaluator_selects(found: list[Record], asked: list[Tree]) -> None:
    """On any data, for any filter that is accepted; and every condition is true or false, never NULL."""
    connection = stored(found)
    for tree in asked:
        try:
            predicate = read_filter(show(tree), EXECUTION_FIELDS, NOW)
        except ValidationError:
            continue
        assert predicate is not None
        expected = [str(record[Ref("id")]) for record in found if matches(predicate, record)]
        assert selected(connection, predicate) == expected
        parameters = Parameters(SQLITE)
        where = condition(predicate, TABLE, parameters)
        unknown = connection.execute(
            f"SELECT count(*) FROM executions e WHERE ({where}) IS NULL", parameters.values
        )
        assert unknown.fetchone() == (0,)
    connection.close()


def test_no_value_is_in_the_statement() -> None:
    """Neither a text nor the name of an attribute; PostgreSQL's marks are numbered on."""
    text = 'attributes.evil-name = "x\'; DROP TABLE" AND key:"evil" AND id = "evil*" AND version = 77777'
    predicate = read_filter(text, EXECUTION_FIELDS, NOW)
    assert predicate is not None
    parameters = Parameters(POSTGRES, ["before"])
    where = condition(predicate, TABLE, parameters)
    assert "evil" not in where
    assert "77777" not in where
    assert [f"${number}" in where for number in range(1, 9)] == [False, *[True] * 6, False]
    assert parameters.values == ["before", "evil-name", "sx'; DROP TABLE", "evil", "evil", "evim", 77777]


@given(NUMBERS | SOME_TEXTS | st.booleans(), NUMBERS | SOME_TEXTS | st.booleans())
def test_keys_sort_as_values_do(left: str | float | bool, right: str | float | bool) -> None:  # noqa: FBT001
    """Within a type; between types there is no mixing, and the value can be read back."""
    keys = key_of(left), key_of(right)
    if type(left) is type(right):
        assert (keys[0] < keys[1], keys[0] == keys[1]) == (left < right, left == right)  # type: ignore[operator]
    else:
        assert keys[0][0] != keys[1][0]
    assert value_of(keys[0]) == left
    assert (keys[0].encode() < keys[1].encode()) == (keys[0] < keys[1])


@given(TEXTS, TEXTS)
def test_a_prefix_is_a_range(prefix: str, rest: str) -> None:
    """What begins with it sorts before its successor, and nothing else stands between them."""
    last = successor(prefix)
    assert not last or prefix + rest < last
    assert not last or not last.startswith(prefix)
    if prefix <= rest and (not last or rest < last):
        assert rest.startswith(prefix)
