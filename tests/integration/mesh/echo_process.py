"""A server of behaviours in a process of its own, to be killed; prints its port."""

from __future__ import annotations

import asyncio
import sys

from tests.support.behaviours import Behaviours, serve


async def main() -> None:
    behaviours = Behaviours()
    behaviours.pace = float(sys.argv[1])
    server, port = await serve(behaviours)
    print(port, flush=True)  # noqa: T201 - its parent reads it
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
