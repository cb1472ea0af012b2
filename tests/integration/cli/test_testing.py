"""``weft workflows test`` against a real server: what passes, what fails and why, and files with faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import Result

from examples.document_pipeline import sentiment_analysis, text_extraction, text_summarization
from examples.retries import warehouse
from examples.saga import travel
from tests.support.command import Runner
from tests.support.world import hosted, populated
from weft.cli.commands import app

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

Weft = Callable[..., Awaitable[Result]]

EXAMPLES = Path(__file__).parents[3] / "examples"
TRIP = """
name: trip
input_schema: {type: object, properties: {card: {type: string}}}
steps:
  - id: book
    service: texts
    action: shout
    input: {text: a}
    retry: {max_attempts: 2, initial_backoff: 1m}
    compensate: {action: count, input: {text: "${output.text}"}}
    next: paid
  - id: paid
    signal: {name: paid, schema: {type: object, properties: {n: {type: integer}}}}
    timeout: 3d
    next: way
  - id: way
    switch: {cases: [{when: steps.paid.n > 5, next: good}], default: ask}
  - {id: good, succeed: {result: {n: "${steps.paid.n}"}}}
  - {id: ask, approval: {title: "Go?"}, next: bad}
  - {id: bad, fail: {reason: NOT_WANTED, message: "no"}}
"""
WELL: dict[str, Any] = {
    "name": "all goes well",
    "results": {
        "book": [
            {"failure": {"reason": "DOWN", "code": "unavailable"}},
            {"output": {"text": "A"}, "takes": "2s"},
        ]
    },
    "messages": [{"name": "paid", "payload": {"n": 7}, "after": "36h"}],
}
HOLDS: dict[str, Any] = {
    "state": "COMPLETED",
    "result": {"n": 7},
    "steps": ["book", "paid", "way", "good"],
    "takes": "36h",
}
BAD: dict[str, Any] = {
    "name": "refused",
    "results": {
        "book": {"output": {"text": "A"}},
        "undo/book": {"output": {"characters": 1}},
        "ask": {"output": {"outcome": "rejected"}},
    },
    "messages": [{"name": "paid", "payload": {"n": 1}}],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def weft() -> AsyncIterator[Weft]:
    """Run the command against a server in memory."""
    async with populated() as world, AsyncExitStack() as stack:
        for module in (sentiment_analysis, text_extraction, text_summarization, travel, warehouse):
            await stack.enter_async_context(hosted(world.wire, module.service))
        runner = Runner(env={"WEFT_TARGET": world.wire.address, "NO_COLOR": "1", "COLUMNS": "200"})

        async def run(*words: str | Path, stdin: str = "") -> Result:
            line = ["workflows", "test", *map(str, words)]
            return await asyncio.to_thread(runner.invoke, app, line, input=stdin, prog_name="weft")

        yield run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "trip.yaml").write_text(TRIP)
    return tmp_path / "trip.test.yaml"


def write(file: Path, *cases: dict[str, Any], **values: Any) -> Path:
    about = values or {"workflow": "trip.yaml"}
    file.write_text(json.dumps({**about, "cases": list(cases)}))
    return file


async def test_what_holds_passes(weft: Weft, file: Path) -> None:
    """Each test is a line; the definition is found beside the file, wherever the command runs."""
    refused = {**BAD, "expect": {"state": "failed", "failure": "NOT_WANTED"}}
    result = await weft(write(file, {**WELL, "expect": HOLDS}, refused))
    assert result.stdout == f"{file}: all goes well ok\n{file}: refused ok\n"
    assert (result.exit_code, result.stderr) == (0, "2 tests, none failed\n")


@pytest.mark.parametrize(
    ("case", "expect", "told"),
    [
        (WELL, {"state": "RUNNING"}, "state is COMPLETED, not RUNNING"),
        (WELL, {"result": {"n": 7.5}}, "result.n is 7, not 7.5"),
        (WELL, {"result": {"n": 7, "m": True}}, "result.m is not there, and should be true"),
        (WELL, {"result": {}}, "result.n is 7, and should not be there"),
        (WELL, {"failure": "NOT_WANTED"}, "there is no failure, not NOT_WANTED: it is COMPLETED"),
        (WELL, {"steps": ["book"]}, "steps are book, paid, way, good, not book"),
        (WELL, {"takes": "3d"}, "takes 1d12h, not 3d"),
        (BAD, {}, "state is FAILED (NOT_WANTED: no), not COMPLETED"),
        (BAD, {"failure": "OTHER"}, "failure is NOT_WANTED (no), not OTHER"),
        (BAD, {"state": "FAILED", "result": {"n": 1}}, 'there is no result, not {"n": 1}'),
    ],
)
async def test_what_does_not_hold_fails(
    weft: Weft, file: Path, case: dict[str, Any], expect: dict[str, Any], told: str
) -> None:
    """Every member of ``expect`` is compared; the line says what differs, and the exit code is 1."""
    result = await weft(write(file, {**case, "expect": expect}))
    assert result.stdout == f"{file}: {case['name']} FAILED: {told}\n"
    assert result.exit_code == 1


async def test_all_that_differs_is_told(weft: Weft, file: Path) -> None:
    """In one line."""
    result = await weft(write(file, {**WELL, "expect": {"result": {"n": 8}, "takes": "1s"}}))
    assert result.stdout.endswith("FAILED: result.n is 7, not 8; takes 1d12h, not 1s\n")


async def test_what_is_missing_and_what_waits_is_named(weft: Weft, file: Path) -> None:
    """A result that is not given fails the test, also one that may run; one that waits is RUNNING."""
    empty = {"name": "empty", "expect": {"state": "RUNNING"}}
    results = {"book": {"output": {"text": "A"}}}
    waits = {**BAD, "results": results}
    running = {**waits, "name": "running", "expect": {"state": "RUNNING"}}
    result = await weft(write(file, empty, waits, running))
    assert [line.removeprefix(f"{file}: ") for line in result.stdout.splitlines()] == [
        "empty FAILED: no result is given for book",
        "refused FAILED: state is RUNNING (waiting at ask), not COMPLETED",
        "running ok",
    ]
    assert result.exit_code == 1


async def test_an_endless_one_fails(weft: Weft, file: Path) -> None:
    """It is stopped, whatever was to come of it."""
    body = [{"id": "v", "set": {"n": "${iteration}"}}]
    loop = {"while": "true", "steps": body, "max_iterations": 100_000}
    (file.parent / "loop.yaml").write_text(json.dumps({"name": "l", "steps": [{"id": "l", "loop": loop}]}))
    result = await weft(write(file, {"name": "a", "expect": {"state": "RUNNING"}}, workflow="loop.yaml"))
    assert "FAILED: was stopped after 10,0" in result.stdout


async def test_a_workflow_of_the_server(weft: Weft, file: Path) -> None:
    """By its name; results for steps that it lacks are faults there too."""
    results = {"shout": {"output": {"text": "A"}}, "count": {"output": {"characters": 1}}}
    case = {"name": "a", "input": {"text": "a"}, "results": results, "expect": {"result": {"characters": 1}}}
    assert (await weft(write(file, case, name="shouting", version=1))).exit_code == 0
    case["results"] = {**results, "shoot": {"output": {}}}
    result = await weft(write(file, case, name="shouting"))
    assert result.stderr == (
        f"Error: {file}: cases[0].results.shoot: the workflow has no step 'shoot'; did you mean 'shout'?\n"
    )
    assert (await weft(write(file, case, name="shuting"))).stderr.startswith(f"Error: {file}: name: ")


async def test_some_of_the_tests(weft: Weft, file: Path) -> None:
    """--case chooses; a name that no test has is a wrong command line."""
    write(file, WELL, BAD)
    assert (await weft(file, "--case", "all goes well")).stdout == f"{file}: all goes well ok\n"
    result = await weft(file, "--case", "all goes wel")
    assert "did you mean 'all goes well'?" in result.stderr
    assert (result.exit_code, result.stdout) == (2, "")


async def test_json(weft: Weft, file: Path) -> None:
    """One document, with what came of each."""
    result = await weft(write(file, WELL, {**WELL, "name": "b", "expect": {"result": {}}}), "-o", "json")
    found = json.loads(result.stdout)
    assert (found["passed"], result.exit_code) == (False, 1)
    assert [it["passed"] for it in found["cases"]] == [True, False]
    assert found["cases"][0]["takes"] == 129_600
    assert found["cases"][1]["execution"]["result"] == {"n": 7}


async def test_what_the_server_finds_is_located(weft: Weft, file: Path) -> None:
    """Input, messages and results by the tests' file, in the order of the tests; what else can run does."""
    cases = [
        {**WELL, "name": "a", "input": {"card": 7}},
        {**WELL, "name": "b", "messages": [{"name": "payed"}]},
        {**WELL, "name": "c", "results": {"x//book": {"output": {}}}},
        {**WELL, "name": "d"},
    ]
    result = await weft(write(file, *cases))
    assert (result.exit_code, result.stdout) == (2, f"{file}: d ok\n")
    _, head, *faults = result.stderr.splitlines()
    assert head == f"Error: 3 faults in {file}"
    places = [fault.strip().removeprefix(f"{file}: ").partition(": ")[0] for fault in faults]
    assert places == ["cases[0].input.card", "cases[1]", "cases[2].results.x//book"]


async def test_errors_of_the_definition_are_its_own(weft: Weft, file: Path) -> None:
    """They are told once, by the file of the definition."""
    definition = file.parent / "trip.yaml"
    definition.write_text(TRIP.replace("action: shout", "action: shoot"))
    result = await weft(write(file, WELL, {**WELL, "name": "b"}))
    assert result.stderr.startswith(f"Error: {definition}: steps[0].action: ")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)


async def test_nobody_is_there(file: Path) -> None:
    """A server is needed."""
    write(file, WELL)
    runner = Runner(env={"WEFT_TARGET": "127.0.0.1:9", "NO_COLOR": "1"})
    line = ["workflows", "test", str(file), "--request-timeout", "200ms"]
    result = await asyncio.to_thread(runner.invoke, app, line, prog_name="weft")
    assert result.exit_code in {6, 7}


@pytest.mark.parametrize(
    "name", ["retries/order.test.yaml", "document_pipeline/workflow.test.yaml", "saga/trip.test.yaml"]
)
async def test_the_examples(weft: Weft, name: str) -> None:
    """They hold; what actions are registered to be undone by is undone as in an execution."""
    result = await weft(EXAMPLES / name)
    assert result.exit_code == 0, result.output
