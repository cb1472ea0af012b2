"""WorkflowService does what its contract says, in the kind of payload that the caller uses."""

from __future__ import annotations

import pytest
from google.protobuf import duration_pb2, field_mask_pb2

from tests.support.wire import JSON, KINDS, STRUCT, payload, value_in
from tests.support.world import World, definition, registration, step
from weft.api.registry.v1 import registry_pb2, registry_service_pb2
from weft.api.workflow.v1 import workflow_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.core.errors import Code
from weft.core.names import is_id
from weft.core.payload import JsonObject, PayloadKind, to_struct
from weft.core.reasons import Reason, Rule

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
TAKES: JsonObject = {"type": "object", "properties": {"words": {"type": "string"}}, "required": ["words"]}
GIVES: JsonObject = {"type": "object", "properties": {"characters": {"type": "integer"}}}
MAPPING: JsonObject = {"text": "${ input.words }"}
COUNT = step("count", "texts", "count", mapping={"text": "${ 'abc' }"})


def full(name: str, kind: PayloadKind) -> workflow_pb2.Workflow:
    """Return a workflow with everything that a caller may set."""
    first = step("first", "texts", "shout", "second")
    first.input.CopyFrom(payload({**MAPPING, "times": 2}, kind))
    first.timeout.seconds = 5
    first.description = "Louder."
    return workflow_pb2.Workflow(
        name=name,
        description="*counts*",
        steps=[first, step("second", "texts", "count")],
        metadata=to_struct({"team": "letters"}),
        input_schema=payload(TAKES, kind),
        output_schema=payload(GIVES, kind),
        timeout=duration_pb2.Duration(seconds=60),
    )


async def create(world: World, workflow: workflow_pb2.Workflow) -> workflow_pb2.Workflow:
    answer = await world.wire.workflows.CreateWorkflow(pb.CreateWorkflowRequest(workflow=workflow))
    return answer.workflow


async def read(world: World, ref: str, version: int = 0, kind: PayloadKind = JSON) -> workflow_pb2.Workflow:
    request = pb.GetWorkflowRequest(workflow=ref, version=version, payload_kind=kind)
    return (await world.wire.workflows.GetWorkflow(request)).workflow


@kinds
async def test_a_workflow_comes_back_as_it_was_created(world: World, kind: PayloadKind) -> None:
    """What was set is stored as version 1; id, state, version, etag and times are the server's."""
    wanted = full(f"whole-{kind}", kind)
    wanted.id, wanted.version, wanted.etag = "mine", 7, "r7"
    stored = await create(world, wanted)
    assert is_id(stored.id, "wf")
    assert (stored.version, stored.state) == (1, workflow_pb2.WORKFLOW_STATE_ACTIVE)
    assert stored.create_time == stored.update_time == stored.version_create_time
    for field in ("id", "version", "etag", "state", "create_time", "update_time", "version_create_time"):
        stored.ClearField(field)
        wanted.ClearField(field)
    assert stored == wanted


@kinds
async def test_reads_answer_in_the_kind_asked_for(world: World, kind: PayloadKind) -> None:
    """Get by name and id, both lists and SetWorkflowState carry payloads as asked; unasked as Struct."""
    name, wire = f"read-{kind}", world.wire.workflows
    await create(world, full(name, STRUCT if kind == JSON else JSON))
    got = await read(world, name, kind=kind)
    assert await read(world, got.id, kind=kind) == got
    listed = await wire.ListWorkflows(pb.ListWorkflowsRequest(payload_kind=kind, page_size=1_000))
    assert got in listed.workflows
    versions = await wire.ListWorkflowVersions(
        pb.ListWorkflowVersionsRequest(workflow=name, payload_kind=kind)
    )
    assert list(versions.workflows) == [got]
    active = workflow_pb2.WORKFLOW_STATE_ACTIVE
    moved = await wire.SetWorkflowState(
        pb.SetWorkflowStateRequest(workflow=name, state=active, payload_kind=kind)
    )
    assert moved.workflow == got, "a repeat of the state changes nothing"
    assert value_in(got.input_schema, kind) == TAKES
    assert value_in(got.output_schema, kind) == GIVES
    assert value_in(got.steps[0].input, kind) == {**MAPPING, "times": 2}
    unasked = await wire.GetWorkflow(pb.GetWorkflowRequest(workflow=name))
    assert value_in(unasked.workflow.input_schema, STRUCT) == TAKES


@kinds
async def test_a_changed_definition_is_a_new_version_and_the_old_one_stays(
    world: World, kind: PayloadKind
) -> None:
    """Steps, schemas and timeout are versioned; name, description and metadata alone are not."""
    name = f"versions-{kind}"
    first = await create(world, full(name, kind))
    request = pb.UpdateWorkflowRequest(
        workflow=workflow_pb2.Workflow(
            id=name, steps=[COUNT], input_schema=payload({"type": "object"}, kind), description="ignored"
        ),
        update_mask=field_mask_pb2.FieldMask(paths=["steps", "input_schema"]),
        etag=first.etag,
    )
    second = (await world.wire.workflows.UpdateWorkflow(request)).workflow
    assert (second.version, second.description, second.id) == (2, first.description, first.id)
    assert second.etag != first.etag
    assert value_in(second.input_schema, kind) == {"type": "object"}
    old = await read(world, name, version=1, kind=kind)
    assert (list(old.steps), old.version) == (list(first.steps), 1)
    renamed = await world.wire.workflows.UpdateWorkflow(
        pb.UpdateWorkflowRequest(
            workflow=workflow_pb2.Workflow(id=first.id, name=f"new-{name}", metadata=to_struct({"a": 1}))
        )
    )
    assert (renamed.workflow.version, renamed.workflow.name) == (2, f"new-{name}")
    gone = await world.wire.refusal("GetWorkflow", pb.GetWorkflowRequest(workflow=name))
    assert gone.kind == (Code.NOT_FOUND, Reason.WORKFLOW_NOT_FOUND)


async def test_a_stale_etag_names_both(world: World) -> None:
    """The refused etag and the present one are in the metadata, so that a program can go on."""
    old = await create(world, definition("contended", COUNT).workflow)
    change = workflow_pb2.Workflow(id="contended", description="mine")
    await world.wire.workflows.UpdateWorkflow(pb.UpdateWorkflowRequest(workflow=change))
    late = pb.UpdateWorkflowRequest(workflow=change, etag=old.etag)
    refusal = await world.wire.refusal("UpdateWorkflow", late)
    assert refusal.kind == (Code.ABORTED, Reason.ETAG_MISMATCH)
    now = await read(world, "contended")
    assert refusal.metadata == {"etag": old.etag, "current_etag": now.etag}


async def test_a_deleted_workflow_frees_its_name(world: World) -> None:
    """Another one takes the name at once, with another id and from version 1 on."""
    first = await create(world, definition("phoenix", COUNT).workflow)
    await world.wire.workflows.DeleteWorkflow(pb.DeleteWorkflowRequest(workflow="phoenix", etag=first.etag))
    second = await create(world, definition("phoenix", COUNT).workflow)
    assert (second.version, second.id != first.id) == (1, True)


async def test_validation_says_what_to_do_and_stores_nothing(world: World) -> None:
    """A close name is suggested; a warning leaves the definition valid, and create repeats it."""
    before = await world.wire.state()
    wrong = definition("typo", step("a", "texts", "counts")).workflow
    answer = await world.wire.workflows.ValidateWorkflow(pb.ValidateWorkflowRequest(workflow=wrong))
    (problem,) = answer.problems
    assert (problem.path, problem.code, answer.valid) == ("steps[0].action", Rule.ACTION_UNKNOWN, False)
    assert "'count'" in problem.hint
    assert await world.wire.state() == before
    sleepy = definition("sleepy", step("a", "idle", "work"))
    answer = await world.wire.workflows.ValidateWorkflow(pb.ValidateWorkflowRequest(workflow=sleepy.workflow))
    assert [(p.code, p.severity) for p in answer.problems] == [
        (Rule.SERVICE_NOT_USABLE, workflow_pb2.SEVERITY_WARNING)
    ]
    assert answer.valid
    created = await world.wire.workflows.CreateWorkflow(sleepy)
    assert list(created.warnings) == list(answer.problems)


async def test_a_definition_is_checked_against_the_registry_as_it_is_now(world: World) -> None:
    """What was unknown is known once it is registered, and unknown again when it went."""
    request = definition("patient", step("a", "newcomer", "work"))
    refusal = await world.wire.refusal("CreateWorkflow", request)
    assert refusal.violations == (("workflow.steps[0].service", Rule.SERVICE_UNKNOWN),)
    await world.wire.registry.RegisterService(registration("newcomer", "work"))
    await world.wire.workflows.CreateWorkflow(request)
    await world.wire.registry.UpdateService(
        registry_service_pb2.UpdateServiceRequest(
            service=registry_pb2.Service(id="newcomer", actions=[registry_pb2.Action(name="rest")])
        )
    )
    change = workflow_pb2.Workflow(id="patient", timeout=duration_pb2.Duration(seconds=9))
    refusal = await world.wire.refusal("UpdateWorkflow", pb.UpdateWorkflowRequest(workflow=change))
    assert refusal.violations == (("workflow.steps[0].action", Rule.ACTION_UNKNOWN),)
