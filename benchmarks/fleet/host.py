"""Instances that come and go on request, in a process of their own: hosted by the SDK, in Consul."""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from contextlib import AsyncExitStack
from typing import Any

import grpc.aio
import orjson

from benchmarks.loops import run
from benchmarks.processes import announce
from weft.discovery.consul import ConsulConfig
from weft.service import Service

__all__ = ["CONTROL", "SERVICE"]

SERVICE = "fleet"
CONTROL = "benchmarks.Fleet"
"""The gRPC service by which instances are started and stopped, in JSON."""

service = Service(SERVICE, version="1.0.0", description="Comes and goes.")


@service.action(idempotent=True)
async def echo(text: str) -> dict[str, str]:
    """Return the text."""
    return {"text": text}


class Fleet:
    """Every instance of this process.

    Args:
        options: How each is hosted.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._running: dict[str, AsyncExitStack] = {}

    async def start(self, _: bytes, __: Any) -> bytes:
        """Start one; answer its id."""
        stack = AsyncExitStack()
        host = await stack.enter_async_context(service.hosted(**self._options))
        self._running[host.instance_id] = stack
        return orjson.dumps({"id": host.instance_id, "address": host.address})

    async def stop(self, request: bytes, _: Any) -> bytes:
        """Stop one as SIGTERM does: take it out of the list, refuse, let running calls finish."""
        begun = time.monotonic()
        await self._running.pop(orjson.loads(request)["id"]).aclose()
        return orjson.dumps({"begun": begun})

    async def close(self) -> None:
        """Stop all of them."""
        await asyncio.gather(*(stack.aclose() for stack in self._running.values()))


async def _serve(options: dict[str, Any], instances: int) -> None:
    fleet = Fleet(options)
    server = grpc.aio.server()
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Start": grpc.unary_unary_rpc_method_handler(fleet.start),
        "Stop": grpc.unary_unary_rpc_method_handler(fleet.stop),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(CONTROL, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    for _ in range(instances):
        await fleet.start(b"", None)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    announce(f"127.0.0.1:{port}")
    await ended.wait()
    await fleet.close()
    await server.stop(0)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="Instances that come and go.")
    parser.add_argument("--consul", help="host:port of the Consul agent")
    parser.add_argument("--server", help="host:port of the Weft server")
    parser.add_argument("--ttl", type=float, default=3.0, help="seconds without a heartbeat")
    parser.add_argument("--instances", type=int, default=0, help="how many there are at the start")
    given = parser.parse_args()
    options: dict[str, Any] = {"ttl": given.ttl, "server": given.server}
    if given.consul:
        options["consul"] = ConsulConfig(address=given.consul)
    run(_serve(options, given.instances))


if __name__ == "__main__":
    main()
