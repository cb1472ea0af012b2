"""A disk that takes nothing more: said at the start, answered while running, healed when there is room."""

from __future__ import annotations

import asyncio
import resource
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.engine.processes import Process, ServerProcess, until
from tests.integration.engine.work import Journal, make_chain, work_service
from weft.client import NO_RETRY, Client, ResourceNotFoundError, RetryPolicies, WeftError, connect

pytestmark = pytest.mark.integration

MOUNT = 'mount -t tmpfs -o size="$0" none "$1" && shift && exec "$@"'


def small_disk(size: str, folder: Path) -> tuple[str, ...]:
    """Return the command that runs another one with a small disk of its own at that folder."""
    folder.mkdir(exist_ok=True)
    return ("unshare", "-Urm", "sh", "-c", MOUNT, size, str(folder))


def can_mount() -> bool:
    with suppress(OSError):
        return subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode == 0
    return False


class SmallDisk:
    """A file system of 2 MiB, filled up by a file of somebody else: the real ENOSPC."""

    reasons = frozenset({"STORE_FULL"})

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        server.inside = small_disk("2m", server.data_dir)

    @property
    def _filler(self) -> Path:
        assert self._server.process is not None
        inside = Path(f"/proc/{self._server.process.child.pid}/root")
        return inside / self._server.data_dir.relative_to("/") / "filler"

    def fill(self) -> None:
        with suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

    def free(self) -> None:
        self._filler.unlink()


class NoLargerFiles:
    """The process may not make any file larger: a disk that fails, wherever tests run."""

    reasons = frozenset({"STORE_UNAVAILABLE"})

    def __init__(self, server: ServerProcess) -> None:
        self._server = server

    def _limit(self, size: int) -> None:
        assert self._server.process is not None
        limits = (size, resource.RLIM_INFINITY)
        resource.prlimit(self._server.process.child.pid, resource.RLIMIT_FSIZE, limits)

    def fill(self) -> None:
        self._limit((self._server.data_dir / "weft.db-wal").stat().st_size + 8_192)

    def free(self) -> None:
        self._limit(resource.RLIM_INFINITY)


DISKS = [NoLargerFiles, *([SmallDisk] if can_mount() else [])]


@pytest.mark.parametrize("make_disk", DISKS)
async def test_a_server_outlives_a_full_disk(
    make_disk: Callable[[ServerProcess], SmallDisk | NoLargerFiles], server: ServerProcess, journal: Journal
) -> None:
    """Health NOT_SERVING, a reason for every caller, never INTERNAL; then all goes on and nothing is lost."""
    disk = make_disk(server)
    await server.up()
    once = RetryPolicies(**dict.fromkeys(("create", "update", "delete", "read", "watch"), NO_RETRY))
    async with (
        work_service(journal).hosted(server=server.address),
        connect(server.address, retry=once, timeout=timedelta(seconds=5)) as weft,
    ):
        await make_chain(weft, "chain", 3)
        acked = [(await weft.executions.start("chain", {"n": 0, "seconds": 0.3})).id for _ in range(5)]
        waiting = asyncio.create_task(
            weft.executions.execute("chain", {"n": 0, "seconds": 0.3}, request_id="r-1")
        )
        disk.fill()
        failure = await _fill_up(weft, acked)
        assert failure.reason in disk.reasons
        assert failure.retry_after is not None
        await _until_health(weft, "NOT_SERVING")
        with pytest.raises(WeftError) as told:
            await waiting
        assert told.value.reason in disk.reasons
        await _check_answers(weft, acked[0], disk.reasons)
        disk.free()
        await _until_health(weft, "SERVING")
        joined = await weft.executions.execute("chain", {"n": 0, "seconds": 0.3}, request_id="r-1")
        assert (joined.state, joined.result) == ("COMPLETED", {"n": 3})
        for execution_id in acked:
            numbers = [event.number async for event in weft.executions.watch(execution_id)]
            assert numbers == list(range(1, len(numbers) + 1))
            ended = await weft.executions.get(execution_id)
            assert (ended.state, ended.result) == ("COMPLETED", {"n": 3})
        assert (await weft.executions.list(state="RUNNING")).items == ()
    assert await server.stop() == 0
    assert "Traceback" not in server.log


async def _fill_up(weft: Client, acked: list[str]) -> WeftError:
    """Start ever more, until one is refused; what was accepted counts."""
    for _ in range(200):
        try:
            started = await weft.executions.start("chain", {"n": 0, "seconds": 0.0, "text": "x" * 100_000})
        except WeftError as error:
            return error
        acked.append(started.id)
    raise AssertionError("nothing was refused")


async def _check_answers(weft: Client, execution_id: str, reasons: frozenset[str]) -> None:
    """Writes are refused for the store's sake; reads are answered, or refused for the store's sake."""
    for write in (
        weft.workflows.create("other", [{"id": "a", "service": "work", "action": "work"}]),
        weft.registry.register("other", actions=[{"name": "a"}]),
        weft.executions.start("chain", {"n": 0, "seconds": 0}),
    ):
        with pytest.raises(WeftError) as refused:
            await write
        assert refused.value.reason in reasons
    for read in (weft.executions.get(execution_id), weft.workflows.list(), weft.registry.list()):
        (answer,) = await asyncio.gather(read, return_exceptions=True)
        assert not isinstance(answer, WeftError) or answer.reason in reasons
    with pytest.raises(ResourceNotFoundError):
        await weft.executions.get("exe_unknown")
    overall = await weft.registry.integration_health()
    assert {one.name: one.health for one in overall.dependencies}["store"] == "UNHEALTHY"


async def _until_health(weft: Client, wanted: str) -> None:
    async def holds() -> bool:
        return await weft.health.check() == wanted

    await until(holds)


@pytest.mark.parametrize("how", ["limit", *(["small disk"] if can_mount() else [])])
async def test_a_start_without_room(how: str, tmp_path: Path) -> None:
    """One line with the path and the reason, and exit code 1."""
    data = tmp_path / "data"
    inside = ("prlimit", "--fsize=8192") if how == "limit" else small_disk("64k", data)
    process = Process(
        tmp_path / "log",
        *("weft.cli", "server", "--listen", "127.0.0.1:0", "--data-dir", str(data)),
        inside=inside,
    )
    assert await process.ended() == 1, process.output
    lines = process.output.splitlines()
    assert len(lines) == 1, process.output
    assert lines[0].startswith(
        f"Error: cannot open the store: {'' if how == 'limit' else 'no space left for '}"
    )
    assert str(data / "weft.db") in lines[0]
