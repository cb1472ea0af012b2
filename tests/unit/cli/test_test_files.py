"""Files of tests from strangers: every fault at once, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.unit.cli.files import faults_of
from weft.cli._files.workflow_tests import read_suites
from weft.core.errors import ValidationError

FINE = """
workflow: w.yaml
cases:
  - name: a
    results: {each: {output: {}}, "each[3]/in": [{output: {}}], undo/last: {output: {}}, left: {output: {}}}
"""
WORKFLOW = """
name: w
steps:
  - id: each
    map:
      items: [1]
      steps: [{id: in, service: s, action: a}]
    next: both
  - id: both
    parallel: {branches: [{name: l, steps: [{id: left, service: s, action: a}]}]}
finally: [{id: last, service: s, action: a}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "w.yaml").write_text(WORKFLOW)
    return tmp_path / "w.test.yaml"


def faults(file: Path, text: str) -> list[str]:
    return faults_of(file, text, read_suites)


def test_steps_are_known_at_all_depths(file: Path) -> None:
    """By id or path, in bodies, branches, at the end and where it is undone."""
    file.write_text(FINE)
    (suite,) = read_suites([str(file)])
    assert [case.name for case in suite.cases] == ["a"]
    assert faults(file, FINE.replace("[3]/in", "[3]/on"))[0].startswith("cases[0].results.each[3]/on: ")


def test_every_fault_at_once(file: Path) -> None:
    """Unknown members with a hint, wrong types, wrong durations, codes, states and times."""
    found = faults(
        file,
        "workflow: w.yaml\nname: w\ncase: []\ncases:\n"
        "  - {name: a, input: [], results: {both: [{output: {}, failure: {}}, {takes: soon}], left: []}}\n"
        "  - {results: {left: {failure: {code: DOWN, reasn: A}}}, messages: [{after: -1s}],\n"
        "     start_time: today}\n"
        "  - {name: a, start_time: 2027-01-01T00:00:00,\n"
        "     expect: {state: DONE, steps: {}, takes: x, results: {}}}\n",
    )
    assert [it.partition(": ")[0] for it in found] == [
        "has both workflow (a file) and name (of one on the server)",
        "case",
        "cases[0].input",
        "cases[0].results.both[0]",
        "cases[0].results.both[1]",
        "cases[0].results.both[1].takes",
        "cases[0].results.left",
        "cases[1].name",
        "cases[1].results.left.failure.code",
        "cases[1].results.left.failure.reasn",
        "cases[1].messages[0].name",
        "cases[1].messages[0].after",
        "cases[1].start_time",
        "cases[2].start_time",
        "cases[2].expect.state",
        "cases[2].expect.steps",
        "cases[2].expect.takes",
        "cases[2].expect.results",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("[]", "holds a list, not an object"),
        ("cases: [{name: a}]", "needs one of workflow (a file) and name (of one on the server)"),
        ("{workflow: w.yaml, cases: []}", "cases: is empty: there is nothing to test"),
        ("{workflow: w.yaml, cases: {}}", "cases: is an object, not a list"),
        ("{workflow: w.yaml, version: 2, cases: [{name: a}]}", "version: goes with name, not with workflow"),
        (
            "{workflow: w.yaml, cases: [{name: a}, {name: a}]}",
            "cases[1].name: 'a' is the name of cases[0] already",
        ),
        ('{workflow: "-", cases: [{name: a}]}', "workflow: is no file"),
        ('{workflow: "", cases: [{name: a}]}', "workflow: is no file"),
        ("{name: w, cases: [{name: 7}]}", "cases[0].name: is a number, not text"),
        ("{name: w, cases: &a [{name: b, input: {c: *a}}]}", "the alias *a is not allowed"),
        ("name: w\ncases: " + "[" * 200 + "]" * 200, "nests deeper than 64 levels"),
    ],
)
def test_hostile_files(file: Path, text: str, told: str) -> None:
    """Each is refused with one line that says why."""
    found = faults(file, text)
    assert len(found) == 1
    assert told in found[0]


@pytest.mark.parametrize("name", ["none.yaml", "../none.yaml", ".", "w\0.yaml"])
def test_a_definition_that_cannot_be_read(file: Path, name: str) -> None:
    """Its own file is named, in the summary of several faults too."""
    file.write_text(yaml.safe_dump({"workflow": name, "cases": [{"name": "a"}]}))
    with pytest.raises(ValidationError) as caught:
        read_suites([str(file)])
    assert len(caught.value.violations) == 1
    assert "cannot be read" in str(caught.value)


def test_faults_of_a_definition_are_told_once(file: Path) -> None:
    """However many files test it."""
    (file.parent / "w.yaml").write_text("name: w\nsteps: [{id: a}, {id: b}]")
    other = file.with_name("other.test.yaml")
    for it in (file, other):
        it.write_text("{workflow: w.yaml, cases: [{name: a}]}")
    with pytest.raises(ValidationError) as caught:
        read_suites([str(file), str(other)])
    assert len(caught.value.violations) == 2
    assert caught.value.metadata["files"] == str(file.parent / "w.yaml")
