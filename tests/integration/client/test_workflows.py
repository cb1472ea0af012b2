from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from google.protobuf.json_format import ParseDict

from tests.integration.client.peer import Peer
from weft.api.common.v1 import payload_pb2
from weft.api.workflow.v1 import workflow_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.client import Client, Page, Problem, Step, ValidationError, Workflow

pytestmark = pytest.mark.integration

JSON = payload_pb2.PAYLOAD_KIND_JSON
STORED = ParseDict(
    {
        "id": "wf_1",
        "name": "docs",
        "description": "Reads documents",
        "metadata": {"team": "docs"},
        "timeout": "60s",
        "state": "WORKFLOW_STATE_INACTIVE",
        "version": 3,
        "etag": "e3",
        "steps": [
            {"id": "a", "service": "text", "action": "extract", "next": "b", "timeout": "5s"},
            {"id": "b", "service": "mood", "action": "rate", "description": "How it sounds"},
        ],
    },
    workflow_pb2.Workflow(),
)
STORED.steps[0].input.json = b'{"url":"${ input.url }"}'
STORED.input_schema.json = b'{"type":"object"}'
WORKFLOW = Workflow(
    id="wf_1",
    name="docs",
    description="Reads documents",
    metadata={"team": "docs"},
    timeout=timedelta(seconds=60),
    state="INACTIVE",
    version=3,
    etag="e3",
    input_schema={"type": "object"},
    steps=(
        Step(
            id="a",
            service="text",
            action="extract",
            next="b",
            input={"url": "${ input.url }"},
            timeout=timedelta(seconds=5),
        ),
        Step(id="b", service="mood", action="rate", description="How it sounds"),
    ),
)
FOUND = workflow_pb2.Problem(
    path="steps[1]",
    code="SERVICE_NOT_USABLE",
    message="mood is deprecated",
    hint="use feelings",
    severity=workflow_pb2.SEVERITY_WARNING,
)
PROBLEM = Problem(
    path="steps[1]",
    code="SERVICE_NOT_USABLE",
    message="mood is deprecated",
    hint="use feelings",
    severity="WARNING",
)


async def test_create_sends_the_definition(weft: Client, peer: Peer) -> None:
    """Records and mappings describe steps alike; warnings come back with the workflow."""
    peer.on("CreateWorkflow", pb.CreateWorkflowResponse(workflow=STORED, warnings=[FOUND]))

    found = await weft.workflows.create(
        "docs",
        [
            WORKFLOW.steps[0],
            {"id": "b", "service": "mood", "action": "rate", "next": None, "description": "How it sounds"},
        ],
        description="Reads documents",
        metadata={"team": "docs"},
        input_schema={"type": "object"},
        timeout=timedelta(seconds=60),
    )

    assert found.warnings == (PROBLEM,)
    assert found.steps == WORKFLOW.steps
    expected = workflow_pb2.Workflow()
    expected.CopyFrom(STORED)
    for name in ("id", "state", "version", "etag"):
        expected.ClearField(name)
    assert peer.last.workflow == expected
    assert str(UUID(peer.last.request_id)) == peer.last.request_id


async def test_every_fault_of_a_definition_is_found_at_once(weft: Client, peer: Peer) -> None:
    """Nothing is sent; the paths say where."""
    steps = [
        {"id": "a", "service": 5, "action": "x", "nxt": "b"},
        {"id": "b", "service": "s", "action": "y", "timeout": "soon", "input": [1]},
        "c",
    ]
    with pytest.raises(ValidationError) as caught:
        await weft.workflows.create("docs", steps, metadata={"n": float("nan")})  # type: ignore[arg-type]  # wrong on purpose

    assert [violation.field for violation in caught.value.violations] == [
        "steps[0].service",
        "steps[0].nxt",
        "steps[1].timeout",
        "steps[1].input",
        "steps[2]",
        "metadata",
    ]
    assert "did you mean 'next'?" in str(caught.value)
    assert not peer.calls


async def test_update_names_what_is_given(weft: Client, peer: Peer) -> None:
    """None leaves a field alone."""
    peer.on("UpdateWorkflow", pb.UpdateWorkflowResponse(workflow=STORED, warnings=[FOUND]))

    found = await weft.workflows.update(
        "wf_1", name="papers", steps=WORKFLOW.steps, timeout=timedelta(), etag="e2", request_id="r"
    )

    assert found.warnings == (PROBLEM,)
    assert peer.last.workflow.id == "wf_1"
    assert peer.last.workflow.name == "papers"
    assert list(peer.last.workflow.steps) == list(STORED.steps)
    assert list(peer.last.update_mask.paths) == ["name", "steps", "timeout"]
    assert (peer.last.etag, peer.last.request_id) == ("e2", "r")


async def test_set_state_and_delete(weft: Client, peer: Peer) -> None:
    """Both take an etag and a key."""
    peer.on("SetWorkflowState", pb.SetWorkflowStateResponse(workflow=STORED))
    peer.on("DeleteWorkflow", pb.DeleteWorkflowResponse())

    assert await weft.workflows.set_state("docs", "INACTIVE", etag="e", request_id="r") == WORKFLOW
    assert peer.last == pb.SetWorkflowStateRequest(
        workflow="docs",
        state=workflow_pb2.WORKFLOW_STATE_INACTIVE,
        etag="e",
        request_id="r",
        payload_kind=JSON,
    )
    await weft.workflows.delete("docs", etag="e", request_id="r")
    assert peer.last == pb.DeleteWorkflowRequest(workflow="docs", etag="e", request_id="r")


async def test_get_list_and_versions(weft: Client, peer: Peer) -> None:
    """Reads ask for payloads as JSON text."""
    peer.on("GetWorkflow", pb.GetWorkflowResponse(workflow=STORED))
    peer.on("ListWorkflows", pb.ListWorkflowsResponse(workflows=[STORED], next_page_token="t", total_size=7))
    peer.on("ListWorkflowVersions", pb.ListWorkflowVersionsResponse(workflows=[STORED], total_size=3))

    assert await weft.workflows.get("docs", version=3) == WORKFLOW
    assert peer.last == pb.GetWorkflowRequest(workflow="docs", version=3, payload_kind=JSON)
    assert await weft.workflows.list(state="ACTIVE", page_size=1, skip=4) == Page((WORKFLOW,), "t", 7)
    assert peer.last == pb.ListWorkflowsRequest(
        state=workflow_pb2.WORKFLOW_STATE_ACTIVE, page_size=1, skip=4, payload_kind=JSON
    )
    assert await weft.workflows.versions("docs", page_token="t") == Page((WORKFLOW,), "", 3)
    assert peer.last == pb.ListWorkflowVersionsRequest(workflow="docs", page_token="t", payload_kind=JSON)


async def test_iterate_reads_every_page(weft: Client, peer: Peer) -> None:
    """All workflows come out, though they are on two pages."""
    peer.on(
        "ListWorkflows",
        pb.ListWorkflowsResponse(workflows=[STORED], next_page_token="t2"),
        pb.ListWorkflowsResponse(workflows=[STORED]),
    )

    assert [workflow.name async for workflow in weft.workflows.iterate()] == ["docs", "docs"]
    assert peer.last.page_token == "t2"


async def test_validate_returns_what_was_found(weft: Client, peer: Peer) -> None:
    """Problems are an answer, not an error."""
    peer.on("ValidateWorkflow", pb.ValidateWorkflowResponse(problems=[FOUND], valid=True))

    found = await weft.workflows.validate("docs", WORKFLOW.steps, output_schema={"type": "object"})

    assert found == (PROBLEM,)
    assert list(peer.last.workflow.steps) == list(STORED.steps)
    assert peer.last.workflow.output_schema.json == b'{"type":"object"}'
