"""``weft workflows format``: one form, the same meaning, and no comment lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.kinds import EVERYTHING
from weft.cli._base.documents import documents_of
from weft.cli._base.sources import replace_text
from weft.cli._files.comments import Comments
from weft.cli._files.format import formatted
from weft.cli._files.forms import meaning
from weft.cli._files.workflow_shape import WORKFLOW
from weft.cli._files.yaml_text import write_document
from weft.core.errors import ValidationError

examples = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

UNTIDY = """\
# yaml-language-server: $schema=workflow.schema.json
# What it is for.
steps:
  # The first one.
  - next: b   # goes on
    id: 'a'
    action: x

    # From where.
    service: s
    input: {text: "a: b", list: [1, "${x}", yes], "...": "${input}", lines: "one\\ntwo\\n"}
    on_error: []  # nothing
    retry: # again
      on_exhausted: fail
      max_attempts: 3


  - {id: b, wait: {duration: 90}}    # the end
timeout: 90
name: w   # its name
# That was it.
---
name: z
steps:
- id: a
  set:
    text: |
      x # no comment

      y
    # About q.
    q: "a #b"
"""

TIDY = """\
# yaml-language-server: $schema=workflow.schema.json
# What it is for.
name: w  # its name
timeout: 1m30s
steps:
  # The first one.
  # nothing
  - id: a

    # From where.
    service: s
    action: x
    input:
      text: "a: b"
      list: [1, "${x}", "yes"]
      "...": ${input}
      lines: |
        one
        two
    retry:  # again
      max_attempts: 3
      on_exhausted: FAIL
    next: b  # goes on

  - id: b
    wait:
      duration: 90s  # the end
# That was it.
---
name: z
steps:
  - id: a
    set:
      text: |
        x # no comment

        y
      # About q.
      q: "a #b"
"""


def test_a_file_is_brought_into_one_form() -> None:
    """Order, quotes, indentation, durations and names of choices; comments go with what they are about."""
    assert formatted(UNTIDY.encode(), "w.yaml") == TIDY


def meanings(text: str) -> list[dict[str, Any]]:
    return [meaning(WORKFLOW, WORKFLOW.read(found, "")) for _, found in documents_of(text.encode(), "w.yaml")]


@pytest.mark.parametrize("text", [UNTIDY, EVERYTHING], ids=["untidy", "everything"])
def test_what_it_means_stays(text: str) -> None:
    """And what has the form is not changed again."""
    tidy = formatted(text.encode(), "w.yaml")
    assert meanings(tidy) == meanings(text)
    assert formatted(tidy.encode(), "w.yaml") == tidy


ODD = (
    "yes|No|1|1.0|1e3|-|- a|a: b|a #b|#|~|null|0x1|12:30|<<|=|...|---|--- a|a\nb|a\nb\n|a\n\nb| a\nb|a \nb|\n"
    "|a\n\n|2026-01-01|{}|[a|5m|a:|:a|'|\"|\\|%a|@a|`a|&a|*a|!a|>|? a|\ta|é|\u2028|𝄞|${a}"
    "|${a ? {'b': 1} : [2]}|a,b|0\n\x80|a\rb|a\r\nb|\x85|\ufeff|a\n# b|a\n---\nb|true|\U0002ebe1"
)
TEXTS = st.text(max_size=12) | st.sampled_from(["|", *ODD.split("|")])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@examples
@given(value=st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
def test_every_value_survives(value: dict[str, Any]) -> None:
    """What is written is read again as it was, whatever texts and keys there are."""
    text = write_document(value, Comments())
    ((_, found),) = documents_of(text.encode("utf-8"), "w.yaml")
    assert json.dumps(found) == json.dumps(value)


COMMENTED = EVERYTHING.splitlines()


@settings(examples, max_examples=25)
@given(places=st.lists(st.integers(0, len(COMMENTED) - 1), max_size=6, unique=True), aside=st.booleans())
def test_no_comment_is_lost(places: list[int], *, aside: bool) -> None:
    """Wherever one stands, and whatever is moved, it is there once, and the form is final."""
    lines = list(COMMENTED)
    for place in sorted(places, reverse=True):
        if aside:
            lines[place] += f"  # c{place}."
        else:
            lines.insert(place, f"  # c{place}.")
    text = formatted("\n".join(lines).encode(), "w.yaml")
    assert [text.count(f"# c{place}.") for place in places] == [1] * len(places)
    assert meanings(text) == meanings(EVERYTHING)
    assert formatted(text.encode(), "w.yaml") == text


def test_json_stays_json() -> None:
    """With the same order."""
    text = '{"steps": [{"wait": {"duration": 5}, "id": "a"}], "name": "w"}'
    tidy = formatted(text.encode(), "w.json")
    assert list(json.loads(tidy)) == ["name", "steps"]
    assert list(json.loads(tidy)["steps"][0]) == ["id", "wait"]
    assert formatted(tidy.encode(), "w.json") == tidy


def test_a_file_with_faults_is_left_alone() -> None:
    """All of them are named, and nothing is written."""
    with pytest.raises(ValidationError) as caught:
        formatted(b"name: a\nsteps: [{id: 1}]\nx: 1\n", "w.yaml")
    assert len(caught.value.violations) == 3


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """With its mode, and nothing else is left beside it; a link stays one."""
    file, link = tmp_path / "w.yaml", tmp_path / "link.yaml"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    replace_text(str(link), "new")
    assert (file.read_text(), file.stat().st_mode & 0o777, link.is_symlink()) == ("new", 0o640, True)
    assert sorted(it.name for it in tmp_path.iterdir()) == ["link.yaml", "w.yaml"]
    with pytest.raises(ValidationError, match="cannot be written"):
        replace_text(str(tmp_path / "none" / "w.yaml"), "new")
