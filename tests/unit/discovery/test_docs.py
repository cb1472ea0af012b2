"""The examples of ``docs/discovery.md`` hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from weft.core.errors import ValidationError
from weft.discovery import parse_target

TEXT = (Path(__file__).parents[3] / "docs" / "discovery.md").read_text()
TARGETS = re.findall(r"^\| `([^`]+)` \|", TEXT.partition("## In code")[0], re.MULTILINE)


@pytest.mark.parametrize("target", TARGETS)
def test_targets_of_the_table(target: str) -> None:
    """Each is read, and means what it says when it is written again."""
    parsed = parse_target(target)
    assert parse_target(str(parsed)) == parsed


def test_the_table_was_found() -> None:
    """The document has its examples where this test looks for them."""
    assert len(TARGETS) == 11


def test_the_refusal_that_is_shown() -> None:
    """The message is the one that the document prints."""
    found = re.search(r'>>> parse_target\("([^"]+)"\)\nValidationError: (.*)', TEXT)
    assert found is not None
    with pytest.raises(ValidationError) as caught:
        parse_target(found[1])
    assert str(caught.value) == found[2]
