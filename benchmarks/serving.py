"""A gRPC server that is all that a process of a benchmark does."""

from __future__ import annotations

import asyncio
import signal

import grpc.aio

from benchmarks.processes import announce

__all__ = ["serve"]


async def serve(server: grpc.aio.Server) -> None:
    """Serve on a free port, say where, and end with SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    announce(f"127.0.0.1:{port}")
    await stop.wait()
    await server.stop(None)
