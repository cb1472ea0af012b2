"""WorkflowService says no: clearly, to everything at once, and without a trace."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import duration_pb2, field_mask_pb2, struct_pb2

from tests.support.refusals import Case, check, faulty, missing, stale, taken
from tests.support.wire import STRUCT, nested, payload, raw_json
from tests.support.world import World, definition, step
from weft.api.common.v1 import payload_pb2
from weft.api.workflow.v1 import workflow_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.core.payload import to_struct
from weft.core.reasons import Reason, Rule

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

LONG = "x" * 200
GHOST = "wf_" + "0" * 26
SHOUT = step("shout", "texts", "shout", "count")
COUNT = step("count", "texts", "count")


def workflow(*steps: workflow_pb2.Step, **values: Any) -> pb.CreateWorkflowRequest:
    made = workflow_pb2.Workflow(**{"name": "fresh", **values}, steps=steps or (SHOUT, COUNT))
    return pb.CreateWorkflowRequest(workflow=made)


def mapped(value: payload_pb2.Payload) -> pb.CreateWorkflowRequest:
    """Ask for a workflow of one step with an explicit input."""
    made = step("count", "texts", "count")
    made.input.CopyFrom(value)
    return workflow(made)


def update(path: str = "", **values: Any) -> pb.UpdateWorkflowRequest:
    request = pb.UpdateWorkflowRequest(workflow=workflow_pb2.Workflow(**{"id": "shouting", **values}))
    if path:
        request.update_mask.paths.append(path)
    return request


def alias(workflow: str = "shouting", version: int = 1, etag: str = "") -> pb.SetWorkflowAliasRequest:
    named = workflow_pb2.WorkflowAlias(name="stable", shares=[workflow_pb2.VersionShare(version=version)])
    return pb.SetWorkflowAliasRequest(workflow=workflow, alias=named, etag=etag)


def not_a_number() -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct["text"] = float("inf")
    return struct


def chain(count: int) -> list[workflow_pb2.Step]:
    """Return steps in a row."""
    ids = [f"s{n}" for n in range(count)]
    return [step(one, "texts", "count", other) for one, other in zip(ids, [*ids[1:], ""], strict=True)]


def ring(count: int) -> list[workflow_pb2.Step]:
    """Return steps of which the last leads back to the first."""
    steps = chain(count)
    steps[-1].next = steps[0].id
    return steps


FORMS = [
    faulty(
        "without anything",
        "CreateWorkflow",
        pb.CreateWorkflowRequest(),
        ("workflow.name", Rule.REQUIRED),
        ("workflow.steps", Rule.REQUIRED),
    ),
    faulty(
        "an empty step",
        "CreateWorkflow",
        workflow(workflow_pb2.Step()),
        ("workflow.steps[0].id", Rule.REQUIRED),
        ("workflow.steps[0].service", Rule.REQUIRED),
        ("workflow.steps[0].action", Rule.REQUIRED),
    ),
    faulty(
        "unknown service",
        "CreateWorkflow",
        workflow(step("a", "ghost", "count")),
        ("workflow.steps[0].service", Rule.SERVICE_UNKNOWN),
    ),
    faulty(
        "unknown action",
        "CreateWorkflow",
        workflow(step("a", "texts", "whisper")),
        ("workflow.steps[0].action", Rule.ACTION_UNKNOWN),
    ),
    faulty(
        "unknown step",
        "CreateWorkflow",
        workflow(step("a", "texts", "count", "ghost")),
        ("workflow.steps[0].next", Rule.STEP_UNKNOWN),
    ),
    faulty(
        "deprecated service",
        "CreateWorkflow",
        workflow(step("a", "retired", "work")),
        ("workflow.steps[0].service", Rule.SERVICE_NOT_USABLE),
    ),
    faulty(
        "step that follows itself",
        "CreateWorkflow",
        workflow(step("a", "texts", "count", "a")),
        ("workflow.steps[0].next", Rule.STEP_CYCLE),
    ),
    faulty(
        "cycle of three", "CreateWorkflow", workflow(*ring(3)), ("workflow.steps[2].next", Rule.STEP_CYCLE)
    ),
    faulty(
        "cycle that nothing leads to",
        "CreateWorkflow",
        workflow(COUNT, step("a", "texts", "count", "b"), step("b", "texts", "count", "a")),
        ("workflow.steps[1]", Rule.STEP_UNREACHABLE),
        ("workflow.steps[2]", Rule.STEP_UNREACHABLE),
        ("workflow.steps[2].next", Rule.STEP_CYCLE),
    ),
    faulty(
        "unreachable step",
        "CreateWorkflow",
        workflow(COUNT, step("lost", "texts", "count")),
        ("workflow.steps[1]", Rule.STEP_UNREACHABLE),
    ),
    faulty(
        "duplicate step",
        "CreateWorkflow",
        workflow(COUNT, COUNT),
        ("workflow.steps[1].id", Rule.STEP_ID_DUPLICATE),
    ),
    faulty(
        "1,001 steps",
        "CreateWorkflow",
        workflow(*chain(1_000), step("more", "texts", "count")),
        ("workflow.steps", Rule.TOO_MANY),
    ),
    faulty(
        "metadata deeper than 32",
        "CreateWorkflow",
        workflow(metadata=to_struct(nested(33))),
        ("workflow.metadata", Rule.PAYLOAD_TOO_DEEP),
    ),
    faulty(
        "a retention of no final state, and of no time",
        "CreateWorkflow",
        workflow(metadata=to_struct({"retention": {"RUNNING": "7d", "FAILED": "soon"}})),
        ("workflow.metadata.retention", Rule.RETENTION_INVALID),
        ("workflow.metadata.retention.FAILED", Rule.RETENTION_INVALID),
    ),
    faulty(
        "a retention that is none",
        "CreateWorkflow",
        workflow(metadata=to_struct({"retention": "7d"})),
        ("workflow.metadata.retention", Rule.RETENTION_INVALID),
    ),
    faulty(
        "metadata over 64 KB",
        "CreateWorkflow",
        workflow(metadata=to_struct({"x": "x" * 65_536})),
        ("workflow.metadata", Rule.PAYLOAD_TOO_LARGE),
    ),
    faulty(
        "timeout over a year",
        "CreateWorkflow",
        workflow(timeout=duration_pb2.Duration(seconds=400 * 86_400)),
        ("workflow.timeout", Rule.OUT_OF_RANGE),
    ),
    faulty(
        "negative timeout",
        "CreateWorkflow",
        workflow(timeout=duration_pb2.Duration(seconds=-1)),
        ("workflow.timeout", Rule.OUT_OF_RANGE),
    ),
    faulty(
        "timeout beyond all bounds",
        "CreateWorkflow",
        workflow(timeout=duration_pb2.Duration(seconds=2**63 - 1)),
        ("workflow.timeout", Rule.OUT_OF_RANGE),
    ),
    taken(
        "second one of a name", "CreateWorkflow", definition("shouting", SHOUT, COUNT), Reason.WORKFLOW_EXISTS
    ),
    faulty(
        "everything wrong at once, also what only the registry knows",
        "CreateWorkflow",
        pb.CreateWorkflowRequest(
            request_id=LONG,
            workflow=workflow_pb2.Workflow(
                name="No Name",
                description="x" * 8_193,
                metadata=not_a_number(),
                input_schema=payload({"type": 12}),
                output_schema=payload({"$ref": "https://example.org/s"}, STRUCT),
                steps=[
                    step("a", "ghost", "count", "b"),
                    step("b", "texts", "whisper", "nowhere"),
                    step("b", "texts", "count", mapping={"text": "${ input. }"}),
                    step("no good", "texts", "count"),
                ],
            ),
        ),
        ("request_id", Rule.TOO_LONG),
        ("workflow.name", Rule.INVALID),
        ("workflow.description", Rule.TOO_LONG),
        ("workflow.metadata", Rule.PAYLOAD_INVALID),
        ("workflow.input_schema.type", Rule.SCHEMA_INVALID),
        ("workflow.output_schema.$ref", Rule.SCHEMA_REMOTE_REF),
        ("workflow.steps[0].service", Rule.SERVICE_UNKNOWN),
        ("workflow.steps[1].action", Rule.ACTION_UNKNOWN),
        ("workflow.steps[1].next", Rule.STEP_UNKNOWN),
        ("workflow.steps[2].id", Rule.STEP_ID_DUPLICATE),
        ("workflow.steps[2].input.text", Rule.EXPRESSION_INVALID),
        ("workflow.steps[3].id", Rule.INVALID),
        ("workflow.steps[3]", Rule.STEP_UNREACHABLE),
    ),
]

SCHEMAS: dict[str, tuple[payload_pb2.Payload, str, Rule]] = {
    "no schema": (payload({"type": 12}, STRUCT), ".type", Rule.SCHEMA_INVALID),
    "schema of no object": (payload({"type": "string"}), "", Rule.SCHEMA_INVALID),
    "over 64 KB": (payload({"description": "x" * 65_536}, STRUCT), "", Rule.SCHEMA_TOO_LARGE),
    "deeper than 32": (payload(nested(33)), "", Rule.PAYLOAD_TOO_DEEP),
    "remote reference": (payload({"$ref": "http://127.0.0.1/s"}), ".$ref", Rule.SCHEMA_REMOTE_REF),
    "2,001 nodes": (payload({"anyOf": [{}] * 2_000}), "", Rule.SCHEMA_TOO_COMPLEX),
    "no object": (raw_json(b'"text"'), "", Rule.PAYLOAD_INVALID),
    "not UTF-8": (raw_json(b'{"title": "\xff"}'), "", Rule.PAYLOAD_INVALID),
    "not a number": (raw_json(b'{"minimum": Infinity}'), "", Rule.PAYLOAD_INVALID),
}
SCHEMA_CASES = [
    faulty(
        f"{field} {promise}",
        "CreateWorkflow",
        workflow(**{field: schema}),
        (f"workflow.{field}{path}", rule),
    )
    for promise, (schema, path, rule) in SCHEMAS.items()
    for field in ("input_schema", "output_schema")
]

INPUTS: dict[str, tuple[payload_pb2.Payload, str, Rule]] = {
    "no expression, as JSON": (payload({"text": "${ 1 + }"}), ".text", Rule.EXPRESSION_INVALID),
    "no expression, as Struct": (payload({"text": "${ 1 + }"}, STRUCT), ".text", Rule.EXPRESSION_INVALID),
    "unknown variable": (payload({"text": "${ secrets.key }"}), ".text", Rule.EXPRESSION_NAME_UNKNOWN),
    "unknown step": (payload({"text": "${ steps.ghost.text }"}), ".text", Rule.EXPRESSION_NAME_UNKNOWN),
    "member that the action refuses": (payload({"text": 12}), ".text", Rule.TYPE_MISMATCH),
    "array": (raw_json(b"[]"), "", Rule.PAYLOAD_INVALID),
    "deeper than 32": (payload(nested(33)), "", Rule.PAYLOAD_TOO_DEEP),
    "over 1 MiB": (raw_json(b'{"text": "' + b"x" * 1_048_576 + b'"}'), "", Rule.PAYLOAD_TOO_LARGE),
    "not a number": (payload_pb2.Payload(struct=not_a_number()), "", Rule.PAYLOAD_INVALID),
}
INPUT_CASES = [
    faulty(f"input: {promise}", "CreateWorkflow", mapped(value), (f"workflow.steps[0].input{path}", rule))
    for promise, (value, path, rule) in INPUTS.items()
]

CHANGES = [
    faulty("without anything", "UpdateWorkflow", pb.UpdateWorkflowRequest(), ("workflow.id", Rule.REQUIRED)),
    *(
        faulty(f"mask {path!r}", "UpdateWorkflow", update(path), ("update_mask", Rule.MASK_PATH_UNKNOWN))
        for path in ("nope", "state", "version", "workflow.name", "steps.id")
    ),
    faulty(
        "everything wrong at once",
        "UpdateWorkflow",
        pb.UpdateWorkflowRequest(
            request_id=LONG,
            workflow=workflow_pb2.Workflow(
                description="x" * 8_193, timeout=duration_pb2.Duration(seconds=-1)
            ),
            update_mask=field_mask_pb2.FieldMask(paths=["name", "description", "timeout", "colour"]),
        ),
        ("request_id", Rule.TOO_LONG),
        ("workflow.id", Rule.REQUIRED),
        ("workflow.name", Rule.REQUIRED),
        ("workflow.description", Rule.TOO_LONG),
        ("workflow.timeout", Rule.OUT_OF_RANGE),
        ("update_mask", Rule.MASK_PATH_UNKNOWN),
    ),
    faulty(
        "faults of the request and of the definition",
        "UpdateWorkflow",
        pb.UpdateWorkflowRequest(
            workflow=workflow_pb2.Workflow(id="shouting", steps=ring(2)),
            update_mask=field_mask_pb2.FieldMask(paths=["steps", "colour"]),
        ),
        ("update_mask", Rule.MASK_PATH_UNKNOWN),
        ("workflow.steps[1].next", Rule.STEP_CYCLE),
    ),
    faulty(
        "definition with a cycle",
        "UpdateWorkflow",
        update(steps=ring(2)),
        ("workflow.steps[1].next", Rule.STEP_CYCLE),
    ),
    faulty("no steps any more", "UpdateWorkflow", update("steps"), ("workflow.steps", Rule.REQUIRED)),
    missing(
        "unknown workflow", "UpdateWorkflow", update(id="ghost", description="new"), Reason.WORKFLOW_NOT_FOUND
    ),
    missing(
        "deleted workflow",
        "UpdateWorkflow",
        lambda world: update(id=world.deleted, description="new"),
        Reason.WORKFLOW_NOT_FOUND,
    ),
    taken("name that is taken", "UpdateWorkflow", update(name="asleep"), Reason.WORKFLOW_EXISTS),
    stale(
        "UpdateWorkflow",
        pb.UpdateWorkflowRequest(
            workflow=workflow_pb2.Workflow(id="shouting", description="new"), etag="r999"
        ),
    ),
    faulty(
        "without anything",
        "SetWorkflowState",
        pb.SetWorkflowStateRequest(),
        ("workflow", Rule.REQUIRED),
        ("state", Rule.REQUIRED),
    ),
    missing(
        "unknown workflow",
        "SetWorkflowState",
        pb.SetWorkflowStateRequest(workflow=GHOST, state=workflow_pb2.WORKFLOW_STATE_ACTIVE),
        Reason.WORKFLOW_NOT_FOUND,
    ),
    stale(
        "SetWorkflowState",
        pb.SetWorkflowStateRequest(
            workflow="shouting", state=workflow_pb2.WORKFLOW_STATE_INACTIVE, etag="r999"
        ),
    ),
    faulty(
        "without anything",
        "SetWorkflowAlias",
        pb.SetWorkflowAliasRequest(),
        ("workflow", Rule.REQUIRED),
        ("alias.name", Rule.REQUIRED),
        ("alias.shares", Rule.REQUIRED),
    ),
    missing("unknown workflow", "SetWorkflowAlias", alias("ghost"), Reason.WORKFLOW_NOT_FOUND),
    missing("unknown version", "SetWorkflowAlias", alias(version=99), Reason.WORKFLOW_VERSION_NOT_FOUND),
    stale("SetWorkflowAlias", alias(etag="r999")),
    faulty(
        "without anything",
        "DeleteWorkflowAlias",
        pb.DeleteWorkflowAliasRequest(),
        ("workflow", Rule.REQUIRED),
        ("alias", Rule.REQUIRED),
    ),
    missing(
        "unknown alias",
        "DeleteWorkflowAlias",
        pb.DeleteWorkflowAliasRequest(workflow="shouting", alias="ghost"),
        Reason.WORKFLOW_ALIAS_NOT_FOUND,
    ),
    stale(
        "DeleteWorkflowAlias", pb.DeleteWorkflowAliasRequest(workflow="shouting", alias="ghost", etag="r999")
    ),
    faulty("without anything", "DeleteWorkflow", pb.DeleteWorkflowRequest(), ("workflow", Rule.REQUIRED)),
    missing(
        "unknown workflow",
        "DeleteWorkflow",
        pb.DeleteWorkflowRequest(workflow="ghost"),
        Reason.WORKFLOW_NOT_FOUND,
    ),
    missing(
        "deleted workflow",
        "DeleteWorkflow",
        lambda world: pb.DeleteWorkflowRequest(workflow=world.deleted),
        Reason.WORKFLOW_NOT_FOUND,
    ),
    stale("DeleteWorkflow", pb.DeleteWorkflowRequest(workflow="shouting", etag="r999")),
]

READS = [
    faulty(
        "without anything, version -1",
        "GetWorkflow",
        pb.GetWorkflowRequest(version=-1),
        ("workflow", Rule.REQUIRED),
        ("version", Rule.OUT_OF_RANGE),
    ),
    faulty(
        "name longer than any",
        "GetWorkflow",
        pb.GetWorkflowRequest(workflow=LONG),
        ("workflow", Rule.TOO_LONG),
    ),
    missing(
        "unknown name", "GetWorkflow", pb.GetWorkflowRequest(workflow="ghost"), Reason.WORKFLOW_NOT_FOUND
    ),
    missing(
        "deleted workflow",
        "GetWorkflow",
        lambda world: pb.GetWorkflowRequest(workflow=world.deleted),
        Reason.WORKFLOW_NOT_FOUND,
    ),
    missing(
        "unknown version",
        "GetWorkflow",
        pb.GetWorkflowRequest(workflow="shouting", version=2**63 - 1),
        Reason.WORKFLOW_VERSION_NOT_FOUND,
    ),
    missing(
        "version of an unknown workflow",
        "GetWorkflow",
        pb.GetWorkflowRequest(workflow="ghost", version=2),
        Reason.WORKFLOW_NOT_FOUND,
    ),
    faulty(
        "all of its paging wrong",
        "ListWorkflows",
        pb.ListWorkflowsRequest(page_size=-1, skip=-1, page_token="\0"),
        ("page_size", Rule.OUT_OF_RANGE),
        ("skip", Rule.OUT_OF_RANGE),
        ("page_token", Rule.PAGE_TOKEN_INVALID),
    ),
    faulty(
        "without anything, all of its paging wrong",
        "ListWorkflowVersions",
        pb.ListWorkflowVersionsRequest(page_size=-1, skip=-1, page_token="nope"),
        ("workflow", Rule.REQUIRED),
        ("page_size", Rule.OUT_OF_RANGE),
        ("skip", Rule.OUT_OF_RANGE),
        ("page_token", Rule.PAGE_TOKEN_INVALID),
    ),
    missing(
        "unknown workflow",
        "ListWorkflowVersions",
        pb.ListWorkflowVersionsRequest(workflow="ghost"),
        Reason.WORKFLOW_NOT_FOUND,
    ),
]

CASES = [*FORMS, *SCHEMA_CASES, *INPUT_CASES, *CHANGES, *READS]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_bad_request_is_refused_without_a_trace(world: World, case: Case) -> None:
    """Code, reason and every fault are as promised; nothing is stored; the next call works."""
    await check(world, case)


DEFINITIONS = [*FORMS, *SCHEMA_CASES, *INPUT_CASES]


@pytest.mark.parametrize("case", [case for case in DEFINITIONS if case.violations], ids=str)
async def test_validation_finds_the_same_and_refuses_nothing(world: World, case: Case) -> None:
    """ValidateWorkflow lists what CreateWorkflow would refuse, as an answer; names may come later."""
    assert isinstance(case.request, pb.CreateWorkflowRequest)
    before = await world.wire.state()
    answer = await world.wire.workflows.ValidateWorkflow(
        pb.ValidateWorkflowRequest(workflow=case.request.workflow)
    )
    found = {
        (f"workflow.{p.path}", p.code) for p in answer.problems if p.severity == workflow_pb2.SEVERITY_ERROR
    }
    of_the_request_alone = {("request_id", "TOO_LONG"), ("workflow.name", "REQUIRED")}
    assert found == set(case.violations) - of_the_request_alone
    assert answer.valid == (not found)
    assert await world.wire.state() == before


async def test_every_rpc_is_covered() -> None:
    """Each RPC that can refuse anything has a row above."""
    refusing = {case.method for case in CASES} | {
        "ValidateWorkflow",
        "TestWorkflow",
    }  # they answer with what they find
    assert refusing == {method.name for method in pb.DESCRIPTOR.services_by_name["WorkflowService"].methods}
