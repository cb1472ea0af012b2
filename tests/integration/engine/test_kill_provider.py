"""kill -9 of a provider in the middle of a call: that step fails, others go on, and it may come back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.engine.processes import Process, ServerProcess, free_port, listening, until
from tests.integration.engine.work import Journal, make_chain
from weft.client import Client

pytestmark = pytest.mark.integration


async def count_instances(weft: Client) -> int:
    return len((await weft.registry.instances()).items)


async def more_instances(weft: Client, known: int) -> None:
    async def holds() -> bool:
        return await count_instances(weft) > known

    await until(holds)


class ProviderProcess:
    def __init__(self, folder: Path, server: str, journal: Journal) -> None:
        self.port = free_port()
        self._arguments = ("--server", server, "--journal", str(journal.path))
        self._log = folder / "provider.log"
        self.process: Process | None = None

    async def up(self, weft: Client, *, port: int | None = None) -> None:
        known = await count_instances(weft)
        chosen = self.port if port is None else port
        self.process = Process(
            self._log, "tests.integration.engine.work", *self._arguments, "--listen", f"127.0.0.1:{chosen}"
        )
        await listening(chosen, self.process)
        await more_instances(weft, known)

    def close(self) -> None:
        if self.process is not None:
            self.process.close()


@pytest.fixture
def provider(tmp_path: Path, server: ServerProcess, journal: Journal) -> Iterator[ProviderProcess]:
    made = ProviderProcess(tmp_path, server.address, journal)
    yield made
    made.close()


async def test_a_killed_provider_fails_its_step_and_serves_again_after_a_restart(
    server: ServerProcess, weft: Client, provider: ProviderProcess, journal: Journal
) -> None:
    """ACTION_UNAVAILABLE for the call that broke; the next execution works, at the same address too."""
    await server.up()
    await provider.up(weft)
    await make_chain(weft, "slow", 2, seconds=30)
    await make_chain(weft, "quick", 2, seconds=0.01)
    executing = asyncio.create_task(weft.executions.execute("slow", {"n": 0}))
    await until(lambda: bool(journal.lines()))
    assert provider.process is not None
    provider.process.kill()
    ended = await executing
    assert ended.state == "FAILED"
    assert ended.failure is not None
    assert ended.failure.reason == "ACTION_UNAVAILABLE"
    assert ended.failure.retryable
    assert [(step.step_id, step.state) for step in ended.steps] == [("s0", "FAILED")]
    kinds = [event.kind async for event in weft.executions.history(ended.id)]
    assert kinds == ["execution_started", "step_scheduled", "step_failed", "execution_failed"]

    refused = await weft.executions.execute("quick", {"n": 0})
    assert refused.failure is not None
    assert refused.failure.reason == "ACTION_UNAVAILABLE"

    await provider.up(weft)
    again = await weft.executions.execute("quick", {"n": 0})
    assert (again.state, again.result) == ("COMPLETED", {"n": 2}), again.failure


async def test_a_dead_instance_is_passed_over_while_another_lives(
    server: ServerProcess, weft: Client, provider: ProviderProcess, tmp_path: Path, journal: Journal
) -> None:
    """Nothing was sent to the dead one, so its calls go to the living one: no execution fails."""
    await server.up()
    await provider.up(weft)
    second = ProviderProcess(tmp_path, server.address, journal)
    try:
        await second.up(weft)
        await make_chain(weft, "quick", 2, seconds=0.001)
        first = await asyncio.gather(*(weft.executions.execute("quick", {"n": 0}) for _ in range(10)))
        assert second.process is not None
        second.process.kill()
        rest = await asyncio.gather(*(weft.executions.execute("quick", {"n": 0}) for _ in range(30)))
        assert {execution.state for execution in (*first, *rest)} == {"COMPLETED"}
        runners = {
            event.data["instance_id"]
            for execution in rest
            async for event in weft.executions.history(execution.id)
            if event.kind == "step_completed"
        }
        assert len(runners) == 1
    finally:
        second.close()


async def test_other_services_do_not_notice_a_dead_one(
    server: ServerProcess, weft: Client, provider: ProviderProcess, tmp_path: Path, journal: Journal
) -> None:
    """Executions of another service complete while one service's provider is dead."""
    await server.up()
    await provider.up(weft)
    other = Process(
        tmp_path / "other.log",
        *("tests.integration.engine.work", "--name", "other"),
        *("--server", server.address, "--journal", str(journal.path)),
    )
    try:
        await more_instances(weft, 1)
        await make_chain(weft, "dead", 1, seconds=30)
        await make_chain(weft, "alive", 3, service="other", seconds=0.02)
        dying = asyncio.create_task(weft.executions.execute("dead", {"n": 0}))
        living = [asyncio.create_task(weft.executions.execute("alive", {"n": 0})) for _ in range(10)]
        await until(lambda: any(line[0] == "run" for line in journal.lines()))
        assert provider.process is not None
        provider.process.kill()
        assert {(await task).state for task in living} == {"COMPLETED"}
        assert (await dying).state == "FAILED"
    finally:
        other.close()
