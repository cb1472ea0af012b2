"""``request_id``: a repeat returns the first result, and another content is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from google.protobuf.message import Message

from tests.support.wire import METHODS, STRUCT, payload
from tests.support.world import World, definition, registration, step
from weft.api.execution.v1 import execution_service_pb2 as executions
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as registry
from weft.api.workflow.v1 import workflow_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as workflows
from weft.core.errors import Code
from weft.core.reasons import Reason

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

COUNT = step("count", "texts", "count", mapping={"text": "${ 'abc' }"})
TEXT = {"text": "a"}
SCHEDULES = ("Create", "Update", "Delete", "Pause", "Resume", "Trigger", "Backfill")


@dataclass(frozen=True)
class Mutation:
    """A mutation of something named like the test, and the same with another content."""

    promise: str
    method: str
    first: Callable[[str], Message]
    other: Callable[[str], Message]
    needs: Callable[[str], Message] | None = None
    """What has to be there before."""

    def __str__(self) -> str:
        return f"{self.method}: {self.promise}"


def service_of(name: str) -> Message:
    return registration(name, "act")


def workflow_of(name: str) -> Message:
    return definition(name, COUNT)


def update_service(name: str, description: str) -> Message:
    service = registry_pb2.Service(id=name, description=description)
    return registry.UpdateServiceRequest(service=service)


def update_workflow(name: str, description: str) -> Message:
    workflow = workflow_pb2.Workflow(id=name, description=description)
    return workflows.UpdateWorkflowRequest(workflow=workflow)


def set_service(name: str, state: str) -> Message:
    return registry.SetServiceStateRequest(
        service=name, state=registry_pb2.ServiceState.Value(f"SERVICE_STATE_{state}")
    )


def set_workflow(name: str, state: str) -> Message:
    return workflows.SetWorkflowStateRequest(
        workflow=name, state=workflow_pb2.WorkflowState.Value(f"WORKFLOW_STATE_{state}")
    )


def set_alias(name: str, alias: str) -> Message:
    shares = [workflow_pb2.VersionShare(version=1)]
    return workflows.SetWorkflowAliasRequest(
        workflow=name, alias=workflow_pb2.WorkflowAlias(name=alias, shares=shares)
    )


def replacing(name: str, action: str) -> Message:
    request = registration(name, action)
    request.on_conflict = registry.CONFLICT_POLICY_REPLACE
    return request


MUTATIONS = [
    Mutation("new", "RegisterService", service_of, lambda name: registration(name, "other")),
    Mutation(
        "replacing with equal content",
        "RegisterService",
        lambda name: replacing(name, "act"),
        lambda name: replacing(name, "other"),
        needs=service_of,
    ),
    Mutation(
        "a change",
        "UpdateService",
        lambda name: update_service(name, "one"),
        lambda name: update_service(name, "two"),
        needs=service_of,
    ),
    Mutation(
        "no change",
        "SetServiceState",
        lambda name: set_service(name, "ACTIVE"),
        lambda name: set_service(name, "INACTIVE"),
        needs=service_of,
    ),
    Mutation(
        "a change",
        "SetServiceState",
        lambda name: set_service(name, "INACTIVE"),
        lambda name: set_service(name, "DEPRECATED"),
        needs=service_of,
    ),
    Mutation(
        "what is gone then",
        "DeregisterService",
        lambda name: registry.DeregisterServiceRequest(service=name),
        lambda _: registry.DeregisterServiceRequest(service="texts"),
        needs=service_of,
    ),
    Mutation("new", "CreateWorkflow", workflow_of, lambda name: definition(f"{name}-b", COUNT)),
    Mutation(
        "a change",
        "UpdateWorkflow",
        lambda name: update_workflow(name, "one"),
        lambda name: update_workflow(name, "two"),
        needs=workflow_of,
    ),
    Mutation(
        "no change",
        "SetWorkflowState",
        lambda name: set_workflow(name, "ACTIVE"),
        lambda name: set_workflow(name, "INACTIVE"),
        needs=workflow_of,
    ),
    Mutation(
        "new",
        "SetWorkflowAlias",
        lambda name: set_alias(name, "stable"),
        lambda name: set_alias(name, "canary"),
        needs=workflow_of,
    ),
    Mutation(
        "what is gone then",
        "DeleteWorkflow",
        lambda name: workflows.DeleteWorkflowRequest(workflow=name),
        lambda _: workflows.DeleteWorkflowRequest(workflow="shouting"),
        needs=workflow_of,
    ),
    Mutation(
        "new",
        "StartExecution",
        lambda _: executions.StartExecutionRequest(workflow="shouting", input=payload(TEXT)),
        lambda _: executions.StartExecutionRequest(workflow="shouting", input=payload({"text": "b"})),
    ),
    Mutation(
        "new",
        "ExecuteWorkflow",
        lambda _: executions.ExecuteWorkflowRequest(workflow="shouting", input=payload(TEXT)),
        lambda _: executions.ExecuteWorkflowRequest(workflow="shouting", input=payload(TEXT), version=1),
    ),
]


def name_of(mutation: Mutation) -> str:
    return "".join(c if c.isalnum() else "-" for c in str(mutation).lower())


def with_id(request: Message, request_id: str) -> Message:
    request.request_id = request_id  # type: ignore[attr-defined] # every request here has one
    return request


def settled(answer: Message) -> bytes:
    """Return an answer without what goes on happening to an execution."""
    if isinstance(answer, executions.StartExecutionResponse | executions.ExecuteWorkflowResponse):
        return answer.execution.id.encode()
    return answer.SerializeToString(deterministic=True)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
async def test_a_repeat_returns_the_first_result_and_other_content_is_refused(
    world: World, mutation: Mutation
) -> None:
    """Also when nothing changed, when what it named is gone, and after others changed it."""
    wire, name = world.wire, name_of(mutation)
    if mutation.needs is not None:
        method = "RegisterService" if mutation.needs is service_of else "CreateWorkflow"
        await wire.call(method, mutation.needs(name))
    first = await wire.call(mutation.method, with_id(mutation.first(name), name))
    repeat = await wire.call(mutation.method, with_id(mutation.first(name), name))
    assert settled(repeat) == settled(first)
    before = await wire.state()
    refusal = await wire.refusal(mutation.method, with_id(mutation.other(name), name))
    assert refusal.kind == (Code.ALREADY_EXISTS, Reason.REQUEST_ID_REUSED)
    assert refusal.metadata == {"request_id": name, "method": full_name(mutation.method)}
    assert await wire.state() == before
    assert await world.is_well()


def full_name(method: str) -> str:
    return f"{METHODS[method].containing_service.full_name}/{method}"


async def test_whoever_starts_with_a_used_id_is_told_what_it_called(world: World) -> None:
    """A start, an execution and a message with a start share their ids, and are not taken for each other."""
    wire = world.wire
    await wire.call("CreateWorkflow", workflow_of("shared-ids"))

    def start(text: str, key: str = "") -> executions.StartExecutionRequest:
        return executions.StartExecutionRequest(
            workflow="shared-ids", input=payload({"x": text}, STRUCT), request_id="shared", execution_key=key
        )

    await wire.call("StartExecution", start("a"))
    execute = executions.ExecuteWorkflowRequest(
        workflow="shared-ids", input=payload({"x": "b"}, STRUCT), request_id="shared"
    )
    signal = executions.SignalWithStartRequest(
        start=start("b", "a-key"), signal=executions.SignalExecutionRequest(name="go")
    )
    for method, request in {
        "StartExecution": start("b"),
        "ExecuteWorkflow": execute,
        "SignalWithStart": signal,
    }.items():
        refusal = await wire.refusal(method, request)
        assert refusal.kind == (Code.ALREADY_EXISTS, Reason.REQUEST_ID_REUSED)
        assert refusal.metadata["method"] == full_name(method)


async def test_every_mutation_is_covered() -> None:
    """Each RPC with a request_id has a row, but for those of control, lists, aliases and schedules."""
    with_ids = {name for name, method in METHODS.items() if "request_id" in method.input_type.fields_by_name}
    assert {mutation.method for mutation in MUTATIONS} | {
        "CancelExecution",
        "CancelBatch",
        "StartBatch",
        "RerunExecution",
        "DeleteWorkflowAlias",
        *(f"{what}Schedule" for what in SCHEDULES),
    } == with_ids


async def test_at_the_same_moment_one_is_first(world: World) -> None:
    """Twenty starts at once with one request_id are one execution."""
    request = executions.StartExecutionRequest(
        workflow="shouting", input=payload(TEXT), request_id="twenty at once"
    )
    answers = await asyncio.gather(*(world.wire.executions.StartExecution(request) for _ in range(20)))
    assert len({answer.execution.id for answer in answers}) == 1


async def test_a_start_is_joined_by_the_other_call_and_the_other_kind(world: World) -> None:
    """ExecuteWorkflow with a Struct joins what StartExecution began with JSON text."""
    started = await world.wire.executions.StartExecution(
        executions.StartExecutionRequest(workflow="shouting", input=payload(TEXT), request_id="joined")
    )
    joined = await world.wire.executions.ExecuteWorkflow(
        executions.ExecuteWorkflowRequest(
            workflow="shouting", input=payload(TEXT, STRUCT), request_id="joined"
        )
    )
    assert joined.execution.id == started.execution.id
    assert joined.execution.HasField("result")


async def test_a_refused_request_does_not_use_up_its_id(world: World) -> None:
    """After the fault is mended, the same request_id works."""
    bad = with_id(definition("mended", step("a", "ghost", "act")), "mended")
    await world.wire.refusal("CreateWorkflow", bad)
    created = await world.wire.call("CreateWorkflow", with_id(definition("mended", COUNT), "mended"))
    assert created.workflow.name == "mended"


async def test_ids_of_different_rpcs_are_apart(world: World) -> None:
    """The same request_id in another method is another request."""
    await world.wire.call("RegisterService", with_id(registration("apart", "act"), "shared"))
    await world.wire.call("CreateWorkflow", with_id(definition("apart", COUNT), "shared"))
