"""A provider of one trivial action, hosted by the SDK without a registry, in a process of its own."""

from __future__ import annotations

import asyncio
import signal

from benchmarks.loops import run
from benchmarks.processes import announce
from benchmarks.provider import add_one
from weft.service import Service

__all__ = ["ACTION", "SERVICE"]

SERVICE = "actions"
ACTION = "first"

service = Service(SERVICE, description="Adds one.")
service.action(name=ACTION)(add_one)


async def _serve() -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with service.hosted() as host:
        announce(host.address)
        await ended.wait()


if __name__ == "__main__":
    run(_serve())
