"""More calls at once than one connection carries: our servers take 1,000."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.integration.client.peer import Peer, forever
from tests.support.watching import eventually
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.client import CallCancelledError, Client, connect

pytestmark = pytest.mark.integration

STORED = execution_pb2.Execution(id="exe_1")
MANY = 1_500


@pytest.fixture(params=["", "static:///"])
async def weft(peer: Peer, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """To one address, and to one that the mesh looks up."""
    async with connect(f"{request.param}{peer.target}", timeout=timedelta(seconds=3)) as client:
        yield client


async def test_those_that_wait_hold_up_no_others(weft: Client, peer: Peer) -> None:
    """However many executions are waited for, every other call is answered, and so are those after them."""
    peer.on("ExecuteWorkflow", forever)
    peer.on("GetExecution", pb.GetExecutionResponse(execution=STORED))
    waiting = [asyncio.create_task(weft.executions.execute("docs")) for _ in range(MANY)]
    await eventually(lambda: len(peer.calls) == MANY, within=30)
    assert (await weft.executions.get("exe_1")).id == "exe_1"
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    answers = await asyncio.gather(*(weft.executions.get("exe_1") for _ in range(MANY)))
    assert {answer.id for answer in answers} == {"exe_1"}


async def test_all_of_them_end_with_the_client(weft: Client, peer: Peer) -> None:
    """Also those of a connection that was made for more of them."""
    peer.on("ExecuteWorkflow", forever)
    waiting = [asyncio.create_task(weft.executions.execute("docs")) for _ in range(MANY)]
    await eventually(lambda: len(peer.calls) == MANY, within=30)
    await weft.close()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(error) for error in ended} == {CallCancelledError}
