"""The processes of benchmark ``bare``: three durable steps in another process, and nothing else.

No engine: no schemas, states, retries, timeouts, traces, queries or balancing; what a
workflow of three steps takes of gRPC, JSON, SQLite and Python in the shape that Weft has.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias

import grpc
import grpc.aio
import orjson

from benchmarks.floor import journal
from benchmarks.loops import run
from benchmarks.serving import serve
from weft.api.common.v1.payload_pb2 import Payload

__all__ = ["STEPS", "Execute", "execute_method"]

STEPS: Final = 3

Execute: TypeAlias = grpc.aio.UnaryUnaryMultiCallable[Payload, Payload]

_SERVICE: Final = "weft.benchmarks.BareService"
_Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
_Row: TypeAlias = tuple[bytes]
_Numbered: TypeAlias = list[tuple[int, Any]]


def execute_method(channel: grpc.aio.Channel) -> Execute:
    """Return the RPC that runs the three steps."""
    method: Execute = channel.unary_unary(
        f"/{_SERVICE}/Execute",
        request_serializer=Payload.SerializeToString,
        response_deserializer=Payload.FromString,
    )
    return method


class _Journal:
    """Keeps rows durably, in a thread; what waits shares a commit."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[tuple[_Row, asyncio.Future[None]]] = SimpleQueue()
        threading.Thread(target=self._write, daemon=True).start()

    def keep(self, body: bytes) -> asyncio.Future[None]:
        """Return what is done when the row is on the disk."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.put(((body,), future))
        return future

    def _write(self) -> None:
        with journal(self._path) as connection:
            while True:
                taken = self._take()
                self._commit(connection, [row for row, _ in taken])
                self._loop.call_soon_threadsafe(_kept, [future for _, future in taken])

    def _take(self) -> list[tuple[_Row, asyncio.Future[None]]]:
        taken = [self._queue.get()]
        try:
            while True:
                taken.append(self._queue.get_nowait())
        except Empty:
            return taken

    def _commit(self, connection: sqlite3.Connection, rows: Sequence[_Row]) -> None:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO rows (body) VALUES (?)", rows)
        connection.execute("COMMIT")


def _kept(futures: Sequence[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


class _Outbox:
    """What waits to be sent on a stream; all of it goes into one message."""

    def __init__(self) -> None:
        self._waiting: _Numbered = []
        self._wake = asyncio.Event()

    def put(self, number: int, value: Any) -> None:
        self._waiting.append((number, value))
        self._wake.set()

    async def messages(self) -> AsyncIterator[bytes]:
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, []
            yield orjson.dumps(waiting)


class _Steps:
    """Runs steps at the provider, over one stream."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._loop = asyncio.get_running_loop()
        self._outbox = _Outbox()
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._newest = 0
        self._task = self._loop.create_task(self._read(channel.stream_stream(f"/{_SERVICE}/Run")))

    def run(self, value: Any) -> asyncio.Future[Any]:
        """Return what is done with the output."""
        self._newest += 1
        future = self._open[self._newest] = self._loop.create_future()
        self._outbox.put(self._newest, value)
        return future

    async def _read(self, method: Any) -> None:
        async for message in method(self._outbox.messages()):
            for number, value in orjson.loads(message):
                self._open.pop(number).set_result(value)


async def _engine(place: Path, provider: str) -> None:
    async with grpc.aio.insecure_channel(provider) as channel:
        steps, rows = _Steps(channel), _Journal(place)

        async def execute(request: Payload, _: _Context) -> Payload:
            value = orjson.loads(request.json)
            await rows.keep(request.json)
            for _step in range(STEPS):
                value = await steps.run(value)
                await rows.keep(orjson.dumps(value))
            return Payload(json=orjson.dumps(value))

        handler = grpc.unary_unary_rpc_method_handler(
            execute, request_deserializer=Payload.FromString, response_serializer=Payload.SerializeToString
        )
        await _serve({"Execute": handler})


async def _provider() -> None:
    async def run_steps(requests: AsyncIterator[bytes], _: _Context) -> AsyncIterator[bytes]:
        async for message in requests:
            steps: _Numbered = orjson.loads(message)
            yield orjson.dumps([(number, {**it, "number": it["number"] + 1}) for number, it in steps])

    await _serve({"Run": grpc.stream_stream_rpc_method_handler(run_steps)})


async def _serve(handlers: dict[str, Any]) -> None:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    await serve(server)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="The engine or the provider of benchmark bare.")
    roles = parser.add_subparsers(dest="role", required=True)
    roles.add_parser("provider")
    engine = roles.add_parser("engine")
    engine.add_argument("--journal", required=True, type=Path, help="the file of its rows")
    engine.add_argument("--provider", required=True, help="host:port of the provider")
    given = parser.parse_args()
    run(_provider() if given.role == "provider" else _engine(given.journal, given.provider))


if __name__ == "__main__":
    main()
