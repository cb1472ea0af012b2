"""The form of filters: what is one, what is none, and where the fault is."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.query.trees import FORMS, TEXTS
from weft.core.errors import ValidationError
from weft.core.reasons import Rule
from weft.server.query.check import parse
from weft.server.query.tree import And, Comparison, Literal, Not, Operator, Or, Tree, comparisons, show


def refusal(text: str) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        parse(text)
    (fault,) = caught.value.violations
    assert fault.field == "filter"
    return fault.reason, fault.description


def equal(name: str, value: str) -> Comparison:
    return Comparison(name, Operator.EQUAL, Literal(value))


A, B, C = equal("a", "1"), equal("b", "2"), equal("c", "3")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", None),
        (" \n\t ", None),
        ("a=1", A),
        ("  a  =  1  ", A),
        ("((a = 1))", A),
        ("a = 1 AND b = 2 AND c = 3", And((A, B, C))),
        ("a = 1 OR b = 2", Or((A, B))),
        ("a = 1 AND (b = 2 OR c = 3)", And((A, Or((B, C))))),
        ("(a = 1 AND b = 2) AND c = 3", And((And((A, B)), C))),
        ("NOT a = 1 AND -b = 2", And((Not(A), Not(B)))),
        ("NOT(a = 1)", Not(A)),
        ("NOT NOT a = 1", Not(Not(A))),
        ("a.b-c.d >= x", Comparison("a.b-c.d", Operator.AT_LEAST, Literal("x"))),
        ("a:*", Comparison("a", Operator.HAS, Literal("", prefix=True))),
        ('a="x y*"', Comparison("a", Operator.EQUAL, Literal("x y", quoted=True, prefix=True))),
        (r'a="x\*"', Comparison("a", Operator.EQUAL, Literal("x*", quoted=True))),
        (r"a='\"\'\\\n\u00e9'", Comparison("a", Operator.EQUAL, Literal("\"'\\\né", quoted=True))),
        ("t>2026-01-01T00:00:00Z", Comparison("t", Operator.GREATER, Literal("2026-01-01T00:00:00Z"))),
        ("t<now-7d", Comparison("t", Operator.LESS, Literal("now-7d"))),
        ("a = AND", equal("a", "AND")),
        ("NOTE = 1", equal("NOTE", "1")),
    ],
)
def test_a_filter_is_read(text: str, tree: Tree | None) -> None:
    """Spaces and brackets only group; what is in quotes is text as it stands."""
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("a", 2, "expected = != < <= > >= or : after 'a', before the end"),
        ("a = ", 5, "a value is missing"),
        ("a = )", 5, "a value is missing before ')'"),
        ("= 1", 1, "expected the name of a field before '='"),
        ("a == 1", 4, "a value is missing before '='"),
        ("a = 1 b = 2", 7, "expected AND, OR or the end before 'b'"),
        ("a = 1 and b = 2", 7, "write AND"),
        ("a = 1 || b = 2", 7, "write OR"),
        ("not a = 1", 5, "before 'a'"),
        ("!(a = 1)", 1, "write NOT"),
        ("a = 1 AND b = 2 OR c = 3", 17, "need brackets"),
        ("a = 1 OR b = 2 AND c = 3", 16, "need brackets"),
        ("(a = 1", 1, "is not closed"),
        ("a = 1)", 6, "before ')'"),
        ("a = 1 AND", 10, "expected the name of a field before the end"),
        ('a = "x', 5, 'has no closing "'),
        (r'a = "\q"', 6, "there are the escapes"),
        (r'a = "\u12"', 6, "there are the escapes"),
        (r'a = "\u0000"', 6, "not a character that can be stored"),
        (r'a = "\ud800"', 6, "not a character that can be stored"),
        ("a = 1\0", 6, "U+0000"),
        ('a = "x*y"', 7, "a star stands at the end"),
        ("a = x*y", 5, "a star stands at the end"),
        ('"acme"', 1, "expected the name of a field"),
        ("acme", 5, "after 'acme'"),
    ],
)
def test_a_fault_of_form_is_located(text: str, column: int, words: str) -> None:
    """The first one is told, with its column, what was expected and what is there."""
    rule, message = refusal(text)
    assert rule == Rule.FILTER_SYNTAX
    assert message.startswith(f"at column {column}: ")
    assert words in message


def test_size_is_bounded() -> None:
    """Bytes, comparisons and nesting have limits, each with its own rule."""
    fits = " AND ".join(["a = 1"] * 100)
    assert len(list(comparisons(parse(fits) or A))) == 100
    assert refusal(fits + " AND b = 2") == (Rule.TOO_MANY, "at column 1001: more than 100 comparisons")
    assert parse("(" * 16 + "a = 1" + ")" * 16) == A
    assert refusal("(" * 17 + "a = 1" + ")" * 17)[0] == Rule.FILTER_TOO_DEEP
    assert refusal("-" * 4_000 + "a = 1")[0] == Rule.FILTER_TOO_DEEP
    assert parse("a = " + "x" * 8_188) is not None
    assert refusal("a = " + "é" * 4_095) == (Rule.TOO_LONG, "has 8,194 bytes, at most 8,192 are allowed")


@given(
    st.one_of(st.text(max_size=60), st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "replace")))
)
def test_any_text_is_a_filter_or_is_refused_at_a_place(text: str) -> None:
    """Whatever is sent, the answer is a tree or one fault with a column within the text."""
    try:
        parse(text)
    except ValidationError as error:
        (fault,) = error.violations
        column = int(fault.description.removeprefix("at column ").partition(":")[0])
        assert 1 <= column <= len(text) + 1


PIECES = st.sampled_from(
    [
        "AND",
        "OR",
        "NOT",
        "-",
        "(",
        ")",
        "=",
        "!=",
        "<",
        ">=",
        ":",
        "*",
        '"',
        "'",
        "\\",
        "a",
        "b.c",
        "7",
        " ",
        "é",
    ]
)


@given(st.lists(PIECES, max_size=30).map(" ".join) | st.lists(PIECES, max_size=30).map("".join))
def test_pieces_in_any_order_are_a_filter_or_are_refused(text: str) -> None:
    """Also when they look like a filter; what is read is written and read again as the same."""
    with suppress(ValidationError):
        tree = parse(text)
        assert tree is None or parse(show(tree)) == tree


@given(FORMS)
def test_a_tree_survives_being_written(tree: Tree) -> None:
    """What ``show`` writes is read as the same tree."""
    assert parse(show(tree)) == tree


@given(TEXTS)
def test_any_text_can_be_asked_for(text: str) -> None:
    """In quotes every text can be written, and stays what it is."""
    tree = Comparison("a", Operator.EQUAL, Literal(text, quoted=True))
    assert parse(show(tree)) == tree
