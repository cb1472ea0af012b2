"""Files of tests, checked as a whole before anything runs: every fault at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weft.cli._base.documents import read_documents
from weft.cli._base.sources import STDIN, source_name
from weft.cli._files.definitions import Definition, in_files, located, only_workflow
from weft.cli._files.workflow_tests_shape import TEST_FILE
from weft.core.errors import ValidationError, Violation
from weft.core.names import closest
from weft.core.reasons import Rule

__all__ = ["Case", "Suite", "read_suites", "unknown_steps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test."""

    number: int
    """Where it stands among the cases of its file."""
    name: str
    """What is tested."""
    arguments: Mapping[str, Any]
    """What ``client.workflows.test`` takes: input, results, messages and start_time."""
    expect: Mapping[str, Any] = field(default_factory=dict)
    """What should come of it."""

    @property
    def path(self) -> str:
        """Where it stands, as faults say it."""
        return f"cases[{self.number}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The tests of one workflow."""

    source: str
    """The file, as messages call it."""
    label: str
    """Where they stand, such as ``trip.test.yaml (document 2)``."""
    cases: tuple[Case, ...]
    """The tests."""
    definition: Definition | None = None
    """What is tested; None: one on the server."""
    name: str = ""
    """Which one of the server."""
    version: int = 0
    """Its version; 0: the latest."""

    def fault(self, path: str, description: str, reason: str) -> Violation:
        """Say where in the file something is wrong."""
        return located(self.label, Violation(path, description, reason))


def read_suites(sources: Sequence[str]) -> list[Suite]:
    """Read every test of some files, with the definitions that they name.

    Raises:
        ValidationError: A file has faults; those of all are listed.
    """
    faults: list[Violation] = []
    found: list[Suite] = []
    names = list(map(source_name, sources))
    for source in dict.fromkeys(sources):
        try:
            for label, document in read_documents(source):
                try:
                    suite = _suite(source, label, document, names)
                    faults.extend(_unknown(suite))
                    found.append(suite)
                except ValidationError as error:
                    faults.extend(error.violations)
        except ValidationError as error:
            faults.extend(error.violations)
    if faults:
        raise in_files(list(dict.fromkeys(faults)), names)
    return found


def _suite(source: str, label: str, document: Mapping[str, Any], names: list[str]) -> Suite:
    """Read the tests of a document; the file of the definition is added to the names."""
    try:
        values = TEST_FILE.read(document, "")
    except ValidationError as error:
        raise ValidationError([located(label, violation) for violation in error.violations]) from None
    file = values.get("workflow")
    if file is not None:
        names.append(_beside(source, label, file))
    return Suite(
        source=source_name(source),
        label=label,
        cases=tuple(_case(number, case) for number, case in enumerate(values["cases"])),
        definition=only_workflow(names[-1]) if file is not None else None,
        name=values.get("name", ""),
        version=values.get("version", 0),
    )


def _case(number: int, values: dict[str, Any]) -> Case:
    name, expect = values.pop("name"), values.pop("expect", {})
    return Case(number=number, name=name, expect=expect, arguments=values)


def _beside(source: str, label: str, file: str) -> str:
    """Return the file of the definition, which is named from where the tests are."""
    if file == STDIN or not file:
        raise ValidationError([located(label, Violation("workflow", "is no file", Rule.INVALID))])
    return str(Path("" if source == STDIN else source).parent / file)


def _unknown(suite: Suite) -> list[Violation]:
    it = suite.definition
    return unknown_steps(suite, {"name": it.name, **it.values}) if it else []


def unknown_steps(suite: Suite, definition: Mapping[str, Any]) -> list[Violation]:
    """Find results that belong to no step of the definition: a misspelt one would never be given."""
    known = list(dict.fromkeys(_ids(definition)))
    return [
        suite.fault(
            f"{case.path}.results.{step}",
            f"the workflow has no step {step_id[:80]!r}; {closest(step_id, known)}",
            Rule.STEP_UNKNOWN,
        )
        for case in suite.cases
        for step in case.arguments.get("results", {})
        if (step_id := step.rpartition("/")[2].removesuffix(".run")) not in known
    ]


def _ids(holder: Any) -> Iterator[str]:
    """Yield the ids of all steps within a definition, a step or a branch."""
    lists = (holder.get("steps"), holder.get("finally"))
    for step in (step for steps in lists for step in steps or ()):
        yield step["id"]
        for kind in ("map", "loop"):
            yield from _ids(step.get(kind) or {})
        for branch in (step.get("parallel") or {}).get("branches") or ():
            yield from _ids(branch)
