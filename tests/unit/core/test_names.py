"""Names that people choose, and ids that the server assigns."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.core.names import (
    ACTION_NAME,
    EXECUTION_PREFIX,
    INSTANCE_ID,
    NAME,
    SERVICE_PREFIX,
    STEP_ID,
    WORKFLOW_PREFIX,
    check_name,
    closest,
    did_you_mean,
    first_id,
    is_id,
    new_id,
)
from weft.core.reasons import Rule

calmly = settings(deadline=None)
"""A machine that is busy is no fault."""


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (
            NAME,
            ["a", "text-extraction", "a1", "a" * 63],
            ["", "A", "1a", "-a", "a-", "a_b", "a.b", "a" * 64, "a\n"],
        ),
        (
            ACTION_NAME,
            ["a", "Extract.v1", "a_b-c", "a" * 128],
            ["", "1a", ".a", "a b", "a/b", "a" * 129, "a\n"],
        ),
        (STEP_ID, ["a", "step_1", "A-b", "a" * 63], ["", "1", "a.b", "a" * 64, "ä", "a\n"]),
        (INSTANCE_ID, ["1", "host:7420", "a.b-c_d", "a" * 128], ["", ":a", "a b", "a" * 129, "a\n"]),
    ],
)
def test_names_match_as_a_whole(pattern: re.Pattern[str], good: list[str], bad: list[str]) -> None:
    """The fault of an empty name is REQUIRED, of any other INVALID; a newline at the end is one too."""
    assert [name for name in good if check_name("f", name, pattern)] == []
    for name in bad:
        (violation,) = check_name("f", name, pattern)
        assert (violation.field, violation.reason) == ("f", Rule.INVALID if name else Rule.REQUIRED)
        assert len(violation.description) < 300


@pytest.mark.parametrize(
    ("pattern", "bad", "rule"),
    [
        (NAME, "Order 1", "lower-case letters, digits and '-', at most 63 characters"),
        (ACTION_NAME, "a b", "letters, digits, '.', '_' and '-', at most 128 characters, and starts with a"),
        (STEP_ID, "1", "letters, digits, '_' and '-', at most 63 characters, and starts with a letter"),
        (INSTANCE_ID, "a b", "letters, digits, '.', '_', ':' and '-', at most 128 characters"),
        (re.compile("x+"), "y", "it must match x+"),
    ],
)
def test_the_rule_of_a_name_is_said_in_words(pattern: re.Pattern[str], bad: str, rule: str) -> None:
    """Nobody has to read a pattern to choose a name."""
    (violation,) = check_name("f", bad, pattern)
    assert violation.description.startswith(f"{bad!r} is not allowed: ")
    assert rule in violation.description


@pytest.mark.parametrize("prefix", [SERVICE_PREFIX, WORKFLOW_PREFIX, EXECUTION_PREFIX])
def test_ids_are_known_by_their_prefix_and_are_no_names(prefix: str) -> None:
    """An id is of one kind only, and never a name that somebody could have chosen."""
    made = new_id(prefix)
    assert is_id(made, prefix)
    assert len(made) == len(prefix) + 27
    assert not any(is_id(made, other) for other in ("svc", "wf", "exe") if other != prefix)
    assert check_name("f", made)


def test_ids_are_unique_and_ordered_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later one of a process sorts later, also within a millisecond."""
    assert len({new_id("exe") for _ in range(10_000)}) == 10_000
    made: list[str] = []
    for millisecond in (0, 1, 31, 32, 2**40, 2**48 - 1):
        monkeypatch.setattr("weft.core.names.time.time_ns", lambda now=millisecond: now * 1_000_000)
        made += [new_id("exe") for _ in range(100)]
    assert made == sorted(made)


def test_an_id_has_the_time_it_was_made_at() -> None:
    """To the millisecond: ``first_id`` of a time parts those made before it from all others."""
    at = datetime(2026, 3, 29, 1, 30, 0, 123_456, tzinfo=UTC)
    made = new_id("exe", at)
    assert is_id(made, "exe")
    assert first_id("exe", at) <= made < first_id("exe", at + timedelta(milliseconds=1))
    assert made < new_id("exe", at) < new_id("exe", at + timedelta(milliseconds=1))
    assert first_id("exe", datetime.min.replace(tzinfo=UTC)) == "exe_" + "0" * 26
    assert is_id(first_id("exe", datetime.max.replace(tzinfo=UTC)), "exe")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "svc",
        "svc_",
        "svc_" + "0" * 25,
        "svc_" + "0" * 27,
        "svc_" + "O" * 26,
        "wf_" + "0" * 26,
        "svc_" + "i" * 26,
        "svc_" + "0" * 26 + "\n",
    ],
)
def test_what_is_no_id_is_known_as_such(text: str) -> None:
    """Wrong length, alphabet, kind or ending."""
    assert not is_id(text, "svc")


@calmly
@given(st.text(max_size=40))
def test_no_text_breaks_a_check(text: str) -> None:
    """Whatever people type."""
    assert len(check_name("f", text)) <= 1
    is_id(text, "svc")


def test_the_closest_name_is_suggested_else_what_there_is() -> None:
    """At most ten names are shown; of none there is nothing to say."""
    assert closest("extrct", ["extract", "summarize"]) == "did you mean 'extract'?"
    assert closest("zzz", ["b", "a"]) == "known: a, b"
    assert closest("zzz", [f"name-{n:02}" for n in range(20)]).endswith("name-09, …")
    assert closest("zzz", []) == ""


def test_a_name_is_only_suggested_when_it_is_close() -> None:
    """Of anything else nothing is said."""
    assert did_you_mean("extrct", ["extract", "summarize"]) == "did you mean 'extract'?"
    assert did_you_mean("zzz", ["extract"]) == ""
    assert did_you_mean("EXTRACT", ["extract", "EXIT"]) == "did you mean 'extract'?"
    assert did_you_mean("completd", ["COMPLETED", "FAILED"]) == "did you mean 'COMPLETED'?"


def test_a_forked_process_makes_other_ids() -> None:
    """What was drawn before the fork is drawn anew in the child."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    new_id("a", at)  # a page is drawn
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, new_id("a", at).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        theirs = told.read().decode()
    os.waitpid(child, 0)
    assert is_id(theirs, "a")
    assert theirs != new_id("a", at)
