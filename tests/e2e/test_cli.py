"""The ``weft`` command against a real server: what it prints, and its exit codes.

One command of each group, and one with each exit code, runs as a process; more of them within this one.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.e2e.commands import Done, Weft, run
from tests.integration.engine.processes import free_port
from tests.support.spans import global_spans
from tests.support.world import hosted, serving
from weft.client import Code, connect
from weft.service import ActionFailedError, Service

pytestmark = pytest.mark.e2e

DEFINITION = """
name: greet
description: Greets, and shouts it.
input_schema:
  type: object
  properties: {name: {type: string}}
  required: [name]
steps:
  - {id: greet, service: demo, action: greet, next: shout}
  - {id: shout, service: demo, action: shout, input: {text: "${steps.greet.text}"}}
---
name: fails
steps: [{id: only, service: demo, action: fail}]
---
name: waits
steps: [{id: only, service: demo, action: wait}]
"""

BROKEN = """
name: broken
steps:
  - {id: a, service: nobody, action: x, next: b}
  - {id: b, service: demo, action: nothing, next: a}
"""


def demo() -> Service:
    service = Service("demo", version="1.2.3")

    @service.action
    async def greet(name: str) -> dict[str, str]:
        """Say hello."""
        return {"text": f"hello {name}"}

    @service.action
    async def shout(text: str) -> dict[str, str]:
        """Say it louder."""
        return {"text": text.upper()}

    @service.action
    async def fail() -> dict[str, str]:
        """Refuse."""
        raise ActionFailedError("no such customer", reason="CUSTOMER_UNKNOWN", code=Code.NOT_FOUND)

    @service.action
    async def wait() -> dict[str, str]:
        """Take for ever."""
        await asyncio.Event().wait()
        return {}

    return service


async def test_a_session_at_the_command_line(weft: Weft, here: Weft, address: str, tmp_path: Path) -> None:
    """Apply, run, look, cancel: each command prints JSON on request, and its exit code says how it went."""
    file = tmp_path / "workflows.yaml"
    file.write_text(DEFINITION)
    async with demo().hosted(server=address):
        applied = await weft("workflows", "apply", "-f", str(file), "--output", "json")
        assert applied.code == 0, applied.err
        assert [item["outcome"] for item in applied.json["items"]] == ["created"] * 3
        again = await here("workflows", "apply", "-f", str(file), "--output", "json")
        services = await here("services", "list", "--output", "json")
        workflow = await here("workflows", "get", "greet", "--output", "json")
        service, ran, called, health, doctor, detached = await asyncio.gather(
            weft("services", "get", "demo"),
            weft("run", "greet", "--input", '{"name": "Ada"}', "--watch", "--output", "json"),
            weft("call", "demo", "greet", "--input", "-", stdin='{"name": "Grace"}'),
            weft("health", "--output", "json"),
            weft("doctor", "--output", "json"),
            weft("run", "waits", "--detach", "--output", "json"),
        )
        assert [item["outcome"] for item in again.json["items"]] == ["unchanged"] * 3
        assert [item["name"] for item in services.json["items"]] == ["demo"]
        assert all(word in service.out for word in ("greet", "shout", "1.2.3", "PASSING", "Say hello."))
        assert [step["id"] for step in workflow.json["steps"]] == ["greet", "shout"]
        _check_watched(ran)
        assert called.json == {"text": "hello Grace"}
        assert health.json["health"] == "HEALTHY"
        assert doctor.json["ok"] is True
        assert all(done.code == 0 for done in (again, services, service, workflow, called, health, doctor))
        await _check_executions(weft, here, detached.json["id"])


def _check_watched(ran: Done) -> None:
    """The events, a line of JSON each."""
    assert ran.code == 0, ran.err
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert [event["kind"] for event in events] == [
        "execution_started",
        *("step_scheduled", "step_completed") * 2,
        "execution_completed",
    ]
    assert events[-1]["data"]["result"] == {"text": "HELLO ADA"}


async def _check_executions(weft: Weft, here: Weft, waiting: str) -> None:
    listed = await here("executions", "list", "--workflow", "greet", "--output", "json")
    (execution,) = listed.json["items"]
    assert (execution["state"], execution["workflow_name"]) == ("COMPLETED", "greet")
    got = await here("executions", "get", execution["id"], "--output", "json")
    table = await here("executions", "get", execution["id"])
    history = await here("executions", "history", execution["id"], "--output", "json")
    watched, cancelled = await asyncio.gather(
        weft("executions", "watch", execution["id"], "--after", "5", "--output", "json"),
        weft("executions", "cancel", waiting, "--reason", "enough", "--output", "json"),
    )
    assert all(done.code == 0 for done in (listed, got, table, history, watched, cancelled))
    assert got.json["result"] == {"text": "HELLO ADA"}
    assert [step["state"] for step in got.json["steps"]] == ["COMPLETED", "COMPLETED"]
    assert "HELLO ADA" in table.out
    assert [event["number"] for event in history.json] == [1, 2, 3, 4, 5, 6]
    assert [json.loads(line)["number"] for line in watched.out.splitlines()] == [6]
    assert cancelled.json["state"] == "CANCELLED"


async def test_exit_codes(weft: Weft, here: Weft, address: str, tmp_path: Path) -> None:
    """1 failed, 2 usage, 3 not found, 4 invalid, 5 conflict, 6 unavailable; with the reason on stderr."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(DEFINITION)
    bad.write_text(BROKEN)
    nobody = f"127.0.0.1:{free_port()}"
    async with demo().hosted(server=address):
        assert (await here("workflows", "apply", "-f", str(good))).code == 0
        assert (await here("workflows", "deactivate", "greet")).code == 0
        expected: dict[tuple[str, ...], tuple[int, str]] = {
            ("run", "fails"): (1, "CUSTOMER_UNKNOWN"),
            ("run", "waits", "--watch", "--detach"): (2, "USAGE"),
            ("run", "nothing"): (3, "WORKFLOW_NOT_FOUND"),
            ("workflows", "apply", "-f", str(bad)): (4, "VALIDATION_FAILED"),
            ("run", "greet", "--input", '{"name": "Ada"}'): (5, "WORKFLOW_INACTIVE"),
            ("services", "list", "--target", nobody): (6, "UNAVAILABLE"),
        }
        more: dict[tuple[str, ...], tuple[int, str]] = {
            ("call", "demo", "fail"): (1, "CUSTOMER_UNKNOWN"),
            ("executions", "get", "exe_01k00000000000000000000000"): (3, "EXECUTION_NOT_FOUND"),
            ("call", "demo", "greet", "--input", '{"name": 7}'): (4, "VALIDATION_FAILED"),
        }
        results = await asyncio.gather(*(weft(*words, "--output", "json") for words in expected))
        results += [await here(*words, "--output", "json") for words in more]
        for (words, (code, reason)), done in zip((expected | more).items(), results, strict=True):
            assert done.code == code, (words, done)
            if words != ("run", "fails"):
                assert done.error["reason"] == reason, (words, done.err)
            else:
                assert done.json["failure"]["reason"] == reason
        doctor = await here("doctor", "--target", nobody)
        assert doctor.code == 1
        assert nobody in doctor.out


async def test_a_command_is_the_root_of_its_trace() -> None:
    """``weft run`` exports its own spans, and all of the execution hangs below them."""
    with global_spans() as spans:
        async with serving() as wire, hosted(wire, demo()), connect(wire.address) as client:
            await client.workflows.create("hello", [{"id": "only", "service": "demo", "action": "greet"}])
            spans.clear()
            words = ("run", "hello", "--input", '{"name": "Ada"}', "--debug")
            env = {"WEFT_TARGET": wire.address, "OTEL_TRACES_EXPORTER": "console"}
            done = await run(sys.executable, "-m", "weft.cli", *words, within=50, stdin="", **env)
            execution = await spans.wait_for_one("execution hello")
    assert done.code == 0, done.err
    assert execution.context is not None
    trace_id = f"{execution.context.trace_id:032x}"
    assert json.loads(done.out)["text"]  # spans are no part of the result
    assert done.err.startswith(f"Trace: {trace_id}\n")
    root = next(part for part in done.err.split("\n{") if '"name": "weft run"' in part)
    assert f'"trace_id": "0x{trace_id}"' in root
    assert '"parent_id": null' in root
    below = {it.name for it in spans.all if it.context and it.context.trace_id == execution.context.trace_id}
    calls = {name.rpartition("/")[2] for name in below}
    assert calls >= {"StartExecution", "WatchExecution", "execution hello", "step only", "InvokeAction"}
