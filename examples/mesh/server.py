"""An ordinary gRPC server: it has reflection, and has never heard of Weft."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from grpc_reflection.v1alpha import reflection

from examples.mesh.generated.greeter_pb2 import DESCRIPTOR, HelloReply
from examples.mesh.generated.greeter_pb2_grpc import GreeterServicer, add_GreeterServicer_to_server

HELLOS = ("Hello", "Bonjour", "Kalimera")


class Greeter(GreeterServicer):
    """Greets, and says which process it is."""

    async def SayHello(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - the RPC's
        """Greet somebody once."""
        return HelloReply(greeting=f"Hello, {request.name}!", pid=os.getpid())

    async def SayHellos(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802, ARG002 - the RPC's
        """Greet somebody in several languages."""
        for hello in HELLOS:
            yield HelloReply(greeting=f"{hello}, {request.name}!", pid=os.getpid())


async def main(port: str) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    add_GreeterServicer_to_server(Greeter(), server)
    names = [service.full_name for service in DESCRIPTOR.services_by_name.values()]
    reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
    try:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    except RuntimeError:
        sys.exit(f"127.0.0.1:{port} is taken: name another port")
    await server.start()
    print(f"greeter at 127.0.0.1:{bound}", flush=True)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await server.stop(2)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "0"))
