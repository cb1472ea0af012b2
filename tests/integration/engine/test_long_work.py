"""Long actions of providers in processes of their own: killed, frozen, cancelled, and answered elsewhere."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.engine.processes import Process, ServerProcess, free_port, listening, until
from tests.integration.engine.work import Journal
from weft.client import Client, Event

pytestmark = pytest.mark.integration

RETRY = {"max_attempts": 20, "initial_backoff": 0.2, "max_backoff": 0.5}


@dataclass
class Providers:
    """Processes that serve ``long``, one way or the other."""

    folder: Path
    server: str
    journal: Journal
    transport: str
    processes: list[Process] = field(default_factory=list)

    async def add(self, weft: Client) -> Process:
        port = free_port()
        process = Process(
            self.folder / f"long-{len(self.processes)}.log",
            *("tests.integration.engine.long_work", "--server", self.server),
            *("--journal", str(self.journal.path), "--listen", f"127.0.0.1:{port}"),
            *("--transport", self.transport),
        )
        self.processes.append(process)
        await listening(port, process)

        async def known() -> bool:
            return any(it.port == port for it in (await weft.registry.instances()).items)

        await until(known)
        return process

    def said(self, word: str) -> list[list[str]]:
        return [line for line in self.journal.lines() if line[0] == word]

    def close(self) -> None:
        for process in self.processes:
            process.close()


@pytest.fixture(params=["stream", "unary"])
def providers(
    request: pytest.FixtureRequest, tmp_path: Path, server: ServerProcess, journal: Journal
) -> Iterator[Providers]:
    made = Providers(tmp_path, server.address, journal, request.param)
    yield made
    made.close()


async def make(weft: Client, action: str, **step: Any) -> None:
    await weft.workflows.create(action, [{"id": "only", "service": "long", "action": action, **step}])


async def history(weft: Client, execution: str, kind: str) -> list[Event]:
    return [event async for event in weft.executions.history(execution) if event.kind == kind]


async def run_weft(server: ServerProcess, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "weft.cli", "--target", server.address, *words]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)


async def test_after_a_kill_the_next_attempt_goes_on_where_it_was(
    server: ServerProcess, weft: Client, providers: Providers
) -> None:
    """What was told last is given to it; meanwhile the command shows how far the action is."""
    await server.up()
    first = await providers.add(weft)
    await make(weft, "count", heartbeat_timeout=8, retry=RETRY)
    started = await weft.executions.start("count", {"total": 40, "stay": 30})

    async def got_on() -> bool:
        (step,) = (await weft.executions.get(started.id)).steps
        return step.progress is not None and step.progress["done"] > 0

    await until(got_on)
    assert " of 40" in (await run_weft(server, "executions", "get", started.id)).stdout
    first.kill()
    await providers.add(weft)
    watched = [event async for event in weft.executions.watch(started.id)]
    assert watched[-1].kind == "execution_completed"
    assert watched[-1].data["result"] == {"total": 40}
    reasons = {it.data["failure"]["reason"] for it in watched if it.kind == "step_retry_scheduled"}
    assert reasons <= {"ACTION_UNAVAILABLE", "NO_INSTANCE"}
    begun = [int(line[2]) for line in providers.said("count")]
    assert begun[0] == 0
    assert 0 < begun[-1] <= 30


async def test_a_frozen_provider_is_given_up_and_another_goes_on(
    server: ServerProcess, weft: Client, providers: Providers
) -> None:
    """HEARTBEAT_TIMEOUT, long before the timeout of the step."""
    await server.up()
    first = await providers.add(weft)
    await make(weft, "count", timeout=120, heartbeat_timeout=1.5, retry=RETRY)
    started = await weft.executions.start("count", {"total": 40})
    await until(lambda: bool(providers.said("count")))
    await asyncio.sleep(0.7)
    first.child.send_signal(signal.SIGSTOP)
    await providers.add(weft)
    watched = [event async for event in weft.executions.watch(started.id)]
    assert watched[-1].kind == "execution_completed"
    reasons = [it.data["failure"]["reason"] for it in watched if it.kind == "step_retry_scheduled"]
    assert reasons[0] == "HEARTBEAT_TIMEOUT"
    assert int(providers.said("count")[-1][2]) > 0


async def test_an_approval_is_told_by_another_process_also_after_a_crash_of_the_server(
    server: ServerProcess, weft: Client, providers: Providers
) -> None:
    """The provider may be gone by then; the second answer is refused as stale."""
    await server.up()
    provider = await providers.add(weft)
    await make(weft, "approve", timeout=600)
    started = await weft.executions.start("approve")

    async def waits() -> bool:
        return (await weft.executions.get(started.id)).waits_for == "COMPLETION"

    await until(waits)
    provider.kill()
    server.kill()
    await server.up()
    ((_, token),) = providers.said("approve")
    told = await run_weft(server, "attempts", "complete", token, "--result", '{"approved": true}')
    assert told.returncode == 0, told.stderr
    async with asyncio.timeout(20):
        watched = [event async for event in weft.executions.watch(started.id)]
    assert watched[-1].data["result"] == {"approved": True}
    late = await run_weft(server, "attempts", "fail", token, "--reason", "LATE", "-o", "json")
    assert late.returncode == 5
    assert json.loads(late.stderr)["error"]["reason"] == "ATTEMPT_STALE"
    assert [event.number for event in watched] == [
        event.number async for event in weft.executions.history(started.id)
    ]


async def test_a_cancellation_reaches_the_running_action(
    server: ServerProcess, weft: Client, providers: Providers
) -> None:
    """Whichever way the call went."""
    await server.up()
    await providers.add(weft)
    await make(weft, "hang")
    started = await weft.executions.start("hang")
    await until(lambda: bool(providers.said("hang")))
    assert (await weft.executions.cancel(started.id, reason="enough")).state == "CANCELLED"
    await until(lambda: bool(providers.said("cancelled")))
    assert len(await history(weft, started.id, "execution_cancelled")) == 1
