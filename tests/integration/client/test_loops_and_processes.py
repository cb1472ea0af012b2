"""A client is of one event loop and one process, and says so: nobody waits for what cannot come."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import pytest

from tests.integration.client.peer import Peer
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.client import Client, connect

pytestmark = pytest.mark.integration

STORED = pb.GetExecutionResponse(execution=execution_pb2.Execution(id="exe_1"))

FORKS: Final = """
import asyncio, os, sys
from weft.client import connect

async def ask():
    async with connect(sys.argv[1], timeout=5) as weft:
        return (await weft.executions.get("exe_1")).id

def child(out):
    try:
        said = asyncio.run(ask())
    except RuntimeError as error:
        said = str(error)
    os.write(out, said.encode())
    os._exit(0)

def forked():
    said, out = os.pipe()
    if not os.fork():
        child(out)
    os.close(out)
    print(os.read(said, 1_000).decode(), flush=True)
    os.wait()

async def while_connected():
    async with connect(sys.argv[1]) as weft:
        await weft.executions.get("exe_1")
        forked()
        print((await weft.executions.get("exe_1")).id)

forked()
asyncio.run(while_connected())
"""


async def test_a_client_says_that_it_is_of_another_loop(weft: Client, peer: Peer) -> None:
    """It was told before that some loop is closed, or nothing."""
    peer.on("GetExecution", STORED)
    assert (await weft.executions.get("exe_1")).id == "exe_1"

    async def elsewhere() -> None:
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            await weft.executions.get("exe_1")

    await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
    assert (await weft.executions.get("exe_1")).id == "exe_1"


async def test_loops_side_by_side_have_a_client_each(peer: Peer) -> None:
    """In threads of one process."""
    peer.on("GetExecution", STORED)

    async def ask() -> str:
        async with connect(peer.target) as own:
            return (await own.executions.get("exe_1")).id

    found = await asyncio.gather(*(asyncio.to_thread(lambda: asyncio.run(ask())) for _ in range(3)))
    assert set(found) == {"exe_1"}


async def test_a_process_forked_from_a_connected_one_says_so(peer: Peer) -> None:
    """Calls would wait in it for ever. One forked before the first call is as any other."""
    peer.on("GetExecution", STORED)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FORKS, peer.target, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    before, within, still = output.decode().splitlines()
    assert (before, still) == ("exe_1", "exe_1")
    assert within.startswith("this process was forked while a client was connected")
