"""SIGTERM: health says so, what runs is finished and recorded, and the next start goes on."""

from __future__ import annotations

import asyncio
import signal

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from tests.integration.engine.processes import ServerProcess, until
from tests.integration.engine.work import Journal, make_chain, work_service
from weft.client import NO_RETRY, Client, Execution, RetryPolicies, ServiceUnavailableError, connect

pytestmark = pytest.mark.integration

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def _until(journal: Journal, *words: str) -> None:
    await until(lambda: any((line[0], line[2]) == words for line in journal.lines()))


def _watch_health(
    channel: grpc.aio.Channel,
) -> grpc.aio.UnaryStreamCall[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]:
    # The stub of the package has no types for its methods.
    watch: grpc.aio.UnaryStreamMultiCallable[
        health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    ] = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return watch(health_pb2.HealthCheckRequest())


async def _status(
    watch: grpc.aio.UnaryStreamCall[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse],
) -> int:
    answer = await watch.read()
    assert isinstance(answer, health_pb2.HealthCheckResponse)
    return answer.status


async def test_a_graceful_stop_finishes_the_step_and_leaves_the_next_for_later(
    server: ServerProcess, weft: Client, journal: Journal
) -> None:
    """NOT_SERVING at once, the running step is recorded, the next is not begun; later it goes on."""
    await server.up()
    async with (
        work_service(journal).hosted(server=server.address),
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        watch = _watch_health(channel)
        assert await _status(watch) == SERVING
        await make_chain(weft, "chain", 3, seconds=0.4)
        started = await weft.executions.start("chain", {"n": 0})
        await _until(journal, "run", "s0")
        assert server.process is not None
        server.process.terminate()
        assert await _status(watch) == NOT_SERVING
        assert not any(line[0] == "done" for line in journal.lines())  # said before the step was over
        assert await server.process.ended() == 0
        assert [line[:3] for line in journal.lines()] == [
            ["run", started.id, "s0"],
            ["done", started.id, "s0"],
        ]
        await server.up()
        kinds = [event.kind async for event in weft.executions.watch(started.id)]
        assert kinds == [
            "execution_started",
            "step_scheduled",
            "step_completed",
            "step_scheduled",  # after the restart: the first server did not even begin it
            *("step_completed", "step_scheduled", "step_completed", "execution_completed"),
        ]
        ended = await weft.executions.get(started.id)
        assert [step.attempt for step in ended.steps] == [1, 1, 1]
        assert ended.result == {"n": 3}
        assert max(journal.bodies().values()) == 1  # a graceful stop makes nothing run twice


async def test_callers_are_told_and_join_again_by_themselves(
    server: ServerProcess, weft: Client, journal: Journal
) -> None:
    """A waiting and a watching caller see SERVER_DRAINING; with the client's retries they notice nothing."""
    await server.up()
    plain = RetryPolicies(create=NO_RETRY, read=NO_RETRY, watch=NO_RETRY)
    async with (
        work_service(journal).hosted(server=server.address),
        connect(server.address, retry=plain) as blunt,
    ):
        await make_chain(weft, "chain", 3, seconds=0.2)
        patient = asyncio.create_task(weft.executions.execute("chain", {"n": 0}, request_id="r-1"))
        await _until(journal, "run", "s0")
        joined = asyncio.create_task(blunt.executions.execute("chain", {"n": 0}, request_id="r-1"))
        known = (await weft.executions.list()).items[0]

        async def numbers(client: Client) -> list[int]:
            return [event.number async for event in client.executions.watch(known.id)]

        told = asyncio.create_task(numbers(blunt))
        follows = asyncio.create_task(numbers(weft))
        await asyncio.sleep(0.05)
        assert await server.stop() == 0
        for caller in (joined, told):
            with pytest.raises(ServiceUnavailableError) as caught:
                await caller
            assert caught.value.reason == "SERVER_DRAINING"
        await server.up()
        ended = await patient
        assert (ended.id, ended.state) == (known.id, "COMPLETED")
        assert await follows == list(range(1, ended.last_event_number + 1))
        assert len((await weft.executions.list()).items) == 1


async def test_a_step_that_does_not_end_in_time_is_told_to_stop_and_runs_again(
    journal: Journal, server: ServerProcess, weft: Client
) -> None:
    """After the grace the process ends all the same, with exit code 0; the step is attempted again."""
    server._drain = 0.3
    await server.up()
    async with work_service(journal).hosted(server=server.address):
        await make_chain(weft, "chain", 1)
        started = await weft.executions.start("chain", {"n": 0, "seconds": 30})
        await _until(journal, "run", "s0")
        before = asyncio.get_running_loop().time()
        assert await server.stop() == 0
        assert asyncio.get_running_loop().time() - before < 10
        await server.up()
        await until(lambda: len(journal.lines()) == 2)
        assert [line[:4] for line in journal.lines()] == [
            ["run", started.id, "s0", "1"],
            ["run", started.id, "s0", "2"],
        ]
        await weft.executions.cancel(started.id)


async def _end(weft: Client, execution_id: str) -> Execution:
    async for _ in weft.executions.watch(execution_id):
        pass
    return await weft.executions.get(execution_id)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload


def _watch_without_reading() -> bytes:
    """Return the HTTP/2 bytes of a health watch by a peer that gives no room for an answer."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Watch",
        ":authority": "weft",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    block = b"".join(
        bytes((0, len(name))) + name.encode() + bytes((len(value),)) + value.encode()
        for name, value in headers.items()
    )
    no_window = (4).to_bytes(2, "big") + (0).to_bytes(4, "big")
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + _frame(4, 0, 0, no_window)
        + _frame(1, 4, 1, block)
        + _frame(0, 1, 1, bytes(5))
    )


async def test_a_peer_that_does_not_read_holds_up_nobody(server: ServerProcess, weft: Client) -> None:
    """Health goes on for everybody else, and the server stops within its grace."""
    server._drain = 1.0
    await server.up()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(_watch_without_reading())
    await writer.drain()
    async with grpc.aio.insecure_channel(server.address) as channel:
        watch = _watch_health(channel)
        assert await _status(watch) == SERVING
        assert await weft.health.check() == "SERVING"
        assert server.process is not None
        server.process.terminate()
        assert await _status(watch) == NOT_SERVING
        assert await server.process.ended(within=5) == 0
    writer.close()


async def test_a_second_signal_ends_the_process_at_once(
    server: ServerProcess, weft: Client, journal: Journal
) -> None:
    """Who does not want to wait for the grace asks twice; what was recorded is there at the next start."""
    await server.up()
    async with work_service(journal).hosted(server=server.address):
        await make_chain(weft, "chain", 1)
        started = await weft.executions.start("chain", {"n": 0, "seconds": 1.0})
        await _until(journal, "run", "s0")
        assert server.process is not None
        server.process.terminate()
        await asyncio.sleep(0.2)
        server.process.terminate()
        assert await server.process.ended(within=2) == -signal.SIGTERM
        assert not any(line[0] == "done" for line in journal.lines())
        await server.up()
        assert (await _end(weft, started.id)).state == "COMPLETED"


async def test_an_idle_server_stops_at_once(server: ServerProcess, weft: Client) -> None:
    """There is nothing to wait for: no open stream holds up the stop for the whole grace."""
    await server.up()
    async with grpc.aio.insecure_channel(server.address) as channel:
        watch = _watch_health(channel)
        assert await _status(watch) == SERVING
        assert await weft.health.check() == "SERVING"
        before = asyncio.get_running_loop().time()
        assert await server.stop() == 0
        assert asyncio.get_running_loop().time() - before < 5  # the grace is 10
