"""A service as a process of its own: signals, logs, and how it ends."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from tests.integration.engine.processes import free_port
from tests.support.hosting import health_of, invocation, invoke
from weft.api.action.v1 import action_service_pb2 as pb
from weft.api.action.v1 import action_service_pb2_grpc
from weft.core.errors import ServiceUnavailableError, WeftError
from weft.core.payload import from_payload
from weft.core.reasons import Reason
from weft.mesh.rpc import CHANNEL_OPTIONS

pytestmark = pytest.mark.integration

SCRIPT = """
import asyncio, sys, time
from weft.service import Service, current_context

service = Service("demo", version="1.2.3")

@service.action
async def wait() -> dict[str, str]:
    current_context().logger.info("waiting")
    await asyncio.sleep(0.5)
    return {"loop": type(asyncio.get_running_loop()).__module__}

@service.action
async def wait_long() -> None:
    current_context().logger.info("begun")
    await asyncio.sleep(60)

@service.action
def hang() -> None:
    time.sleep(60)

@service.action
async def swallow() -> None:
    current_context().logger.info("begun")
    while True:
        try:
            await asyncio.sleep(60)
        except BaseException:
            pass

service.run(listen=sys.argv[1])
print("ended")
"""


@asynccontextmanager
async def process() -> AsyncIterator[tuple[asyncio.subprocess.Process, grpc.aio.Channel]]:
    address = f"127.0.0.1:{free_port()}"
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, address, stdout=pipe, stderr=pipe
    )
    try:
        async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            health = health_of(channel)
            await health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=20)
            yield child, channel
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def begun(child: asyncio.subprocess.Process) -> None:
    """Wait until an action says that it runs."""
    assert child.stderr is not None
    async with asyncio.timeout(10):
        await child.stderr.readuntil(b": begun ")


async def test_a_signal_drains_and_ends_the_process() -> None:
    """SIGTERM lets a running call finish, also beside a thread that hangs, and run() logs and returns."""
    async with process() as (child, channel):
        stub = action_service_pb2_grpc.ActionServiceStub(channel)
        hanging = stub.InvokeAction(invocation("hang"), timeout=0.2)
        running = stub.InvokeAction(invocation("wait", invocation=pb.Invocation(execution_id="exe_9")))
        await channel.channel_ready()
        await asyncio.sleep(0.1)
        child.terminate()
        answer = await running
        assert "uvloop" in from_payload(answer.output)["loop"]
        with pytest.raises(grpc.aio.AioRpcError):
            await hanging
        out, err = await asyncio.wait_for(child.communicate(), 10)
        assert (child.returncode, out.decode()) == (0, "ended\n")
        first, *_, last = err.decode().splitlines()
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\dT[\d:.]{12}[+-]\d\d:\d\d INFO    weft\.service: "
            r"demo 1\.2\.3: wait, wait_long, hang, swallow at 127\.0\.0\.1:\d+",
            first,
        )
        assert re.search(r"weft\.service: demo-\w+ stopping$", last)
        assert "INFO    weft.service.demo: waiting (execution_id=exe_9" in err.decode()


async def test_a_second_signal_skips_the_drain() -> None:
    """Who asks twice does not wait; the call that was cut off is told to go elsewhere."""
    async with process() as (child, channel):
        health = health_of(channel)
        running = asyncio.create_task(invoke(channel, invocation("wait_long")))
        await begun(child)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        child.send_signal(signal.SIGINT)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not running.done()
        child.send_signal(signal.SIGINT)
        with pytest.raises(ServiceUnavailableError) as caught:
            await running
        assert caught.value.reason in {Reason.ACTION_UNAVAILABLE, Reason.SERVER_DRAINING}
        out, err = await asyncio.wait_for(child.communicate(), 5)
        assert (child.returncode, out.decode(), err.decode().count("Traceback")) == (0, "ended\n", 0)


async def test_an_action_that_does_not_end_does_not_keep_the_process() -> None:
    """Such as one that takes its cancellation for a failure that it can live with: it is told, and left."""
    async with process() as (child, channel):
        running = asyncio.create_task(invoke(channel, invocation("swallow")))
        await begun(child)
        watch = health_of(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        child.terminate()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        child.terminate()  # no drain
        with pytest.raises(WeftError):
            await running
        out, err = await asyncio.wait_for(child.communicate(), 10)
        assert (child.returncode, out.decode()) == (0, "ended\n")
        assert re.search(r"WARNING weft\.service: left \d tasks behind", err.decode())
