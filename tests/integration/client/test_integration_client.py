from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from tests.integration.client.peer import Peer, forever
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as executions
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as registry
from weft.api.workflow.v1 import workflow_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as workflows
from weft.client import (
    ActionFailedError,
    CallCancelledError,
    Code,
    DeadlineExceededError,
    PreconditionError,
    ResourceNotFoundError,
    ServiceIntegrationClient,
    ServiceUnavailableError,
    UnexpectedStatusError,
    ValidationError,
    Violation,
    WeftError,
)

pytestmark = pytest.mark.integration

Client = ServiceIntegrationClient
SERVICE = registry_pb2.Service(id="svc_1", name="text", state=registry_pb2.SERVICE_STATE_ACTIVE)
SERVICE.actions.add(name="extract").input_schema.json = b'{"properties":{"state":{}}}'
STEPS: list[dict[str, Any]] = [
    {"id": "a", "service": "text", "action": "extract", "next": "b"},
    {"id": "b", "service": "mood", "action": "rate", "next": None},
]
WORKFLOW = ParseDict(
    {
        "id": "wf_1",
        "name": "docs",
        "version": 2,
        "state": "WORKFLOW_STATE_ACTIVE",
        "steps": [{key: value for key, value in step.items() if value} for step in STEPS],
    },
    workflow_pb2.Workflow(),
)


async def test_create_workflow(client: Client, peer: Peer) -> None:
    """The guide's steps go in and come out, with ids and a status."""
    peer.on("CreateWorkflow", workflows.CreateWorkflowResponse(workflow=WORKFLOW))

    found = await client.create_workflow(
        "docs", "Reads", STEPS, {"author": "us"}, input_schema={"type": "object"}, timeout=90
    )

    assert (found["id"], found["status"], found["version"]) == ("wf_1", "ACTIVE", 2)
    assert [{key: step[key] for key in STEPS[0]} for step in found["steps"]] == STEPS
    sent = peer.last.workflow
    assert (sent.name, sent.description, sent.metadata["author"]) == ("docs", "Reads", "us")
    assert list(sent.steps) == list(WORKFLOW.steps)
    assert sent.input_schema.json == b'{"type":"object"}'
    assert sent.timeout.ToTimedelta() == timedelta(seconds=90)


async def test_update_workflow_changes_fields_and_then_the_status(client: Client, peer: Peer) -> None:
    """Both calls are made, in that order, on the same workflow; warnings are kept."""
    warning = workflow_pb2.Problem(path="steps[1]", code="SERVICE_NOT_USABLE", message="deprecated")
    peer.on("UpdateWorkflow", workflows.UpdateWorkflowResponse(workflow=WORKFLOW, warnings=[warning]))
    peer.on("SetWorkflowState", workflows.SetWorkflowStateResponse(workflow=WORKFLOW))

    found = await client.update_workflow("docs", name="papers", steps=STEPS, status="INACTIVE")

    update, transition = (call.request for call in peer.calls)
    assert (update.workflow.id, update.workflow.name) == ("docs", "papers")
    assert list(update.update_mask.paths) == ["name", "steps"]
    assert (transition.workflow, transition.state) == ("wf_1", workflow_pb2.WORKFLOW_STATE_INACTIVE)
    assert [item["code"] for item in found["warnings"]] == ["SERVICE_NOT_USABLE"]


async def test_update_makes_only_the_calls_it_needs(client: Client, peer: Peer) -> None:
    """A status alone is a transition; fields alone are an update."""
    peer.on("SetWorkflowState", workflows.SetWorkflowStateResponse(workflow=WORKFLOW))
    peer.on("SetServiceState", registry.SetServiceStateResponse(service=SERVICE))
    peer.on("UpdateWorkflow", workflows.UpdateWorkflowResponse(workflow=WORKFLOW))
    peer.on("UpdateService", registry.UpdateServiceResponse(service=SERVICE))

    await client.update_workflow("docs", status="ACTIVE")
    await client.update_service("text", status="DEPRECATED")
    await client.update_workflow("docs", description="")
    await client.update_service("text", metadata={})

    assert [call.method for call in peer.calls] == [
        "SetWorkflowState",
        "SetServiceState",
        "UpdateWorkflow",
        "UpdateService",
    ]


async def test_delete_and_deregister_confirm(client: Client, peer: Peer) -> None:
    """What was asked for is confirmed by id."""
    peer.on("DeleteWorkflow", workflows.DeleteWorkflowResponse())
    peer.on("DeregisterService", registry.DeregisterServiceResponse())

    assert await client.delete_workflow("wf_1") == {"success": True, "id": "wf_1"}
    assert peer.last.workflow == "wf_1"
    assert await client.deregister_service("svc_1") == {"success": True, "id": "svc_1"}
    assert peer.last.service == "svc_1"


async def test_get_workflow_and_service(client: Client, peer: Peer) -> None:
    """States are called status; what stands in a schema keeps its names."""
    peer.on("GetWorkflow", workflows.GetWorkflowResponse(workflow=WORKFLOW))
    peer.on("GetService", registry.GetServiceResponse(service=SERVICE))

    assert (await client.get_workflow("wf_1"))["name"] == "docs"
    service = await client.get_service("svc_1")
    assert service["status"] == "ACTIVE"
    assert service["actions"][0]["input_schema"] == {"properties": {"state": {}}}


async def test_pages_are_counted_from_one(client: Client, peer: Peer) -> None:
    """Page N passes over the N - 1 pages before it."""
    peer.on("ListWorkflows", workflows.ListWorkflowsResponse(workflows=[WORKFLOW], total_size=21))

    found = await client.get_workflows(status="ACTIVE", page=3, per_page=10)

    assert (peer.last.state, peer.last.page_size, peer.last.skip) == (
        workflow_pb2.WORKFLOW_STATE_ACTIVE,
        10,
        20,
    )
    assert [item["id"] for item in found.pop("items")] == ["wf_1"]
    assert found == {"page": 3, "per_page": 10, "total": 21, "pages": 3, "next_page_token": ""}


async def test_a_page_is_full_also_when_the_server_gives_it_in_parts(client: Client, peer: Peer) -> None:
    """Large items come a few at a time; the next page is found by counting, and would pass over the rest."""
    peer.on(
        "ListWorkflows",
        workflows.ListWorkflowsResponse(workflows=[WORKFLOW] * 2, next_page_token="t2", total_size=7),
        workflows.ListWorkflowsResponse(next_page_token="t3", total_size=7),
        workflows.ListWorkflowsResponse(workflows=[WORKFLOW], next_page_token="t4", total_size=7),
    )

    found = await client.get_workflows(page=2, per_page=3)

    asked = [(call.request.page_size, call.request.page_token, call.request.skip) for call in peer.calls]
    assert asked == [(3, "", 3), (1, "t2", 0), (1, "t3", 0)]
    assert (len(found["items"]), found["total"], found["pages"], found["next_page_token"]) == (3, 7, 3, "t4")


async def test_what_a_list_does_not_count_to_its_end_is_counted(client: Client, peer: Peer) -> None:
    """Who goes through all pages misses none of very many executions."""
    stored = execution_pb2.Execution(id="exe_1", workflow_id="wf_1")
    listed = executions.ListExecutionsResponse(
        executions=[stored], total_size=5_000, total_size_is_minimum=True
    )
    peer.on("ListExecutions", listed)
    peer.on("CountExecutions", executions.CountExecutionsResponse(total_count=12_001))

    found = await client.get_workflow_executions("docs", status="FAILED", per_page=1)

    assert peer.last.filter == 'workflow = "docs" AND state = FAILED'
    assert (found["total"], found["pages"]) == (12_001, 12_001)
    await client.get_workflow_executions("docs", per_page=1)
    assert peer.last.filter == 'workflow = "docs"'


async def test_a_page_token_goes_on_without_counting(client: Client, peer: Peer) -> None:
    """With a token nothing is passed over."""
    peer.on("ListServices", registry.ListServicesResponse(services=[SERVICE], next_page_token="t3"))

    found = await client.get_services(page=2, per_page=10, page_token="t2")

    assert (peer.last.page_token, peer.last.skip, peer.last.page_size) == ("t2", 0, 10)
    assert found["next_page_token"] == "t3"
    assert found["items"][0]["status"] == "ACTIVE"


async def test_get_workflow_executions(client: Client, peer: Peer) -> None:
    """Executions are listed by workflow and status."""
    stored = execution_pb2.Execution(id="exe_1", state=execution_pb2.EXECUTION_STATE_COMPLETED)
    peer.on("ListExecutions", executions.ListExecutionsResponse(executions=[stored], total_size=1))

    found = await client.get_workflow_executions("wf_1", status="COMPLETED", page=2, per_page=5)

    assert peer.last == executions.ListExecutionsRequest(
        workflow="wf_1", state=execution_pb2.EXECUTION_STATE_COMPLETED, page_size=5, skip=5
    )
    assert (found["items"][0]["id"], found["items"][0]["status"]) == ("exe_1", "COMPLETED")


async def test_get_workflow_execution_status(client: Client, peer: Peer) -> None:
    """The steps have a status of their own."""
    stored = execution_pb2.Execution(id="exe_1", state=execution_pb2.EXECUTION_STATE_RUNNING)
    stored.steps.add(step_id="a", state=execution_pb2.STEP_STATE_COMPLETED)
    peer.on("GetExecution", executions.GetExecutionResponse(execution=stored))

    found = await client.get_workflow_execution_status("exe_1")

    assert (found["status"], found["steps"][0]["status"], found["result"]) == ("RUNNING", "COMPLETED", None)


async def test_execute_workflow_returns_the_result(client: Client, peer: Peer) -> None:
    """Input and context travel; only the result comes back."""
    stored = execution_pb2.Execution(id="exe_1", state=execution_pb2.EXECUTION_STATE_COMPLETED)
    stored.result.json = b'{"score":0.5}'
    peer.on("ExecuteWorkflow", executions.ExecuteWorkflowResponse(execution=stored))

    found = await client.execute_workflow("wf_1", {"url": "x"}, {"project_id": "456"}, timeout=20)

    assert found == {"score": 0.5}
    assert (peer.last.input.json, peer.last.context.project_id) == (b'{"url":"x"}', "456")
    assert peer.calls[0].seconds_left == pytest.approx(20, abs=1.5)


FAILURES: list[tuple[str, dict[str, Any], type[WeftError], Code]] = [
    (
        "FAILED",
        {
            "reason": "SERVICE_NOT_FOUND",
            "code": 5,
            "metadata": {"resource_type": "service", "resource_id": "text"},
        },
        ResourceNotFoundError,
        Code.NOT_FOUND,
    ),
    ("FAILED", {"reason": "VALIDATION_FAILED", "code": 3}, ValidationError, Code.INVALID_ARGUMENT),
    ("FAILED", {"reason": "ACTION_OUTPUT_INVALID", "code": 9}, PreconditionError, Code.FAILED_PRECONDITION),
    (
        "FAILED",
        {"reason": "NO_INSTANCE", "code": 14, "metadata": {"service": "text"}, "retryable": True},
        ServiceUnavailableError,
        Code.UNAVAILABLE,
    ),
    (
        "FAILED",
        {"reason": "ACTION_FAILED", "code": 10, "domain": "action.weft"},
        ActionFailedError,
        Code.ABORTED,
    ),
    (
        "FAILED",
        {"reason": "CUSTOMER_UNKNOWN", "code": 5, "domain": "action.weft"},
        ActionFailedError,
        Code.NOT_FOUND,
    ),
    (
        "FAILED",
        {"reason": "EXECUTION_CANCELLED", "code": 5, "domain": "action.weft"},
        ActionFailedError,
        Code.NOT_FOUND,
    ),
    ("CANCELLED", {"reason": "EXECUTION_CANCELLED", "code": 1}, CallCancelledError, Code.CANCELLED),
    ("TIMED_OUT", {"reason": "EXECUTION_TIMEOUT", "code": 4}, DeadlineExceededError, Code.DEADLINE_EXCEEDED),
]


@pytest.mark.parametrize(
    ("state", "failure", "kind", "code"), FAILURES, ids=[f"{f[0]} {f[1]['reason']}" for f in FAILURES]
)
async def test_an_execution_that_did_not_complete_raises_its_failure(
    client: Client, peer: Peer, state: str, failure: dict[str, Any], kind: type[WeftError], code: Code
) -> None:
    """The error is the one that the failed step had; it names the execution and is not retried."""
    fault = {"field": "text", "description": "is required", "reason": "REQUIRED"}
    stored = ParseDict(
        {
            "id": "exe_1",
            "state": f"EXECUTION_STATE_{state}",
            "failure": {"message": "why", "violations": [fault], **failure},
        },
        execution_pb2.Execution(),
    )
    peer.on("ExecuteWorkflow", executions.ExecuteWorkflowResponse(execution=stored))

    with pytest.raises(WeftError) as caught:
        await client.execute_workflow("wf_1", {})

    found = caught.value
    assert type(found) is kind
    assert (found.code, found.reason, found.message) == (code, failure["reason"], "why")
    assert found.metadata["execution_id"] == "exe_1"
    assert failure.get("metadata", {}).items() <= found.metadata.items()
    if kind is not ResourceNotFoundError and kind is not ServiceUnavailableError:
        assert found.violations == (Violation("text", "is required", "REQUIRED"),)
    assert len(peer.calls) == 1


async def test_an_end_without_a_reason_is_an_error_too(client: Client, peer: Peer) -> None:
    """A state that we do not know is never taken for a success."""
    peer.on(
        "ExecuteWorkflow",
        executions.ExecuteWorkflowResponse(execution=execution_pb2.Execution(id="exe_1")),
    )

    with pytest.raises(UnexpectedStatusError, match="exe_1 is in no known state"):
        await client.execute_workflow("wf_1", {})


async def test_a_wait_that_ends_is_a_deadline(client: Client, peer: Peer) -> None:
    """The execution goes on; the caller is told that the time is over."""
    peer.on("ExecuteWorkflow", forever)

    with pytest.raises(DeadlineExceededError):
        await client.execute_workflow("wf_1", {}, timeout=timedelta(seconds=0.1))


async def test_register_and_update_service(client: Client, peer: Peer) -> None:
    """Actions go in as the guide writes them; the status is set last."""
    actions = [{"name": "extract", "description": "Reads", "input_schema": {"type": "object"}}]
    peer.on("RegisterService", registry.RegisterServiceResponse(service=SERVICE))
    peer.on("UpdateService", registry.UpdateServiceResponse(service=SERVICE))
    peer.on("SetServiceState", registry.SetServiceStateResponse(service=SERVICE))

    found = await client.register_service("text", "Reads", "http://127.0.0.1:8000/api", actions, {"v": "1"})
    assert (found["id"], found["status"]) == ("svc_1", "ACTIVE")
    sent = peer.last.service
    assert (sent.name, sent.endpoint, sent.metadata["v"]) == ("text", "http://127.0.0.1:8000/api", "1")
    assert sent.actions[0].input_schema.json == b'{"type":"object"}'

    await client.update_service("text", endpoint="grpc://127.0.0.1:9000", actions=actions, status="inactive")
    update, transition = (call.request for call in peer.calls[1:])
    assert list(update.update_mask.paths) == ["endpoint", "actions"]
    assert (transition.service, transition.state) == ("svc_1", registry_pb2.SERVICE_STATE_INACTIVE)


async def test_execute_service_action(client: Client, peer: Peer) -> None:
    """The output comes back as it is."""
    answer = executions.ExecuteServiceActionResponse()
    answer.output.json = b'{"text":"hello"}'
    peer.on("ExecuteServiceAction", answer)

    found = await client.execute_service_action("svc_1", "extract", {"url": "x"}, {"request_id": "req-1"})

    assert found == {"text": "hello"}
    assert (peer.last.service, peer.last.action, peer.last.input.json) == ("svc_1", "extract", b'{"url":"x"}')
    assert peer.calls[0].metadata["x-request-id"] == "req-1"


async def test_health_is_said_in_lower_case(client: Client, peer: Peer) -> None:
    """The whole, each dependency, each service, and each instance of it."""
    service = registry_pb2.ServiceHealth(
        service_id="svc_1", service="text", health=registry_pb2.HEALTH_STATUS_DEGRADED
    )
    service.instances.add(id="i-1", health=registry_pb2.HEALTH_STATE_WARNING)
    answer = registry.GetIntegrationHealthResponse(
        health=registry_pb2.HEALTH_STATUS_DEGRADED, services=[service]
    )
    answer.dependencies.add(name="store", health=registry_pb2.HEALTH_STATUS_HEALTHY)
    peer.on("GetIntegrationHealth", answer)
    peer.on("GetServiceHealth", registry.GetServiceHealthResponse(health=service))

    whole = await client.get_integration_health()
    one = await client.get_service_health("text")

    assert whole["status"] == "degraded"
    assert whole["dependencies"] == [{"status": "healthy", "name": "store", "note": "", "latency": None}]
    assert whole["services"] == [one]
    assert (one["status"], one["service_id"], one["instances"][0]["health"]) == (
        "degraded",
        "svc_1",
        "WARNING",
    )


BAD_STATUS: list[tuple[str, Callable[[Client], Awaitable[object]]]] = [
    ("get_workflows", lambda client: client.get_workflows(status="RUNNING")),
    ("get_services", lambda client: client.get_services(status="DELETED")),
    ("get_workflow_executions", lambda client: client.get_workflow_executions("wf_1", status="ACTIVE")),
    ("update_workflow", lambda client: client.update_workflow("wf_1", name="x", status="DEPRECATED")),
    ("update_workflow_empty", lambda client: client.update_workflow("wf_1", name="x", status="")),
    ("update_service", lambda client: client.update_service("svc_1", name="x", status="GONE")),
]


@pytest.mark.parametrize("call", [case[1] for case in BAD_STATUS], ids=[case[0] for case in BAD_STATUS])
async def test_a_bad_status_is_refused_before_calling(
    client: Client, peer: Peer, call: Callable[[Client], Awaitable[object]]
) -> None:
    """Nothing is half done: no field is changed when the status cannot be set."""
    with pytest.raises(ValidationError) as caught:
        await call(client)

    assert [violation.field for violation in caught.value.violations] == ["status"]
    assert not peer.calls


@pytest.mark.parametrize(
    ("page", "per_page", "field"), [(0, 10, "page"), (1, 0, "per_page"), (1, 1001, "per_page")]
)
async def test_page_numbers_out_of_range_are_refused(
    client: Client, peer: Peer, page: int, per_page: int, field: str
) -> None:
    """They are faults of the input, found before calling."""
    with pytest.raises(ValidationError) as caught:
        await client.get_services(page=page, per_page=per_page)

    assert [violation.field for violation in caught.value.violations] == [field]
    assert not peer.calls
