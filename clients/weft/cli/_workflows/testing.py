"""``weft workflows test``: what workflows do, with results that files give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from weft.cli._base import output
from weft.cli._base.errors import Exit, report
from weft.cli._base.options import FileOption, FilesArgument, chosen_files
from weft.cli._base.session import Output, Settings, call
from weft.cli._base.text import clean, plural
from weft.core.errors import ValidationError
from weft.core.names import closest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weft.cli._files.workflow_tests import Suite
    from weft.cli._workflows.running_tests import Outcome

__all__ = ["run_tests"]


def run_tests(
    ctx: typer.Context,
    files: FilesArgument = None,
    file: FileOption = None,
    case: Annotated[
        list[str] | None,
        typer.Option("--case", metavar="NAME", help="Only the tests of this name; may be repeated."),
    ] = None,
) -> None:
    """Run workflows against the results that files give: no action is called, nothing is stored.

    A file names a workflow (`workflow`: a file beside it, or `name`: one of the
    server) and has `cases`: each gives input, results of steps and messages, and
    says what should come of it. Waiting takes no time: the clock is turned.

    A running server is needed: it checks the definition against the services
    that are registered there. They need not run. Exit code 0: every test
    passed; 1: one did not; 2: a file has faults.
    """
    settings = Settings.of(ctx)
    chosen = chosen_files(ctx, files, file)
    try:
        outcomes, error = _tested(ctx, settings, chosen, case or [])
    except ValidationError as found:
        outcomes, error = [], found
    if outcomes:
        _tell(settings, outcomes)
    if error is not None:
        report(error, as_json=settings.output is Output.JSON, target=settings.target, debug=settings.debug)
        raise typer.Exit(Exit.USAGE)
    if any(it.different for it in outcomes):
        raise typer.Exit(Exit.FAILED)


def _tested(
    ctx: typer.Context, settings: Settings, files: Sequence[str], names: Sequence[str]
) -> tuple[list[Outcome], ValidationError | None]:
    """Run the tests; return what came of them, and what is wrong with the files."""
    from weft.cli._files.definitions import in_files  # noqa: PLC0415 - PyYAML, for the commands that use it
    from weft.cli._files.workflow_tests import read_suites  # noqa: PLC0415 - as above
    from weft.cli._workflows.running_tests import run_suites  # noqa: PLC0415 - as above

    suites = _chosen(ctx, read_suites(files), names)
    outcomes, faults = call(settings, lambda weft: run_suites(weft, suites))
    sources = [it.source for it in suites] + [it.definition.source for it in suites if it.definition]
    return outcomes, in_files(faults, sources) if faults else None


def _chosen(ctx: typer.Context, suites: Sequence[Suite], names: Sequence[str]) -> list[Suite]:
    """Keep the tests that are named; all when none is."""
    from dataclasses import replace  # noqa: PLC0415 - only for those who choose

    known = [case.name for suite in suites for case in suite.cases]
    for name in names:
        if name not in known:
            hint = closest(name, known)
            raise typer.BadParameter(f"there is no test {name!r}; {hint}", ctx=ctx, param_hint="--case")
    if not names:
        return list(suites)
    kept = (replace(it, cases=tuple(case for case in it.cases if case.name in names)) for it in suites)
    return [suite for suite in kept if suite.cases]


def _tell(settings: Settings, outcomes: Sequence[Outcome]) -> None:
    failed = sum(bool(it.different) for it in outcomes)
    if not settings.for_people:
        output.document(settings, {"passed": not failed, "cases": [it.to_dict() for it in outcomes]})
        return
    for it in outcomes:
        text = clean(f"FAILED: {'; '.join(it.different)}" if it.different else "ok")
        label = clean(f"{it.suite.label}: {it.case.name}")
        output.line(settings, f"{label} ", text, style="red" if it.different else "green")
    output.note(f"{plural(len(outcomes), 'test')}, {failed or 'none'} failed")
