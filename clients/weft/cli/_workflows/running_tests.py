"""Runs tests of workflows on a server, and says what is not as it should be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from weft.cli._base.inputs import show_duration
from weft.cli._base.text import shorten
from weft.cli._files.diff import differences
from weft.cli._files.workflow_tests import Case, Suite, unknown_steps
from weft.cli._workflows.apply import Finding, faults_of
from weft.core.errors import ResourceNotFoundError, ValidationError, Violation

if TYPE_CHECKING:
    from weft.client import Client, Execution, WorkflowTest

__all__ = ["Outcome", "different", "run_suites", "scheduled", "took"]

_COMPLETED: Final = "COMPLETED"
_MAX_VALUE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one test."""

    suite: Suite
    """Where the test stands."""
    case: Case
    """The test."""
    test: WorkflowTest
    """What the workflow did."""
    different: tuple[str, ...]
    """What is not as it should be; nothing: it passed."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "file": self.suite.label,
            "case": self.case.name,
            "passed": not self.different,
            "different": list(self.different),
            "steps": list(scheduled(self.test)),
            "takes": took(self.test).total_seconds(),
            "execution": self.test.execution.to_dict() if self.test.execution else None,
            "missing": list(self.test.missing),
            "waiting": list(self.test.waiting),
            "truncated": self.test.truncated,
        }


async def run_suites(weft: Client, suites: Sequence[Suite]) -> tuple[list[Outcome], list[Violation]]:
    """Run every test; return what came of them, and the faults of files that only the server finds."""
    outcomes: list[Outcome] = []
    faults: list[Violation] = []
    for suite in suites:
        try:
            workflow = await _workflow(weft, suite)
            for case in suite.cases:
                await _run(weft, suite, case, workflow, outcomes, faults)
        except ValidationError as error:
            faults.extend(error.violations)
    return outcomes, list(dict.fromkeys(faults))


async def _workflow(weft: Client, suite: Suite) -> str | Mapping[str, Any]:
    """Return what is tested; one of the server is looked at before, as its steps are not in the files."""
    it = suite.definition
    if it is not None:
        return {"name": it.name, **it.values}
    try:
        found = await weft.workflows.get(suite.name, version=suite.version)
    except ResourceNotFoundError as error:
        raise ValidationError([suite.fault("name", error.message, str(error.reason))]) from None
    faults = unknown_steps(suite, found.to_dict())
    if faults:
        raise ValidationError(faults)
    return suite.name


async def _run(
    weft: Client,
    suite: Suite,
    case: Case,
    workflow: str | Mapping[str, Any],
    outcomes: list[Outcome],
    faults: list[Violation],
) -> None:
    try:
        test = await weft.workflows.test(workflow, version=suite.version, **case.arguments)
    except ValidationError as error:
        faults.extend(
            suite.fault(f"{case.path}.{it.field}", it.description, str(it.reason)) for it in error.violations
        )
        return
    except ResourceNotFoundError as error:
        faults.append(suite.fault(case.path, error.message, str(error.reason)))
        return
    if test.execution is None:
        raise _problems(suite, test)
    outcomes.append(Outcome(suite=suite, case=case, test=test, different=tuple(different(case.expect, test))))


def _problems(suite: Suite, test: WorkflowTest) -> ValidationError:
    """Return why the definition is not run, by its own file."""
    definitions = [suite.definition] if suite.definition else []
    label = suite.definition.label if suite.definition else suite.label
    findings = [Finding(label=label, problem=problem) for problem in test.problems]
    return faults_of(findings, definitions) or ValidationError([])


def different(expect: Mapping[str, Any], test: WorkflowTest) -> Iterator[str]:
    """Yield what is not as it should be."""
    if test.missing:
        yield f"no result is given for {', '.join(test.missing)}"
    elif test.truncated:
        yield f"was stopped after {len(test.events):,} events"
    elif test.execution is not None:
        yield from _states(expect, test.execution, test.waiting)
        if "result" in expect:
            yield from _results(expect["result"], test.execution.result)
        yield from _ways(expect, test)


def _states(expect: Mapping[str, Any], execution: Execution, waiting: Sequence[str]) -> Iterator[str]:
    """Compare how it ended; a test that says nothing of it means that it completes."""
    failure, wanted = execution.failure, expect.get("failure")
    state = expect.get("state", "" if wanted else _COMPLETED)
    told = f"{failure.reason}: {failure.message}" if failure else ""
    if waiting and not failure:
        told = f"waiting at {', '.join(waiting)}"
    if state and execution.state != state:
        yield f"state is {execution.state}{f' ({told})' if told else ''}, not {state}"
    elif wanted and failure is None:
        yield f"there is no failure, not {wanted}: it is {execution.state}{f' ({told})' if told else ''}"
    elif wanted and failure is not None and failure.reason != wanted:
        yield f"failure is {failure.reason} ({failure.message}), not {wanted}"


def _results(wanted: Mapping[str, Any], found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield f"there is no result, not {_shown(wanted)}"
        return
    for it in differences(wanted, found, "result"):
        if it.what == "added":
            yield f"{it.path} is {_shown(it.after)}, and should not be there"
        elif it.what == "removed":
            yield f"{it.path} is not there, and should be {_shown(it.before)}"
        else:
            yield f"{it.path} is {_shown(it.after)}, not {_shown(it.before)}"


def _ways(expect: Mapping[str, Any], test: WorkflowTest) -> Iterator[str]:
    steps, takes = expect.get("steps"), expect.get("takes")
    found = list(scheduled(test))
    if steps is not None and found != steps:
        yield f"steps are {', '.join(found) or 'none'}, not {', '.join(steps) or 'none'}"
    span = took(test)
    if takes is not None and span != takes:
        yield f"takes {show_duration(span)}, not {show_duration(takes)}"


def scheduled(test: WorkflowTest) -> Sequence[str]:
    """Return the paths of the steps in the order in which they were scheduled first."""
    paths = (event.data["step_id"] for event in test.events if event.kind == "step_scheduled")
    return list(dict.fromkeys(paths))


def took(test: WorkflowTest) -> timedelta:
    """Return how long it took by the turned clock, to the last thing that happened."""
    times = [event.time for event in test.events if event.time is not None]
    return times[-1] - times[0] if times else timedelta()


def _shown(value: Any) -> str:
    return shorten(json.dumps(value, ensure_ascii=False), _MAX_VALUE)
