"""One session with the server: services up, workflow in place, every document through it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import yaml
from rich.console import Console

from examples.document_pipeline._place import HOST, Place, RunError
from examples.document_pipeline._processes import SERVICES, Processes
from examples.document_pipeline._progress import Progress
from examples.document_pipeline._report import hints, results
from examples.document_pipeline._runs import DocumentRun
from weft.client import AlreadyExistsError, Client, ResourceNotFoundError, WeftError, connect

__all__ = ["run_all", "try_next"]

T = TypeVar("T")

WORKFLOW = Path(__file__).resolve().parent / "workflow.yaml"

AT_ONCE = 4
"""Documents under way at the same time."""

PATIENCE = 30.0
"""Seconds until a part that does not come up is given up on."""

_POLL = 0.02
_WIDTH = 140


async def run_all(place: Place, processes: Processes) -> bool:
    """Run the pipeline on every document; return whether all succeeded.

    Raises:
        RunError: A process ended, or the server refused something.
    """
    try:
        return await _guarded(_session(place, processes), processes)
    except WeftError as error:
        processes.check()
        raise RunError(str(error)) from error


async def _guarded(work: Coroutine[Any, Any, T], processes: Processes) -> T:
    """Await the work, unless a process ends before it."""
    task = asyncio.create_task(work)
    try:
        while not task.done():
            processes.check()
            await asyncio.wait({task}, timeout=_POLL)
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _session(place: Place, processes: Processes) -> bool:
    definition = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    steps = [step["id"] for step in definition["steps"]]
    runs = [DocumentRun.waiting(file.name, steps) for file in place.found_documents()]
    console = _console()
    progress = Progress(console, runs, place.started)
    await _within_patience(_until_listening(place), "the server")
    async with connect(place.server) as weft:
        await _within_patience(_until_serving(weft), "the server")
        progress.note(f"server is up at {place.server}")
        known = await _instances(weft)
        processes.start_services()
        await _within_patience(_until_passing(weft, known), "a service")
        progress.note(f"services are up: {', '.join(SERVICES)}")
        version = await _apply(weft, definition)
        progress.note(f"workflow {definition['name']} is version {version}")
        first = await _run_documents(weft, definition["name"], runs, progress)
    console.print(results(runs))
    _print_times(console, place, runs, first)
    return all(run.succeeded for run in runs)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=_WIDTH)


async def _within_patience(wait: Coroutine[Any, Any, None], what: str) -> None:
    try:
        await asyncio.wait_for(wait, PATIENCE)
    except TimeoutError:
        raise RunError(f"{what} did not come up within {PATIENCE:.0f} s; its log says more") from None


async def _until_listening(place: Place) -> None:
    """Knock until somebody opens: much faster than a gRPC channel, which waits longer from try to try."""
    while True:
        try:
            _, writer = await asyncio.open_connection(HOST, place.port)
        except OSError:
            await asyncio.sleep(_POLL)
        else:
            writer.close()
            return


async def _until_serving(weft: Client) -> None:
    while True:
        if await weft.health.check() == "SERVING":
            return
        await asyncio.sleep(_POLL)


async def _instances(weft: Client, *, passing: bool = False) -> dict[str, set[str]]:
    """Return the ids of all instances by service."""
    found: dict[str, set[str]] = {}
    for service in SERVICES:
        try:
            page = await weft.registry.instances(service)
        except ResourceNotFoundError:
            found[service] = set()
        else:
            found[service] = {it.id for it in page.items if it.health == "PASSING" or not passing}
    return found


async def _until_passing(weft: Client, known: Mapping[str, set[str]]) -> None:
    """Wait for a new instance of every service; old ones may be left from a run that was killed."""
    while True:
        passing = await _instances(weft, passing=True)
        if all(passing[service] - known[service] for service in SERVICES):
            return
        await asyncio.sleep(_POLL)


async def _apply(weft: Client, definition: Mapping[str, Any]) -> int:
    """Create the workflow, or update the one there is; return its version."""
    content = {key: value for key, value in definition.items() if key != "name"}
    try:
        workflow = await weft.workflows.create(definition["name"], **content)
    except AlreadyExistsError:
        workflow = await weft.workflows.update(definition["name"], **content)
    return workflow.version


async def _run_documents(
    weft: Client, workflow: str, runs: Sequence[DocumentRun], progress: Progress
) -> float | None:
    """Run all documents, some at a time; return when the first result was there."""
    places, ends = asyncio.Semaphore(AT_ONCE), []
    batch = uuid4().hex[:12]

    async def run_one(run: DocumentRun) -> None:
        async with places:
            await _run_document(weft, workflow, run, progress, f"{batch}-{run.name}")
        if run.succeeded:
            ends.append(time.perf_counter())

    with progress.shown():
        await asyncio.gather(*(run_one(run) for run in runs))
    return min(ends, default=None)


async def _run_document(
    weft: Client, workflow: str, run: DocumentRun, progress: Progress, request_id: str
) -> None:
    started = time.perf_counter()
    context = {"project_id": "document-pipeline", "request_id": request_id}
    try:
        execution = await weft.executions.start(workflow, {"path": run.name}, context=context)
        async for event in weft.executions.watch(execution.id):
            text = run.apply(event.kind, event.data)
            run.seconds = time.perf_counter() - started
            progress.event(run, text)
        if not run.ended:
            run.fail("the history ended without a result")
    except WeftError as error:
        run.seconds = time.perf_counter() - started
        run.fail(f"{error} ({error.reason})")


def _print_times(console: Console, place: Place, runs: Sequence[DocumentRun], first: float | None) -> None:
    done = sum(run.succeeded for run in runs)
    early = f"; the first result was there after {first - place.started:.2f} s" if first is not None else ""
    total = time.perf_counter() - place.started
    console.print(f"{done} of {len(runs)} documents in {total:.2f} s{early}.", highlight=False)


def try_next(place: Place) -> None:
    """Print what can be done with the pipeline that was left running."""
    hints(_console(), place, place.found_documents()[0].name)
