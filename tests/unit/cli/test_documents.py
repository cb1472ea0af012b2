"""Files from strangers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from weft.cli._base.documents import read_documents
from weft.core.errors import ValidationError

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


def _read(tmp_path: Path, text: str | bytes, name: str = "file.yaml") -> list[dict[str, Any]]:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [document for _, document in read_documents(str(file))]


def _fault(tmp_path: Path, text: str | bytes, name: str = "file.yaml") -> str:
    with pytest.raises(ValidationError) as caught:
        _read(tmp_path, text, name)
    assert str(tmp_path / name) in caught.value.violations[0].field
    return caught.value.violations[0].description


def test_yaml_has_the_values_of_json(tmp_path: Path) -> None:
    """Words, dates, octal and sexagesimal numbers stay text, as in YAML 1.2."""
    text = "{a: no, b: on, c: 2026-01-01, d: 010, e: 12:30, f: .nan, "
    text += "g: true, h: null, i: -3, j: 1.5e3, k: '7', l: }"
    assert _read(tmp_path, text) == [
        {
            "a": "no",
            "b": "on",
            "c": "2026-01-01",
            "d": "010",
            "e": "12:30",
            "f": ".nan",
            "g": True,
            "h": None,
            "i": -3,
            "j": 1500.0,
            "k": "7",
            "l": None,
        }
    ]


def test_several_documents(tmp_path: Path) -> None:
    """Each document is read; an empty one between two markers is none."""
    assert _read(tmp_path, "---\na: 1\n---\n---\nb: 2\n...\n") == [{"a": 1}, {"b": 2}]


def test_json_by_name_and_by_look(tmp_path: Path) -> None:
    """A .json file, and a file without a telling name that begins with a brace, are JSON."""
    assert _read(tmp_path, '{"a": "\\u00e9"}', "file.json") == [{"a": "é"}]
    assert _read(tmp_path, '\ufeff{"a":\t1}', "file.json") == [{"a": 1}]
    assert _read(tmp_path, ' {"a":\t1}', "file") == [{"a": 1}]
    assert "is not JSON" in _fault(tmp_path, '{"a": 1,}', "file")


def test_an_alias_bomb_is_refused_at_once(tmp_path: Path) -> None:
    """Forty lines of aliases would unfold to 2^40 items: they are refused before that, by line."""
    begin = time.monotonic()
    assert _fault(tmp_path, BOMB) == "line 2, column 10: the alias *a0 is not allowed; write it out"
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("a: !!python/object/apply:os.system [id]", "line 1, column 4: the tag"),
        ("a: !!binary aGk=", "the tag tag:yaml.org,2002:binary is not allowed"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' stands there twice"),
        ("1: x", "the key 1 is not text"),
        ("? [a]\n: x", "is not text"),
        ("true: x", "the key True is not text"),
        ("a: [1\n", "line 2, column 1: did not find"),
        ("a:\n\t- b", "line 2"),
        ("a: " + "[" * 70 + "]" * 70, "nests deeper than 64 levels"),
        ("a: " + "[" * 500_000, "nests deeper than 64 levels"),
        ("- a", "holds a list, not an object"),
        ("just text", "holds text, not an object"),
        ("", "is empty"),
        ("---\n---\n", "holds no document"),
        (b"a: \xff\xfe", "is not UTF-8: byte 3"),
        ("a: \x00", "is not YAML"),
    ],
)
def test_faults_say_where(tmp_path: Path, text: str | bytes, description: str) -> None:
    """Everything that is not plain data is refused, with its line where there is one."""
    assert description in _fault(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\nsteps:\n\t- id: a\n", "line 3, column 1: a tab; indent YAML with spaces"),
        ("input: {name: ${input.name}}\n", 'quote "${…}" inside {…} and […]'),
        ("input: [1, ${input.name}]\n", 'quote "${…}" inside {…} and […]'),
    ],
)
def test_common_mistakes_are_told_in_words(tmp_path: Path, text: str, words: str) -> None:
    """What people get wrong most often is not left to the words of the parser."""
    assert words in _fault(tmp_path, text)
