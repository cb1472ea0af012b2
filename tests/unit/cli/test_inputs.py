"""Values from the command line."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from weft.cli._base.inputs import parse_duration, read_object
from weft.cli._base.sources import MAX_FILE_BYTES
from weft.core.errors import ValidationError
from weft.core.reasons import Rule


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5_400),
        ("2d", 172_800),
        ("1.5s", 1.5),
        (90, 90),
        ("0", 0),
        (" 30S ", 30),
    ],
)
def test_durations(text: str | int, seconds: float) -> None:
    """Units, sums of units, and bare seconds are read."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "-5s", "5 s", "30sec", "1m2", "nan", "inf", "1e3", "9" * 30 + "d", "٣s" * 0 + "five"]
)
def test_no_durations(text: str) -> None:
    """Everything else is refused by name."""
    with pytest.raises(ValueError, match=r"is no duration|longer than can be counted"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[1]", Rule.PAYLOAD_INVALID),
        ('"text"', Rule.PAYLOAD_INVALID),
        ("{", Rule.PAYLOAD_INVALID),
        ('{"a": NaN}', Rule.PAYLOAD_INVALID),
        ('{"a":' * 33 + "1" + "}" * 33, Rule.PAYLOAD_TOO_DEEP),
        ('{"a": "\udc80"}', Rule.PAYLOAD_INVALID),
    ],
)
def test_inputs_that_are_no_payload(text: str, rule: Rule) -> None:
    """What is no JSON object within the limits is refused before anything is sent."""
    with pytest.raises(ValidationError) as caught:
        read_object(text)
    assert caught.value.violations[0].reason == rule
    assert caught.value.violations[0].field == "input"


def test_integers_stay_exact() -> None:
    """An integer beyond 2^53 is not rounded."""
    assert read_object('{"n": 9007199254740993}') == {"n": 9007199254740993}


def test_a_file_is_named_in_its_faults(tmp_path: Path) -> None:
    """A fault of a file says which file."""
    file = tmp_path / "in.json"
    file.write_text("{")
    with pytest.raises(ValidationError) as caught:
        read_object(f"@{file}")
    assert caught.value.violations[0].field == str(file)


@pytest.mark.parametrize("name", ["missing.json", ".", "a\0b"])
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    """A missing file, a directory and an impossible name are faults of the input."""
    with pytest.raises(ValidationError, match="cannot be read"):
        read_object(f"@{tmp_path / name}")


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    """Over 1 MiB a file is refused."""
    file = tmp_path / "large.json"
    file.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    with pytest.raises(ValidationError) as caught:
        read_object(f"@{file}")
    assert caught.value.violations[0].reason == Rule.PAYLOAD_TOO_LARGE


def test_yaml_input_keeps_the_limits_of_a_payload(tmp_path: Path) -> None:
    """YAML may not say more than JSON could."""
    file = tmp_path / "deep.yaml"
    file.write_text("[" * 40 + "]" * 40)
    with pytest.raises(ValidationError, match="a list, not an object"):
        read_object(f"@{file}")
    file.write_text("a: " + "[" * 40 + "]" * 40)
    with pytest.raises(ValidationError, match="deeper than 32"):
        read_object(f"@{file}")
