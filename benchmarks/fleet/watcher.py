"""One process that watches a thousand services; it says how long that took, and how much memory."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import time
from pathlib import Path

import orjson

from benchmarks.loops import run
from benchmarks.processes import announce
from weft.discovery.consul import ConsulConfig
from weft.discovery.model import Endpoint
from weft.discovery.resolvers import Resolvers, SourcesConfig
from weft.discovery.static import StaticResolver
from weft.mesh.mesh import Mesh, OneResolver, Sources

__all__ = ["INSTANCES", "SERVICES", "name_of"]

SERVICES = 1_000
INSTANCES = 10
_PATIENCE = 120.0


def name_of(service: int) -> str:
    """Return the name of a service by its number."""
    return f"wide-{service}"


def _sources(consul: str) -> Sources:
    if consul:
        return Resolvers(SourcesConfig(consul=ConsulConfig(address=consul)))
    table = {
        name_of(service): [
            Endpoint(host="127.0.0.1", port=20_000 + number, instance_id=f"{name_of(service)}-{number}")
            for number in range(INSTANCES)
        ]
        for service in range(SERVICES)
    }
    return OneResolver(StaticResolver(table))


async def _watch(consul: str) -> None:
    mesh = Mesh(_sources(consul))
    gc.collect()
    memory, begun = _resident(), time.monotonic()
    routes = [mesh.route(f"consul://{name_of(number)}") for number in range(SERVICES)]
    async with asyncio.timeout(_PATIENCE):
        while any(len(it.snapshot.callable()) < INSTANCES for it in routes):  # noqa: ASYNC110 - 1,000 events
            await asyncio.sleep(0.01)
    seconds = time.monotonic() - begun
    gc.collect()
    announce(orjson.dumps({"seconds": seconds, "megabytes": _resident() - memory}).decode())
    await mesh.close()


def _resident() -> float:
    """Return the resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Watch, say what it took, and end."""
    parser = argparse.ArgumentParser(description="Watches many services.")
    parser.add_argument("--consul", default="", help="host:port of the agent; none: a list in memory")
    run(_watch(parser.parse_args().consul))


if __name__ == "__main__":
    main()
