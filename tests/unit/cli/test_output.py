"""Tables, documents and texts."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import yaml

from weft.cli._base import output
from weft.cli._base.session import Output, Settings
from weft.cli._base.text import clean, humanize_seconds, local_time, plural, shorten

TABLE = Settings()
JSON = Settings(output=Output.JSON)
YAML = Settings(output=Output.YAML)


def test_a_plain_table_lines_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns are as wide as their widest cell, with no space at the end of a line."""
    output.table(TABLE, ("NAME", "N"), [("a", 1), ("longer", None)])
    assert capsys.readouterr().out == "NAME    N\na       1\nlonger\n"


def test_a_cell_is_one_short_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Line breaks and escape sequences are taken out, and long texts are cut."""
    output.table(TABLE, ("TEXT",), [("a\nb\x1b[31m",), ("x" * 500,)])
    _, first, second = capsys.readouterr().out.splitlines()
    assert first == "a b [31m"
    assert second == "x" * 199 + "…"


def test_an_empty_table_is_its_titles(capsys: pytest.CaptureFixture[str]) -> None:
    """A table without rows still says what its columns are."""
    output.table(TABLE, ("A", "B"), [])
    assert capsys.readouterr().out == "A  B\n"


def test_a_narrow_terminal_goes_without_spare_columns() -> None:
    """They go one after the other, until the rest fits; without any left, what remains is shown."""
    titles, widths, spare = ("ID", "B", "C"), (30, 10, 20), ("C", "B")
    assert output.fitting(titles, widths, 64, spare) == [0, 1, 2]
    assert output.fitting(titles, widths, 63, spare) == [0, 1]
    assert output.fitting(titles, widths, 41, spare) == [0]
    assert output.fitting(titles, widths, 10, spare) == [0]


def test_fields_leave_out_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Empty values have no line; zero has."""
    output.fields(TABLE, [("Name", "x"), ("Note", ""), ("Since", None), ("Count", 0)])
    assert capsys.readouterr().out == "Name:  x\nCount: 0\n"


def test_documents(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON and YAML say the same, letters of all languages as they are."""
    value = {"b": "é\n", "a": [1, None], "t": ("x",)}
    output.document(JSON, value)
    as_json = capsys.readouterr().out
    output.document(YAML, value)
    as_yaml = capsys.readouterr().out
    assert json.loads(as_json) == yaml.safe_load(as_yaml) == {"b": "é\n", "a": [1, None], "t": ["x"]}
    assert "é" in as_json
    assert list(json.loads(as_json)) == ["b", "a", "t"]


def test_streams(capsys: pytest.CaptureFixture[str]) -> None:
    """Many documents are lines of JSON, or YAML documents."""
    for settings in (JSON, YAML):
        output.stream_item(settings, {"n": 1})
        output.stream_item(settings, {"n": 2})
    lines = capsys.readouterr().out.splitlines()
    assert lines == ['{"n": 1}', '{"n": 2}', "---", "n: 1", "---", "n: 2"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0ms"),
        (0.0124, "12ms"),
        (0.9994, "999ms"),
        (0.9996, "1.0s"),
        (59.94, "59.9s"),
        (59.96, "1m00s"),
        (125, "2m05s"),
        (3_600, "1h00m"),
        (90_000, "25h00m"),
    ],
)
def test_seconds_for_people(seconds: float, text: str) -> None:
    """Durations are short, and never round to sixty."""
    assert humanize_seconds(seconds) == text


def test_texts() -> None:
    """Text that reorders or rewrites a terminal is harmless; counts agree with their noun."""
    assert clean("a\u202eb\x9bc\r\n") == "a b c"
    assert shorten("abcd", 3) == "ab…"
    assert (plural(1, "step"), plural(1_200, "step")) == ("1 step", "1,200 steps")


def test_times() -> None:
    """Times are shown in the local zone; what is no time is shown as it is."""
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert local_time(moment) == local_time("2026-03-01T12:00:00Z") == local_time("2026-03-01T12:00:00")
    assert datetime.fromisoformat(local_time(moment)) == moment  # the offset is there
    assert (local_time(None), local_time("soon")) == ("", "soon")
