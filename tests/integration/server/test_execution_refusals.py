"""ExecutionService says no: clearly, to everything at once, and without a trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf import duration_pb2, struct_pb2
from google.protobuf.message import Message

from tests.integration.server.test_control_refusals import REFUSALS
from tests.integration.server.test_message_refusals import MESSAGES
from tests.support.refusals import Case, check, faulty, missing, wrong_state
from tests.support.wire import STRUCT, nested, payload, raw_json, refusal_of
from tests.support.world import World
from weft.api.common.v1 import context_pb2, payload_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.core.reasons import Reason, Rule

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

LONG = "x" * 200
GHOST = "exe_" + "0" * 26
NUL = "a\0b"
"""SQLite takes it, and PostgreSQL does not: it is refused before either is asked."""
StartRequest = type[pb.StartExecutionRequest] | type[pb.ExecuteWorkflowRequest]
STARTS: dict[str, StartRequest] = {
    "StartExecution": pb.StartExecutionRequest,
    "ExecuteWorkflow": pb.ExecuteWorkflowRequest,
}
READS_OF_ONE = {
    "GetExecution": pb.GetExecutionRequest,
    "GetExecutionHistory": pb.GetExecutionHistoryRequest,
    "WatchExecution": pb.WatchExecutionRequest,
    "CancelExecution": pb.CancelExecutionRequest,
}
TOO_LONG_A_TIME = duration_pb2.Duration(seconds=366 * 86_400)
TANGLED = context_pb2.CallContext(
    project_id="p" * 257,
    request_id="r" * 257,
    values={"Upper": "", "_x": "", "ä": "", "long": "v" * 257, **{f"k{n}": "" for n in range(30)}},
)
TANGLED_FAULTS = (
    ("context.project_id", Rule.TOO_LONG),
    ("context.request_id", Rule.TOO_LONG),
    ("context.values", Rule.TOO_MANY),
    *(("context.values", Rule.INVALID),) * 3,
    ("context.values.long", Rule.TOO_LONG),
)


def tangled_attributes() -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update({"list": [], "none": None, "a.b": 1, "long": "é" * 1_025, "nul": "\0", "inf": float("inf")})
    struct.update({f"k{number}": True for number in range(61)})
    return struct


TANGLED_ATTRIBUTES = tangled_attributes()
TANGLED_ATTRIBUTE_FAULTS = (
    ("search_attributes.list", Rule.INVALID),
    ("search_attributes.none", Rule.INVALID),
    ("search_attributes", Rule.TOO_MANY),
    ("search_attributes.a.b", Rule.INVALID),
    ("search_attributes.long", Rule.TOO_LONG),
    ("search_attributes.nul", Rule.INVALID),
    ("search_attributes.inf", Rule.INVALID),
)


def not_a_number() -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct["text"] = float("nan")
    return struct


def of_deleted(make: StartRequest) -> Callable[[World], Message]:
    return lambda world: make(workflow=world.deleted, input=payload({"text": ""}))


PAYLOADS: dict[str, tuple[payload_pb2.Payload, Rule]] = {
    "array": (raw_json(b"[]"), Rule.PAYLOAD_INVALID),
    "text": (raw_json(b'"text"'), Rule.PAYLOAD_INVALID),
    "null": (raw_json(b"null"), Rule.PAYLOAD_INVALID),
    "half an object": (raw_json(b'{"text": '), Rule.PAYLOAD_INVALID),
    "two objects": (raw_json(b"{}{}"), Rule.PAYLOAD_INVALID),
    "not UTF-8": (raw_json(b'{"text": "\xff"}'), Rule.PAYLOAD_INVALID),
    "UTF-16": (raw_json('{"text": "a"}'.encode("utf-16")), Rule.PAYLOAD_INVALID),
    "half a surrogate": (raw_json(b'{"text": "\\ud800"}'), Rule.PAYLOAD_INVALID),
    "not a number": (raw_json(b'{"text": NaN}'), Rule.PAYLOAD_INVALID),
    "not a number, as Struct": (payload_pb2.Payload(struct=not_a_number()), Rule.PAYLOAD_INVALID),
    "deeper than 32": (payload(nested(33)), Rule.PAYLOAD_TOO_DEEP),
    "deeper than 32, as arrays": (
        raw_json(b'{"text": ' + b"[" * 32 + b"]" * 32 + b"}"),
        Rule.PAYLOAD_TOO_DEEP,
    ),
    "deeper than any stack": (raw_json(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), Rule.PAYLOAD_TOO_DEEP),
    "over 1 MiB": (raw_json(b'{"text": "' + b"x" * 1_048_576 + b'"}'), Rule.PAYLOAD_TOO_LARGE),
    "over 1 MiB, as Struct": (payload({"text": "x" * 1_048_576}, STRUCT), Rule.PAYLOAD_TOO_LARGE),
}
PAYLOAD_CASES = [
    faulty(f"input: {promise}", method, request, ("input", rule))
    for promise, (value, rule) in PAYLOADS.items()
    for method, request in {
        "StartExecution": pb.StartExecutionRequest(workflow="shouting", input=value),
        "ExecuteWorkflow": pb.ExecuteWorkflowRequest(workflow="shouting", input=value),
        "ExecuteServiceAction": pb.ExecuteServiceActionRequest(service="texts", action="shout", input=value),
    }.items()
]

START_CASES = [
    case
    for method, make in STARTS.items()
    for case in (
        faulty("without anything", method, make(), ("workflow", Rule.REQUIRED)),
        faulty(
            "everything wrong at once",
            method,
            make(
                version=-1,
                input=raw_json(b"[]"),
                context=TANGLED,
                request_id=LONG,
                timeout=TOO_LONG_A_TIME,
                search_attributes=TANGLED_ATTRIBUTES,
            ),
            ("workflow", Rule.REQUIRED),
            ("version", Rule.OUT_OF_RANGE),
            ("input", Rule.PAYLOAD_INVALID),
            *TANGLED_FAULTS,
            ("request_id", Rule.TOO_LONG),
            ("timeout", Rule.OUT_OF_RANGE),
            *TANGLED_ATTRIBUTE_FAULTS,
        ),
        faulty(
            "input that the workflow's schema forbids",
            method,
            make(workflow="shouting", input=payload({"text": 1})),
            ("input.text", Rule.SCHEMA_MISMATCH),
        ),
        faulty(
            "input without what the schema requires",
            method,
            make(workflow="shouting", input=payload({}, STRUCT)),
            ("input", Rule.SCHEMA_MISMATCH),
        ),
        faulty(
            "what no store looks for",
            method,
            make(workflow=NUL, request_id=NUL),
            ("workflow", Rule.INVALID),
            ("request_id", Rule.INVALID),
        ),
        faulty(
            "a key that would be taken for an id",
            method,
            make(workflow="shouting", input=payload({"text": ""}), execution_key=GHOST),
            ("execution_key", Rule.INVALID),
        ),
        missing("unknown workflow", method, make(workflow="ghost"), Reason.WORKFLOW_NOT_FOUND),
        missing(
            "unknown version", method, make(workflow="shouting", version=9), Reason.WORKFLOW_VERSION_NOT_FOUND
        ),
        missing(
            "deleted workflow",
            method,
            of_deleted(make),
            Reason.WORKFLOW_NOT_FOUND,
        ),
        wrong_state(
            "inactive workflow",
            method,
            make(workflow="asleep", input=payload({"text": ""})),
            Reason.WORKFLOW_INACTIVE,
        ),
    )
]

ONE_CASES = [
    case
    for method, make in READS_OF_ONE.items()
    for case in (
        faulty("without anything", method, make(), ("execution_id", Rule.REQUIRED)),
        faulty("id with U+0000", method, make(execution_id=NUL), ("execution_id", Rule.INVALID)),
        faulty("id longer than any", method, make(execution_id=LONG), ("execution_id", Rule.TOO_LONG)),
        missing("unknown id", method, make(execution_id=GHOST), Reason.EXECUTION_NOT_FOUND),
        missing("what is no id", method, make(execution_id="shouting"), Reason.EXECUTION_NOT_FOUND),
    )
]

OTHERS = [
    faulty(
        "all of its paging wrong",
        "ListExecutions",
        pb.ListExecutionsRequest(
            page_size=-1, skip=-1, page_token="=", workflow=LONG, filter="stat = 1 AND version = x"
        ),
        ("page_size", Rule.OUT_OF_RANGE),
        ("skip", Rule.OUT_OF_RANGE),
        ("workflow", Rule.TOO_LONG),
        ("page_token", Rule.PAGE_TOKEN_INVALID),
        ("filter", Rule.FILTER_FIELD_UNKNOWN),
        ("filter", Rule.FILTER_VALUE_INVALID),
    ),
    faulty(
        "workflow with U+0000",
        "ListExecutions",
        pb.ListExecutionsRequest(workflow=NUL),
        ("workflow", Rule.INVALID),
    ),
    missing(
        "unknown workflow in a filter",
        "ListExecutions",
        pb.ListExecutionsRequest(filter="NOT workflow = ghost"),
        Reason.WORKFLOW_NOT_FOUND,
    ),
    faulty(
        "everything wrong at once",
        "CountExecutions",
        pb.CountExecutionsRequest(filter="state =", group_by="key"),
        ("filter", Rule.FILTER_SYNTAX),
        ("group_by", Rule.INVALID),
    ),
    missing(
        "unknown workflow",
        "CountExecutions",
        pb.CountExecutionsRequest(filter="workflow = ghost"),
        Reason.WORKFLOW_NOT_FOUND,
    ),
    missing(
        "unknown workflow",
        "ListExecutions",
        pb.ListExecutionsRequest(workflow="ghost"),
        Reason.WORKFLOW_NOT_FOUND,
    ),
    faulty(
        "without anything, all of its paging wrong",
        "GetExecutionHistory",
        pb.GetExecutionHistoryRequest(page_size=-1, page_token="nope"),
        ("execution_id", Rule.REQUIRED),
        ("page_size", Rule.OUT_OF_RANGE),
        ("page_token", Rule.PAGE_TOKEN_INVALID),
    ),
    faulty(
        "negative event number",
        "WatchExecution",
        pb.WatchExecutionRequest(after_event_number=-1),
        ("execution_id", Rule.REQUIRED),
        ("after_event_number", Rule.OUT_OF_RANGE),
    ),
    faulty(
        "everything wrong at once",
        "CancelExecution",
        pb.CancelExecutionRequest(reason="x" * 1_025, request_id=LONG),
        ("execution_id", Rule.REQUIRED),
        ("reason", Rule.TOO_LONG),
        ("request_id", Rule.TOO_LONG),
    ),
    wrong_state(
        "execution that ended",
        "CancelExecution",
        lambda world: pb.CancelExecutionRequest(execution_id=world.ended),
        Reason.EXECUTION_ENDED,
    ),
    faulty(
        "without anything",
        "ExecuteServiceAction",
        pb.ExecuteServiceActionRequest(),
        ("service", Rule.REQUIRED),
        ("action", Rule.REQUIRED),
    ),
    faulty(
        "everything wrong at once",
        "ExecuteServiceAction",
        pb.ExecuteServiceActionRequest(
            input=raw_json(b"[]"),
            context=TANGLED,
            idempotency_key="x" * 257,
            timeout=duration_pb2.Duration(seconds=-1),
        ),
        ("service", Rule.REQUIRED),
        ("action", Rule.REQUIRED),
        ("input", Rule.PAYLOAD_INVALID),
        *TANGLED_FAULTS,
        ("idempotency_key", Rule.TOO_LONG),
        ("timeout", Rule.OUT_OF_RANGE),
    ),
    faulty(
        "input that the action's schema forbids",
        "ExecuteServiceAction",
        pb.ExecuteServiceActionRequest(
            service="texts", action="shout", input=payload({"text": [], "times": "many"}, STRUCT)
        ),
        ("input.text", Rule.SCHEMA_MISMATCH),
        ("input.times", Rule.SCHEMA_MISMATCH),
    ),
    missing(
        "unknown service",
        "ExecuteServiceAction",
        pb.ExecuteServiceActionRequest(service="ghost", action="act"),
        Reason.SERVICE_NOT_FOUND,
    ),
    missing(
        "unknown action",
        "ExecuteServiceAction",
        pb.ExecuteServiceActionRequest(service="texts", action="whisper"),
        Reason.ACTION_NOT_FOUND,
    ),
    wrong_state(
        "inactive service",
        "ExecuteServiceAction",
        pb.ExecuteServiceActionRequest(service="idle", action="work"),
        Reason.SERVICE_INACTIVE,
    ),
]

CASES = [*START_CASES, *PAYLOAD_CASES, *ONE_CASES, *OTHERS]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_bad_request_is_refused_without_a_trace(world: World, case: Case) -> None:
    """Code, reason and every fault are as promised; nothing is stored; the next call works."""
    await check(world, case)


async def test_a_bound_is_told_as_people_write_it(world: World) -> None:
    """Not as 3.1536e+07 s."""
    request = pb.StartExecutionRequest(workflow="ghost", timeout=TOO_LONG_A_TIME)
    refusal = await refusal_of(world.wire.executions.StartExecution(request))
    assert "must be between 0.001 s and 31536000 s" in refusal.message


async def test_every_rpc_is_covered() -> None:
    """Each RPC has a row above, or beside those of the other steering ones."""
    methods = pb.DESCRIPTOR.services_by_name["ExecutionService"].methods
    assert {case.method for case in (*CASES, *REFUSALS, *MESSAGES)} == {method.name for method in methods}
