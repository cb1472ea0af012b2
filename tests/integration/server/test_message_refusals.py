"""What comes to executions from outside is refused: clearly, and with every fault at once."""

from __future__ import annotations

import pytest

from tests.integration.server.test_control_refusals import GHOST
from tests.support.refusals import Case, check, faulty, missing, wrong_state
from tests.support.wire import raw_json
from tests.support.world import World
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.core.reasons import Reason, Rule

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

LONG = "x" * 257

MESSAGES = [
    faulty(
        "nothing is said",
        "SignalExecution",
        pb.SignalExecutionRequest(),
        ("execution_id", Rule.REQUIRED),
        ("name", Rule.REQUIRED),
    ),
    faulty(
        "everything is wrong",
        "SignalExecution",
        pb.SignalExecutionRequest(
            execution_id=GHOST, name="7", correlation=LONG, signal_id="x" * 129, payload=raw_json(b"[]")
        ),
        ("name", Rule.INVALID),
        ("correlation", Rule.TOO_LONG),
        ("signal_id", Rule.TOO_LONG),
        ("payload", Rule.PAYLOAD_INVALID),
    ),
    missing(
        "no such execution",
        "SignalExecution",
        pb.SignalExecutionRequest(execution_id=GHOST, name="paid"),
        Reason.EXECUTION_NOT_FOUND,
    ),
    wrong_state(
        "it has ended",
        "SignalExecution",
        lambda world: pb.SignalExecutionRequest(execution_id=world.ended, name="paid"),
        Reason.EXECUTION_ENDED,
    ),
    faulty(
        "no key and no name",
        "SignalWithStart",
        pb.SignalWithStartRequest(),
        ("start.execution_key", Rule.REQUIRED),
        ("signal.name", Rule.REQUIRED),
        ("start.workflow", Rule.REQUIRED),
    ),
    faulty(
        "a start that is wrong",
        "SignalWithStart",
        pb.SignalWithStartRequest(
            start=pb.StartExecutionRequest(
                workflow="w", version=-1, execution_key="a b", input=raw_json(b"7"), request_id="x" * 129
            ),
            signal=pb.SignalExecutionRequest(name="go"),
        ),
        ("start.version", Rule.OUT_OF_RANGE),
        ("start.input", Rule.PAYLOAD_INVALID),
        ("start.request_id", Rule.TOO_LONG),
        ("start.execution_key", Rule.INVALID),
    ),
    faulty(
        "everything is wrong",
        "DecideApproval",
        pb.DecideApprovalRequest(step_id="a//b", comment="x" * 4_097, decided_by=LONG, data=raw_json(b"7")),
        ("execution_id", Rule.REQUIRED),
        ("step_id", Rule.INVALID),
        ("outcome", Rule.REQUIRED),
        ("comment", Rule.TOO_LONG),
        ("decided_by", Rule.TOO_LONG),
        ("data", Rule.PAYLOAD_INVALID),
    ),
    wrong_state(
        "it has ended",
        "DecideApproval",
        lambda world: pb.DecideApprovalRequest(execution_id=world.ended, step_id="a", outcome="approved"),
        Reason.EXECUTION_ENDED,
    ),
    faulty(
        "nothing is named",
        "GetCompensationPlan",
        pb.GetCompensationPlanRequest(),
        ("execution_id", Rule.REQUIRED),
    ),
    missing(
        "no such execution",
        "GetCompensationPlan",
        pb.GetCompensationPlanRequest(execution_id=GHOST),
        Reason.EXECUTION_NOT_FOUND,
    ),
]


@pytest.mark.parametrize("case", MESSAGES, ids=str)
async def test_refusals(world: World, case: Case) -> None:
    """Refused as promised, with every fault at once; nothing is stored, and nobody else notices."""
    await check(world, case)
