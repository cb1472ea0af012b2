"""Under load: instances that drain, die, and come; many calls at once."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.mesh.conftest import Fleet
from tests.support.behaviours import path, until
from weft.core.testing import ManualClock
from weft.discovery.model import Endpoint
from weft.mesh.call_options import CallOptions, RetryMethods
from weft.mesh.mesh import Mesh, MeshConfig, OneResolver
from weft.mesh.tracing.port import NoTracing

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]


class Load:
    """Workers that call one after the other, and what became of their calls."""

    def __init__(self, call: Any, workers: int) -> None:
        self.good = 0
        self.failed: list[BaseException] = []
        self._call = call
        self._stop = False
        self._workers = workers

    async def _work(self) -> None:
        while not self._stop:
            try:
                assert await self._call(b"x") == b"x"
                self.good += 1
            except grpc.aio.AioRpcError as error:
                self.failed.append(error)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]
        try:
            yield
        finally:
            self._stop = True
            await asyncio.gather(*tasks)


class Starts(NoTracing):
    """Remembers where calls started, and how many run."""

    def __init__(self) -> None:
        self.at: list[str] = []
        self.running: Counter[str] = Counter()

    def start(self, method: str, metadata: Any, *, endpoint: Endpoint, **_: Any) -> Any:  # noqa: ARG002 - the port's
        self.at.append(endpoint.instance_id)
        self.running[endpoint.instance_id] += 1
        return endpoint.instance_id, metadata

    def end(self, span: Any, code: int, details: str | None) -> None:  # noqa: ARG002 - the port's
        self.running[span] -= 1

    def idle(self, instance: str) -> bool:
        return not self.running[instance]


async def test_a_graceful_drain_fails_no_call(fleet: Fleet) -> None:
    """Removed from the list, then stopped, then back again: no call fails, for any method.

    It stops when its last call has ended: what it had not accepted by then, grpc.aio would drop.
    """
    starts = Starts()
    mesh = Mesh(OneResolver(fleet.resolver), tracer=starts)
    await fleet.grow(3)
    for instance in fleet.instances:
        instance.pace = 0.002
    fleet.publish()
    channel: Any = mesh.channel("weft://fleet", options=CallOptions(retry_methods=RetryMethods.NONE))
    load = Load(channel.unary_unary(path("Unary")), 16)
    async with load.running():
        for number in (0, 1, 2, 0, 1, 2):
            fleet.publish(*(each for each in range(3) if each != number))
            await until(lambda: len(mesh.route("weft://fleet").snapshot.endpoints) == 2)
            before = len(starts.at)
            await asyncio.sleep(0.02)
            await until(partial(starts.idle, f"i-{number}"))
            assert f"i-{number}" not in starts.at[before:]
            await fleet.stop(number, grace=1)
            await fleet.restart(number)
            fleet.publish()
            await asyncio.sleep(0.03)
    await mesh.close()
    assert load.failed == []
    assert load.good > 100


async def test_servers_that_stop_unannounced_fail_no_idempotent_call(fleet: Fleet, mesh: Mesh) -> None:
    """The source still names them: what they let go of is called elsewhere."""
    await fleet.grow(3)
    for instance in fleet.instances:
        instance.pace = 0.002
    fleet.publish()
    channel: Any = mesh.channel("weft://fleet", options=CallOptions(retry_methods=RetryMethods.ALL))
    load = Load(channel.unary_unary(path("Unary")), 16)
    async with load.running():
        for number in (0, 1, 2):
            await asyncio.sleep(0.05)
            await fleet.stop(number, grace=0.5 if number else None)
            await asyncio.sleep(0.05)
            await fleet.restart(number)
    assert load.failed == []
    assert load.good > 100


async def test_a_killed_process_fails_no_call_with_retry_on(mesh: Mesh, fleet: Fleet) -> None:
    """Kill -9 of one of three under load; it gets no call more, though the source still names it."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.mesh.echo_process",
            "0.002",
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    try:
        endpoints = []
        for process in processes:
            assert process.stdout is not None
            endpoints.append(Endpoint(host="127.0.0.1", port=int(await process.stdout.readline())))
        fleet.resolver.set("killed", endpoints)
        channel: Any = mesh.channel("weft://killed", options=CallOptions(retry_methods=RetryMethods.ALL))
        load = Load(channel.unary_unary(path("Unary")), 32)
        async with load.running():
            await asyncio.sleep(0.3)
            processes[0].kill()
            await processes[0].wait()
            await asyncio.sleep(0.5)
        assert load.failed == []
        assert load.good > 100
        assert mesh.pool.state(endpoints[0]) is not grpc.ChannelConnectivity.READY
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def test_a_thousand_calls_at_once(fleet: Fleet, mesh: Mesh) -> None:
    """From a cold start; they share three connections, and nothing is left of them."""
    await fleet.grow(3)
    fleet.publish()
    channel: Any = mesh.channel("weft://fleet")
    call = channel.unary_unary(path("Unary"))
    answers = await asyncio.gather(*(call(b"%d" % number) for number in range(1_000)))
    assert answers == [b"%d" % number for number in range(1_000)]
    assert all(calls > 0 for calls in fleet.calls)
    [state] = mesh.states()
    assert [instance["in_flight"] for instance in state["instances"]] == [0, 0, 0]


async def test_a_new_instance_gets_calls(fleet: Fleet, mesh: Mesh) -> None:
    """As soon as the source names it."""
    await fleet.grow(1)
    fleet.publish()
    call: Any = mesh.channel("weft://fleet").unary_unary(path("Unary"))
    await call(b"x")
    await fleet.grow(1)
    fleet.publish()
    await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        while mesh.pool.state(fleet.endpoint(1)) is not grpc.ChannelConnectivity.READY:
            await call(b"x")
    before = fleet.calls
    for _ in range(4):
        await call(b"x")
    assert [now - then for now, then in zip(fleet.calls, before, strict=True)] == [2, 2]


async def test_what_nobody_uses_is_forgotten(fleet: Fleet) -> None:
    """The watch and the connection; a later call finds them again."""
    await fleet.grow(1)
    fleet.publish()
    clock = ManualClock()
    mesh = Mesh(OneResolver(fleet.resolver), MeshConfig(idle_timeout=timedelta(minutes=5)), clock=clock)
    channel: Any = mesh.channel("weft://fleet")
    many = channel.stream_stream(path("Chat"))()
    await many.write(b"a")
    assert await many.read() == b"a"
    await clock.advance(400)
    assert len(mesh.states()) == 1
    await many.done_writing()
    assert await many.read() is grpc.aio.EOF
    await clock.advance(400)
    assert mesh.states() == []
    assert mesh.pool.state(fleet.endpoint(0)) is grpc.ChannelConnectivity.IDLE
    assert await channel.unary_unary(path("Unary"))(b"x", timeout=5) == b"x"
    await mesh.close()
