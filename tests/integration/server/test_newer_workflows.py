"""What a server does with workflows that only servers of a newer release can read (ADR 0022)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.newer import forget
from tests.support.wire import Wire
from tests.support.world import definition, hosted, serving, step, text_service
from weft.api.workflow.v1 import workflow_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.client import connect
from weft.core.errors import Code
from weft.core.reasons import Reason

pytestmark = pytest.mark.integration


@pytest.fixture
async def wire(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wire]:
    """A server with six workflows, of which it cannot read ``b`` and ``e``."""
    async with serving() as wire, hosted(wire, text_service()):
        for name in "acdf":
            await wire.call("CreateWorkflow", definition(name, step("count", "texts", "count")))
        for name in "be":
            waits = workflow_pb2.Step(id="moon", wait=workflow_pb2.WaitStep(duration="1s"))
            await wire.call("CreateWorkflow", definition(name, waits))
        forget(monkeypatch)
        yield wire


async def test_a_list_is_whole_or_refused_unless_a_part_is_asked_for(wire: Wire) -> None:
    """Who does not ask for a part takes what comes for all there is; the refusal names what is missing."""
    refusal = await wire.refusal("ListWorkflows", pb.ListWorkflowsRequest())
    assert refusal.kind == (Code.UNAVAILABLE, Reason.NEWER_RELEASE)
    assert refusal.message == (
        "workflows 'b', 'e' are of a newer release of Weft than this server; ask a server of that one"
    )
    found = await wire.call("ListWorkflows", pb.ListWorkflowsRequest(return_partial_success=True))
    assert isinstance(found, pb.ListWorkflowsResponse)
    assert [it.name for it in found.workflows] == ["a", "c", "d", "f"]
    assert (list(found.unreachable), found.total_size, found.next_page_token) == (["b", "e"], 6, "")


async def test_pages_name_each_once(wire: Wire) -> None:
    """Also pages that have nothing else."""
    seen: list[str] = []
    unreachable: list[str] = []
    token = ""
    while True:
        request = pb.ListWorkflowsRequest(page_size=1, page_token=token, return_partial_success=True)
        page = await wire.call("ListWorkflows", request)
        assert isinstance(page, pb.ListWorkflowsResponse)
        seen += [it.name for it in page.workflows]
        unreachable += page.unreachable
        token = page.next_page_token
        if not token:
            break
    assert (seen, unreachable) == (["a", "c", "d", "f"], ["b", "e"])


async def test_hints_name_them_too(wire: Wire) -> None:
    """What is missing is missing, whatever else there is: hints and suggestions need names only."""
    refusal = await wire.refusal("GetWorkflow", pb.GetWorkflowRequest(workflow="bb"))
    assert refusal.kind == (Code.NOT_FOUND, Reason.WORKFLOW_NOT_FOUND)
    child = workflow_pb2.Step(id="child", workflow=workflow_pb2.ChildStep(name="ee"))
    answer = await wire.call("ValidateWorkflow", pb.ValidateWorkflowRequest(workflow=workflow(child)))
    assert isinstance(answer, pb.ValidateWorkflowResponse)
    assert [it.code for it in answer.problems] == ["WORKFLOW_UNKNOWN"]


def workflow(*steps: workflow_pb2.Step) -> workflow_pb2.Workflow:
    return workflow_pb2.Workflow(name="new", steps=steps)


async def test_the_client_says_what_is_missing(wire: Wire) -> None:
    """In the page, where a part was asked for."""
    async with connect(wire.address) as weft:
        page = await weft.workflows.list(partial=True)
        assert (len(page.items), page.unreachable) == (4, ("b", "e"))
        assert page.to_dict()["unreachable"] == ["b", "e"]
