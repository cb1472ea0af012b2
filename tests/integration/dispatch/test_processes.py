"""Providers that die or stand still in the middle of a stream."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.engine.processes import Process, free_port, listening
from tests.support.actions import Way
from tests.support.behaviours import until
from weft.core.errors import ServiceUnavailableError, WeftError
from weft.core.reasons import Reason
from weft.discovery.model import Endpoint, Protocol
from weft.discovery.static import StaticResolver
from weft.mesh.actions import ActionCall, ActionReply, UnreachableError
from weft.mesh.balancing import BalancerConfig
from weft.mesh.caller import ActionCaller
from weft.mesh.dispatch.transport import StreamActionTransport
from weft.mesh.mesh import Mesh, MeshConfig, OneResolver

pytestmark = pytest.mark.integration

Start = Callable[[int], Process]

_IMPATIENT = (
    ("grpc.keepalive_time_ms", 1_000),
    ("grpc.keepalive_timeout_ms", 1_000),
    ("grpc.http2.ping_timeout_ms", 1_000),
)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    started: list[Process] = []

    def make(port: int) -> Process:
        module = "tests.integration.dispatch.provider"
        process = Process(tmp_path / f"{len(started)}.log", module, "--listen", f"127.0.0.1:{port}")
        started.append(process)
        return process

    yield make
    for process in started:
        process.close()


def at(port: int) -> Endpoint:
    return Endpoint(host="127.0.0.1", port=port, instance_id=f"at-{port}")


async def test_a_killed_provider_fails_what_it_had_and_nothing_else(start: Start) -> None:
    """ACTION_UNAVAILABLE at once for what was sent to it; all others pass, and it may come back."""
    ports = free_port(), free_port()
    processes = [start(port) for port in ports]
    for port, process in zip(ports, processes, strict=True):
        await listening(port, process)
    resolver = OneResolver(StaticResolver({"demo": [at(port) for port in ports]}))
    # The calls that were lost speak against it for half a minute: not what is looked at here.
    mesh = Mesh(resolver, MeshConfig(balancer=BalancerConfig(outliers=None)))
    transport = StreamActionTransport(mesh.pool)
    caller = ActionCaller(mesh, {Protocol.GRPC: transport})

    async def call(action: str) -> ActionReply:
        return await caller.call(ActionCall(service="demo", action=action, input=b"{}"), 30)

    try:
        while len(transport._streams._live) < 2:
            await call("who")
        hanging = [asyncio.create_task(call("hang")) for _ in range(40)]
        await asyncio.gather(*(call("who") for _ in range(20)))
        processes[0].kill()
        before = time.monotonic()
        await until(lambda: any(task.done() for task in hanging))
        assert {reply.instance_id for reply in [await call("who") for _ in range(20)]} == {f"at-{ports[1]}"}
        assert time.monotonic() - before < 4
        lost = [task for task in hanging if task.done()]
        assert 5 <= len(lost) <= 35, "the others hang on, at the other one"
        for task in lost:
            error = task.exception()
            assert isinstance(error, ServiceUnavailableError)
            assert not isinstance(error, UnreachableError)
            assert error.metadata["instance_id"] == f"at-{ports[0]}"
        await listening(ports[0], start(ports[0]))
        replies: set[str] = set()
        async with asyncio.timeout(20):
            while len(replies) < 2 or len(transport._streams._live) < 2:
                replies.add((await call("who")).instance_id)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
    finally:
        await caller.close()
        await mesh.close()


async def test_a_provider_that_stands_still_is_noticed_without_a_deadline(start: Start) -> None:
    """Keepalive ends the stream; what it had may have run, and goes nowhere else by itself."""
    port = free_port()
    process = start(port)
    await listening(port, process)
    async with Way("stream", options=_IMPATIENT) as way:
        pid = (await way.invoke(at(port), "who"))["pid"]
        hanging = asyncio.create_task(way.invoke(at(port), "hang", timeout=60))
        await asyncio.sleep(0.1)
        process.child.send_signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(20):
                with pytest.raises(ServiceUnavailableError) as caught:
                    await hanging
            assert caught.value.reason == Reason.ACTION_UNAVAILABLE
            with pytest.raises(WeftError):
                await way.invoke(at(port), "who", timeout=0.5)
        finally:
            process.child.send_signal(signal.SIGCONT)
        async with asyncio.timeout(20):
            answers: list[dict[str, int]] = []
            while not (answers and way.streams):
                with suppress(WeftError):
                    answers.append(await way.invoke(at(port), "who", timeout=2))
        assert answers[-1] == {"pid": pid}


async def test_a_terminated_provider_loses_nothing(start: Start) -> None:
    """SIGTERM under load: every call is answered, there or at the other one."""
    ports = free_port(), free_port()
    processes = [start(port) for port in ports]
    for port, process in zip(ports, processes, strict=True):
        await listening(port, process)
    mesh = Mesh(OneResolver(StaticResolver({"demo": [at(port) for port in ports]})))
    caller = ActionCaller(mesh, {Protocol.GRPC: StreamActionTransport(mesh.pool)})
    answered = 0

    async def work(end: float) -> None:
        nonlocal answered
        while time.monotonic() < end:
            await caller.call(ActionCall(service="demo", action="who", input=b"{}"), 20)
            answered += 1

    try:
        working = [asyncio.create_task(work(time.monotonic() + 2)) for _ in range(32)]
        await asyncio.sleep(0.7)
        processes[0].terminate()
        await asyncio.gather(*working)
        assert answered > 200
        assert await processes[0].ended() == 0
    finally:
        await caller.close()
        await mesh.close()
