"""Benchmark ``recovery``: the server is killed with much under way, and started again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import grpc.aio

from benchmarks.gate import GATE, STEPS, GateControl
from benchmarks.harness import Block, Figure, Operation, Side, closed_loop
from benchmarks.payloads import Documents
from benchmarks.processes import Child, Processes
from benchmarks.stores import SQLITE, OpenStore, StoreKind
from benchmarks.work import add_workflow, chain, execute, passing
from weft.client import Client, connect
from weft.core.errors import WeftError

__all__ = ["RecoveryBenchmark"]

_SIZES: Final = {"1k": 1_000, "10k": 10_000}
_WAITING: Final = 100_000
_AT_ONCE: Final = 1_000
"""Steps of one service that the server runs at a time; what is beyond waits for its turn."""

_HELD: Final = "held"
_REFUSED: Final = "refused"
_HOUR: Final = 3_600
_STARTERS: Final = 64
_LOAD: Final = 32
_SPEED: Final = 0.9
"""What counts as full speed, as a part of the speed before."""
_LEAST: Final = 20
_POLL: Final = 0.02


def _figures(name: str) -> tuple[Figure, ...]:
    one = partial(Figure, concurrency=1, unit="s")
    return (
        *(
            one(
                name=f"{name}.{size}.{metric}",
                side=size,
                metric=metric,
                at_most=1.0 if (size, metric) == ("1k", "beyond_lease") else None,
            )
            for size in _SIZES
            for metric in ("listening", "total", "beyond_lease")
        ),
        Figure(
            name=f"{name}.10k/1k.working",
            unit="ratio",
            side="10k",
            base="1k",
            concurrency=1,
            metric="working",
            at_most=12.0,
        ),
        one(name=f"{name}.waiting.full_speed", side="waiting", metric="full_speed", at_most=20.0),
        one(name=f"{name}.waiting.listening", side="waiting", metric="listening"),
        Figure(name=f"{name}.waiting.open", unit="", side="waiting", concurrency=1, metric="open"),
    )


class RecoveryBenchmark:
    """SIGKILL of the server and a new start, until what was open is done, or as fast as before.

    Args:
        store: Where the server keeps everything.
    """

    seconds = 600.0

    def __init__(self, store: StoreKind = SQLITE) -> None:
        self._store = store
        self.name = f"recovery{store.suffix}"
        self.description = f"kill -9 of the server with 1k, 10k and 100k workflows open, on {store.title}"
        self.figures: Sequence[Figure] = _figures(self.name)

    @asynccontextmanager
    async def setup(self, processes: Processes) -> AsyncIterator[Sequence[Side]]:
        """Start server and providers, and make the workflows.

        Raises:
            CannotRunError: A part of the store is missing.
        """
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(self._store.opened(processes))
            server = processes.start_server(options=store.options)
            address = await server.address()
            processes.start("provider", "benchmarks.provider", "--server", address)
            gate = processes.start("gate", "benchmarks.gate", "--server", address)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(await gate.address()))
            client = await stack.enter_async_context(connect(address))
            await _make_workflows(client)
            rig = _Rig(processes, store, server, address, client, GateControl(channel))
            yield (
                *(_side(name, rig.all_done, size) for name, size in _SIZES.items()),
                _side("waiting", rig.full_speed, _WAITING),
            )


async def _make_workflows(client: Client) -> None:
    await add_workflow(client)
    await passing(client, STEPS)
    await passing(client, GATE)
    held = [(STEPS, "step"), (GATE, "hold"), (STEPS, "step")]
    await client.workflows.create(_HELD, chain(held, timeout=_HOUR))
    later = {"initial_backoff": _HOUR, "max_backoff": _HOUR}
    await client.workflows.create(_REFUSED, chain([(STEPS, "refuse")], retry=later))


def _side(name: str, run: Callable[[int], Coroutine[Any, Any, Block]], size: int) -> Side:
    async def block(_: int, seconds: float) -> Block:
        return await run(max(_LEAST, round(size * seconds / RecoveryBenchmark.seconds)))

    return Side(name=name, run=block, concurrencies=(1,))


class _Rig:
    """One server that is killed again and again, and what is asked of it."""

    def __init__(
        self,
        processes: Processes,
        store: OpenStore,
        server: Child,
        address: str,
        client: Client,
        gate: GateControl,
    ) -> None:
        self._processes = processes
        self._store = store
        self._server = server
        self._address = address
        self._client = client
        self._gate = gate
        self._documents = Documents()
        self._waiting = 0

    async def all_done(self, size: int) -> Block:
        """Kill with so many in their second step; time the new start until all are done."""
        await self._gate.close()
        started = await self._start(_HELD, size)
        await _until(lambda: self._are_held(size))
        self._kill()
        await self._gate.open()
        begun = time.monotonic()
        listening = await self._start_server()
        await _until(lambda: self._has_open(self._waiting))
        total = time.monotonic() - begun
        await self._check(started)
        return Block(
            seconds=total,
            latencies=[total],
            extra={
                "listening": listening,
                "working": total - listening,
                "total": total,
                "beyond_lease": total - self._store.lease,
            },
        )

    async def full_speed(self, waiting: int) -> Block:
        """Kill with so many waiting for their next attempt, and under load; time it until that is as fast."""
        await self._gate.close()
        missing = max(0, waiting - self._waiting)
        await self._start(_REFUSED, missing)
        await _until(lambda: self._was_run("refuse", missing))
        self._waiting += missing
        work = execute(self._client)
        before = await closed_loop(work, _LOAD, 2.0)
        wanted = _SPEED * len(before.latencies) / before.seconds
        load = _Load(work)
        workers = [asyncio.create_task(load.work()) for _ in range(_LOAD)]
        try:
            await asyncio.sleep(0.5)
            self._kill()
            begun = time.monotonic()
            listening = await self._start_server()
            await _until(lambda: load.is_as_fast_as(wanted, begun))
            full_speed = time.monotonic() - begun
        finally:
            load.ended = True
            await asyncio.gather(*workers)
        await _until(lambda: self._has_open(self._waiting))
        extra = {"full_speed": full_speed, "listening": listening, "open": float(self._waiting)}
        return Block(seconds=full_speed, latencies=[full_speed], extra=extra)

    async def _start(self, workflow: str, count: int) -> dict[str, dict[str, Any]]:
        """Start executions; return their inputs by their ids."""
        started: dict[str, dict[str, Any]] = {}
        inputs = [self._documents.next() for _ in range(count)]

        async def work() -> None:
            while inputs:
                document = inputs.pop()
                execution = await self._client.executions.start(workflow, document)
                started[execution.id] = document

        await asyncio.gather(*(work() for _ in range(_STARTERS)))
        return started

    async def _are_held(self, size: int) -> bool:
        """Tell whether all have done their first step, and as many as can wait in their second."""
        return await self._was_run("step", size) and await self._was_run("hold", min(size, _AT_ONCE))

    async def _was_run(self, action: str, times: int) -> bool:
        count = await self._gate.count(action)
        if count > times:
            raise AssertionError(f"{action} was run {count} times instead of {times}")
        return count == times

    async def _has_open(self, count: int) -> bool:
        counts = await self._client.executions.count(filter="state = RUNNING")
        return counts.total <= count

    async def _check(self, started: dict[str, dict[str, Any]]) -> None:
        """Compare every result with its input."""
        waiting = list(started.items())

        async def work() -> None:
            while waiting:
                execution_id, document = waiting.pop()
                found = await self._client.executions.get(execution_id)
                if found.state != "COMPLETED" or found.result != self._documents.expected(document, 3):
                    raise AssertionError(f"{execution_id} is {found.state} with {found.result}")

        await asyncio.gather(*(work() for _ in range(_STARTERS)))

    def _kill(self) -> None:
        self._processes.kill(self._server)

    async def _start_server(self) -> float:
        """Start it again where it was; return after how many seconds it listened."""
        begun = time.monotonic()
        self._server = self._processes.start_server(listen=self._address, options=self._store.options)
        await self._server.address()
        return time.monotonic() - begun


class _Load:
    """Work that goes on whatever becomes of the server.

    Attributes:
        ended: Whether to stop.
    """

    def __init__(self, work: Operation) -> None:
        self.ended = False
        self._work = work
        self._done: list[float] = []

    async def work(self) -> None:
        """Do one after the other; what fails while the server is away is done again."""
        while not self.ended:
            try:
                await self._work()
            except WeftError as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(_POLL)
            else:
                self._done.append(time.monotonic())

    async def is_as_fast_as(self, rate: float, since: float) -> bool:
        """Tell whether that many were done within the last second, all of it after a moment."""
        now = time.monotonic()
        return sum(moment >= max(since, now - 1.0) for moment in self._done[-int(rate) * 2 :]) >= rate


async def _until(condition: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Wait for something that nobody tells; the harness bounds the wait."""
    while not await condition():  # noqa: ASYNC110 - other processes meet it
        await asyncio.sleep(_POLL)
