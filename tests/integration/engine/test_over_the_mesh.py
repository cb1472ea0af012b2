"""The engine over several instances: one that dies in the middle, one that stops, versions side by side."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.engine.processes import Process, ServerProcess, free_port, listening, until
from tests.integration.engine.work import Journal, make_chain
from weft.client import Client, Execution
from weft.service import Service

pytestmark = pytest.mark.integration


class Fleet:
    """Providers of one service in processes of their own, each with a journal of its own."""

    def __init__(self, folder: Path, server: str) -> None:
        self._folder = folder
        self._server = server
        self.processes: list[Process] = []
        self.journals: list[Journal] = []

    async def add(self, weft: Client) -> None:
        number, port = len(self.processes), free_port()
        journal = Journal(self._folder / f"journal-{number}")
        process = Process(
            self._folder / f"provider-{number}.log",
            *("tests.integration.engine.work", "--server", self._server),
            *("--journal", str(journal.path), "--listen", f"127.0.0.1:{port}"),
        )
        self.processes.append(process)
        self.journals.append(journal)
        await listening(port, process)

        async def known() -> bool:
            return len((await weft.registry.instances()).items) == len(self.processes)

        await until(known)

    def cut(self, number: int) -> int:
        """Return how many calls began at an instance and did not end."""
        lines = Counter(line[0] for line in self.journals[number].lines())
        return lines["run"] - lines["done"]

    def close(self) -> None:
        for process in self.processes:
            process.close()


@pytest.fixture
def fleet(tmp_path: Path, server: ServerProcess) -> Iterator[Fleet]:
    made = Fleet(tmp_path, server.address)
    yield made
    made.close()


async def load(weft: Client, count: int, at_once: int, ended: list[Execution]) -> None:
    """Run so many executions of ``quick``, some of them at once."""
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            execution = await weft.executions.execute("quick", {"n": 0})
            ended.append(execution)

    await asyncio.gather(*(worker() for _ in range(at_once)))


async def ready(server: ServerProcess, weft: Client, fleet: Fleet) -> None:
    await server.up()
    for _ in range(3):
        await fleet.add(weft)
    await make_chain(weft, "quick", 2, seconds=0.02)


async def test_one_of_three_instances_is_killed_under_load(
    server: ServerProcess, weft: Client, fleet: Fleet
) -> None:
    """Only what was being run there fails: it was sent, so it may have run. All the rest goes elsewhere."""
    await ready(server, weft, fleet)
    ended: list[Execution] = []
    running = asyncio.create_task(load(weft, 150, 12, ended))
    await until(lambda: len(ended) > 30)
    fleet.processes[0].kill()
    await running
    failed = [it for it in ended if it.state != "COMPLETED"]
    assert len(ended) == 150
    assert fleet.cut(0) <= len(failed) <= 12
    assert {it.failure.reason for it in failed if it.failure} <= {"ACTION_UNAVAILABLE"}
    assert all(it.failure is not None and it.failure.retryable for it in failed)
    assert {it.state for it in ended[-60:]} == {"COMPLETED"}
    shares = [len(journal.lines()) for journal in fleet.journals]
    assert max(shares[1:]) <= 1.5 * min(shares[1:])


async def test_one_of_three_instances_stops_in_good_order(
    server: ServerProcess, weft: Client, fleet: Fleet
) -> None:
    """No execution fails: it finishes what it runs, and what comes too late goes elsewhere."""
    await ready(server, weft, fleet)
    ended: list[Execution] = []
    running = asyncio.create_task(load(weft, 150, 12, ended))
    await until(lambda: len(ended) > 30)
    fleet.processes[0].terminate()
    assert await fleet.processes[0].ended() == 0
    await running
    assert Counter(it.state for it in ended) == {"COMPLETED": 150}
    assert fleet.cut(0) == 0


async def test_a_step_is_run_by_an_instance_in_its_range(server: ServerProcess, weft: Client) -> None:
    """Whichever are there; a range that nobody has is refused with the versions that exist."""
    await server.up()

    def of(version: str) -> Service:
        service = Service("prices", version=version)

        @service.action
        async def quote() -> dict[str, str]:
            return {"version": version}

        return service

    hosts = [of(version).hosted(server=server.address) for version in ("1.2.0", "1.4.0", "2.0.0")]
    async with hosts[0] as first, hosts[1] as second, hosts[2] as third:
        for host in (first, second, third):
            await host.registered.wait()
        for wanted, there in (("^1", {"1.2.0", "1.4.0"}), ("~1.4", {"1.4.0"}), ("^2", {"2.0.0"})):
            name = f"flow-{len(wanted)}{wanted[-1]}{wanted[0] == '~'}".lower()
            step = {"id": "a", "service": "prices", "action": "quote", "service_version": wanted}
            await weft.workflows.create(name, [step])
            ended = [await weft.executions.execute(name, {}) for _ in range(12)]
            assert {(it.result or {}).get("version") for it in ended} == there
        step = {"id": "a", "service": "prices", "action": "quote", "service_version": ">=1.5,<2"}
        await weft.workflows.create("nobody", [step])
        refused = await weft.executions.execute("nobody", {})
    assert refused.failure is not None
    assert refused.failure.reason == "VERSION_NOT_AVAILABLE"
    assert "1.4.0" in refused.failure.message
