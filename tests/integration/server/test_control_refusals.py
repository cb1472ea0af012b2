"""What steers executions, and what attempts report, is refused: clearly, and with every fault at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from tests.support.refusals import Case, check, faulty, missing, wrong_state
from tests.support.wire import payload, raw_json
from tests.support.world import World
from weft.api.common.v1 import failure_pb2
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.core.reasons import Reason, Rule

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

GHOST = "exe_" + "0" * 26
TOKEN = f"{GHOST}/a/1"
LONG = "x" * 1_025

STEERING: dict[str, Any] = {
    "PauseExecution": pb.PauseExecutionRequest,
    "ResumeExecution": pb.ResumeExecutionRequest,
    "ResolveIncident": pb.ResolveIncidentRequest,
}


def of_ended(make: Any) -> Callable[[World], Message]:
    return lambda world: make(execution_id=world.ended)


def of_its_attempt(make: Any, **more: Any) -> Callable[[World], Message]:
    return lambda world: make(attempt_token=f"{world.ended}/shout/1", **more)


REFUSALS = [
    *(
        case
        for method, make in STEERING.items()
        for case in (
            faulty("nothing is named", method, make(), ("execution_id", Rule.REQUIRED)),
            missing("no such execution", method, make(execution_id=GHOST), Reason.EXECUTION_NOT_FOUND),
            missing("no such key", method, make(execution_id="order-7"), Reason.EXECUTION_NOT_FOUND),
            wrong_state(
                "it has ended",
                method,
                of_ended(make),
                Reason.EXECUTION_ENDED,
            ),
        )
    ),
    faulty(
        "two faults",
        "PauseExecution",
        pb.PauseExecutionRequest(execution_id="x" * 129, reason=LONG),
        ("execution_id", Rule.TOO_LONG),
        ("reason", Rule.TOO_LONG),
    ),
    faulty(
        "an input together with FAIL, and more",
        "ResolveIncident",
        pb.ResolveIncidentRequest(
            resolution=execution_pb2.INCIDENT_RESOLUTION_FAIL, input=raw_json(b"{}"), note=LONG
        ),
        ("execution_id", Rule.REQUIRED),
        ("note", Rule.TOO_LONG),
        ("input", Rule.INVALID),
    ),
    faulty(
        "an input that is none",
        "ResolveIncident",
        pb.ResolveIncidentRequest(execution_id=GHOST, input=raw_json(b"[]")),
        ("input", Rule.PAYLOAD_INVALID),
    ),
    faulty(
        "several faults",
        "RerunExecution",
        pb.RerunExecutionRequest(
            from_step="x" * 1_025, version=-1, input=raw_json(b"7"), request_id="x" * 129
        ),
        ("execution_id", Rule.REQUIRED),
        ("from_step", Rule.TOO_LONG),
        ("version", Rule.OUT_OF_RANGE),
        ("input", Rule.PAYLOAD_INVALID),
        ("request_id", Rule.TOO_LONG),
    ),
    missing(
        "no such execution",
        "RerunExecution",
        pb.RerunExecutionRequest(execution_id=GHOST),
        Reason.EXECUTION_NOT_FOUND,
    ),
    missing(
        "no such version",
        "RerunExecution",
        lambda world: pb.RerunExecutionRequest(execution_id=world.ended, version=9),
        Reason.WORKFLOW_VERSION_NOT_FOUND,
    ),
    faulty(
        "no such step",
        "RerunExecution",
        lambda world: pb.RerunExecutionRequest(execution_id=world.ended, from_step="whisper"),
        ("from_step", Rule.STEP_UNKNOWN),
    ),
    faulty(
        "a step that undid another one",
        "RerunExecution",
        lambda world: pb.RerunExecutionRequest(execution_id=world.ended, from_step=f"undo/{'x' * 70}"),
        ("from_step", Rule.STEP_UNKNOWN),
    ),
    faulty(
        "an input that the schema refuses",
        "RerunExecution",
        lambda world: pb.RerunExecutionRequest(execution_id=world.ended, input=raw_json(b'{"text": 5}')),
        ("input.text", Rule.SCHEMA_MISMATCH),
    ),
    faulty(
        "no token",
        "HeartbeatAttempt",
        pb.HeartbeatAttemptRequest(details=raw_json(b"[]")),
        ("attempt_token", Rule.REQUIRED),
        ("details", Rule.PAYLOAD_INVALID),
    ),
    *(
        faulty(
            f"a token that nobody gave out: {token[:20]}",
            "HeartbeatAttempt",
            pb.HeartbeatAttemptRequest(attempt_token=token),
            ("attempt_token", Rule.TOO_LONG if len(token) > 256 else Rule.INVALID),
        )
        for token in ("a", "a/b/1", f"{GHOST}/a/x", f"{GHOST}/a/-1", f"{GHOST}/a/1/1", "x" * 257)
    ),
    faulty(
        "details that are too large",
        "HeartbeatAttempt",
        pb.HeartbeatAttemptRequest(attempt_token=TOKEN, details=payload({"a": "x" * 65_536})),
        ("details", Rule.INVALID),
    ),
    missing(
        "of no execution",
        "HeartbeatAttempt",
        pb.HeartbeatAttemptRequest(attempt_token=TOKEN),
        Reason.EXECUTION_NOT_FOUND,
    ),
    faulty(
        "without anything",
        "CompleteAttempt",
        pb.CompleteAttemptRequest(),
        ("attempt_token", Rule.REQUIRED),
        ("outcome", Rule.REQUIRED),
    ),
    faulty(
        "an output that is none",
        "CompleteAttempt",
        pb.CompleteAttemptRequest(attempt_token=TOKEN, output=raw_json(b"null")),
        ("output", Rule.PAYLOAD_INVALID),
    ),
    faulty(
        "a failure with faults",
        "CompleteAttempt",
        pb.CompleteAttemptRequest(
            attempt_token=TOKEN,
            failure=failure_pb2.Failure(
                reason="x" * 257, message="x" * 8_193, code=77, metadata={f"k{n}": "" for n in range(65)}
            ),
        ),
        ("failure.reason", Rule.TOO_LONG),
        ("failure.message", Rule.TOO_LONG),
        ("failure.metadata", Rule.TOO_MANY),
        ("failure.code", Rule.OUT_OF_RANGE),
    ),
    missing(
        "of no execution",
        "CompleteAttempt",
        pb.CompleteAttemptRequest(attempt_token=TOKEN, output=raw_json(b"{}")),
        Reason.EXECUTION_NOT_FOUND,
    ),
    *(
        wrong_state(
            "the execution has ended",
            method,
            of_its_attempt(make, **more),
            Reason.ATTEMPT_STALE,
        )
        for method, make, more in (
            ("HeartbeatAttempt", pb.HeartbeatAttemptRequest, {}),
            ("CompleteAttempt", pb.CompleteAttemptRequest, {"output": raw_json(b'{"text": "A"}')}),
            ("CompleteAttempt", pb.CompleteAttemptRequest, {"failure": failure_pb2.Failure(reason="NO")}),
        )
    ),
    faulty(
        "keys and policies with faults",
        "StartExecution",
        pb.StartExecutionRequest(
            workflow="shouting",
            input=payload({"text": ""}),
            execution_key="with space",
            key_reuse_policy=9,  # type: ignore[arg-type]  # the point
        ),
        ("execution_key", Rule.INVALID),
        ("key_reuse_policy", Rule.INVALID),
    ),
]


@pytest.mark.parametrize("case", REFUSALS, ids=str)
async def test_refusals(world: World, case: Case) -> None:
    """Refused as promised, with every fault at once; nothing is stored, and nobody else notices."""
    await check(world, case)
