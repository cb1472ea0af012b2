"""Calls the greeter wherever it runs: by its stub on a channel of the mesh, and by name without one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter

from examples.mesh.generated.greeter_pb2 import HelloRequest
from examples.mesh.generated.greeter_pb2_grpc import GreeterStub
from weft.client.mesh import MeshClient


async def main(target: str, calls: int) -> None:
    """Call often, and say which processes answered."""
    async with MeshClient.from_environment(os.environ) as mesh:
        greeter = GreeterStub(mesh.channel(target))  # any stub, as protoc makes it
        replies = [await greeter.SayHello(HelloRequest(name="Ada")) for _ in range(calls)]
        answered = Counter(reply.pid for reply in replies)
        processes = f"{len(answered)} process" + "es" * (len(answered) > 1)
        shares = " and ".join(map(str, sorted(answered.values())))
        print(f"{replies[0].greeting} {calls} calls, answered by {processes}: {shares}")

        async for hello in mesh.stream_service(target, "SayHellos", {"name": "Grace"}):
            print(hello["greeting"])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100))
