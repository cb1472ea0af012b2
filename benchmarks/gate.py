"""A provider whose second step waits until it is let go, and whose other action always fails."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections import Counter
from typing import Any, Final, TypeAlias

import grpc.aio
import orjson

from benchmarks.loops import run
from benchmarks.processes import announce
from benchmarks.provider import Document, add_one
from weft.core.errors import ServiceUnavailableError
from weft.service import Service

__all__ = ["GATE", "STEPS", "GateControl"]

STEPS: Final = "passing-steps"
"""The service of the actions ``step``, which is counted, and ``refuse``, which fails."""
GATE: Final = "gate"
"""The service of the action ``hold``. One of its own: what waits there has all its turns."""
_CONTROL: Final = "benchmarks.Gate"

_Method: TypeAlias = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


class _Gate:
    """Everything that the actions share."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._counts: Counter[str] = Counter()

    async def step(self, number: int, text: str) -> Document:
        """Add one."""
        self._counts["step"] += 1
        return await add_one(number, text)

    async def hold(self, number: int, text: str) -> Document:
        """Wait until the gate is open, and add one."""
        self._counts["hold"] += 1
        await self._open.wait()
        return await add_one(number, text)

    async def refuse(self, number: int, text: str) -> Document:
        """Fail, as what is down does."""
        self._counts["refuse"] += 1
        raise ServiceUnavailableError("nothing", f"nobody takes {number}: {text[:9]}")

    async def set(self, request: bytes, _: Any) -> bytes:
        """Open or close the gate; count from zero; answer the counts so far."""
        if orjson.loads(request)["open"]:
            self._open.set()
        else:
            self._open.clear()
        counts, self._counts = self._counts, Counter()
        return orjson.dumps(counts)

    async def counts(self, _: bytes, __: Any) -> bytes:
        """Answer how often each action was run."""
        return orjson.dumps(self._counts)


class GateControl:
    """The gate, from another process.

    Args:
        channel: To the address that it announced.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._set: _Method = channel.unary_unary(f"/{_CONTROL}/Set")
        self._counts: _Method = channel.unary_unary(f"/{_CONTROL}/Counts")

    async def open(self) -> None:
        """Let go of what waits, and of what comes."""
        await self._set(orjson.dumps({"open": True}))

    async def close(self) -> None:
        """Hold what comes, and count from zero."""
        await self._set(orjson.dumps({"open": False}))

    async def count(self, action: str) -> int:
        """Return how often an action was run since the gate was closed or opened."""
        counts: dict[str, int] = orjson.loads(await self._counts(b""))
        return counts.get(action, 0)


def _services(gate: _Gate) -> tuple[Service, Service]:
    passing, held = Service(STEPS), Service(GATE)
    passing.action(name="step", idempotent=True)(gate.step)
    passing.action(name="refuse", idempotent=True)(gate.refuse)
    held.action(name="hold", idempotent=True)(gate.hold)
    return passing, held


async def _serve(server: str) -> None:
    gate = _Gate()
    control = grpc.aio.server()
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Set": grpc.unary_unary_rpc_method_handler(gate.set),
        "Counts": grpc.unary_unary_rpc_method_handler(gate.counts),
    }
    control.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_CONTROL, methods),))
    port = control.add_insecure_port("127.0.0.1:0")
    await control.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    passing, held = _services(gate)
    async with passing.hosted(server=server), held.hosted(server=server):
        announce(f"127.0.0.1:{port}")
        await ended.wait()
        await gate.set(b'{"open":true}', None)  # nothing must hold up the end
    await control.stop(0)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="A provider that waits.")
    parser.add_argument("--server", required=True, help="host:port of the Weft server")
    run(_serve(parser.parse_args().server))


if __name__ == "__main__":
    main()
