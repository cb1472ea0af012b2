"""The RPCs that bring something to executions from outside: messages, decisions; and what would be undone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from weft.api.execution.v1 import execution_pb2, execution_service_pb2_grpc
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.core.errors import ValidationError
from weft.core.names import STEP_ID, check_name, new_id
from weft.core.payload import from_payload
from weft.core.reasons import Rule
from weft.server.execution.engine.dispatch import rewrite
from weft.server.execution.history.paths import is_path
from weft.server.execution.interactions import PlannedUndo
from weft.server.execution.orders.messages import Decide, SendSignal
from weft.server.execution.service import ExecutionService
from weft.server.execution.starting.start_commands import StartCommand
from weft.server.execution.wire import convert
from weft.server.execution.wire.start_request import read_start
from weft.server.protos import enum_to_proto
from weft.server.requests import Faults, require_ref

__all__ = ["MessagesServicer"]

_MAX_TEXT: Final = 256
_MAX_COMMENT: Final = 4_096
_MAX_ID: Final = 128


class MessagesServicer(execution_service_pb2_grpc.ExecutionServiceServicer):
    """Serves what comes from outside.

    Args:
        executions: Their use cases.
    """

    def __init__(self, executions: ExecutionService) -> None:
        self._executions = executions

    async def SignalExecution(
        self, request: pb.SignalExecutionRequest, context: object
    ) -> pb.SignalExecutionResponse:
        """Bring a message."""
        faults = Faults(request)
        faults.ref("execution_id", request.execution_id)
        signal = _read_signal(request, "", faults)
        faults.raise_any()
        execution = await self._executions.order(request.execution_id, signal)
        return pb.SignalExecutionResponse(execution=convert.execution_to_proto(execution))

    async def SignalWithStart(
        self, request: pb.SignalWithStartRequest, context: object
    ) -> pb.SignalWithStartResponse:
        """Start an execution, or find it, and bring it a message."""
        faults = Faults(request)
        faults.required("start.execution_key", request.start.execution_key)
        signal = _read_signal(request.signal, "signal.", faults)
        start = _read_start(request.start, faults)
        interactions = self._executions.interactions
        execution, started = await interactions.signal_with_start(start, signal)
        return pb.SignalWithStartResponse(execution=convert.execution_to_proto(execution), started=started)

    async def DecideApproval(
        self, request: pb.DecideApprovalRequest, context: object
    ) -> pb.DecideApprovalResponse:
        """Decide an approval."""
        faults = Faults(request)
        faults.ref("execution_id", request.execution_id)
        if request.step_id and not is_path(request.step_id):
            faults.add("step_id", "is no path of a step", Rule.INVALID)
        faults.required("outcome", request.outcome)
        faults.text("outcome", request.outcome, _MAX_TEXT)
        faults.text("comment", request.comment, _MAX_COMMENT)
        faults.text("decided_by", request.decided_by, _MAX_TEXT)
        data = _object(request, "data", "data", faults)
        faults.raise_any()
        decision = Decide(
            execution_id="",
            step_id=request.step_id,
            outcome=request.outcome,
            comment=request.comment,
            decided_by=request.decided_by,
            time="",
            data=data,
        )
        execution = await self._executions.interactions.decide(request.execution_id, decision)
        return pb.DecideApprovalResponse(execution=convert.execution_to_proto(execution))

    async def GetCompensationPlan(
        self, request: pb.GetCompensationPlanRequest, context: object
    ) -> pb.GetCompensationPlanResponse:
        """Tell what would be undone, and by what."""
        require_ref(request, "execution_id")
        plan = await self._executions.interactions.compensation_plan(request.execution_id)
        return pb.GetCompensationPlanResponse(compensations=[_undo_to_proto(undo) for undo in plan])


def _undo_to_proto(undo: PlannedUndo) -> pb.PlannedCompensation:
    message = pb.PlannedCompensation(
        step_id=undo.step_id, service=undo.service, action=undo.action, child_execution_id=undo.child
    )
    if undo.state is not None:
        message.state = enum_to_proto(execution_pb2.StepState, "STEP_STATE", undo.state)
    return message


def _read_start(request: pb.StartExecutionRequest, faults: Faults) -> StartCommand:
    """Read the start of a request that has one, and raise all that is wrong with either.

    Raises:
        ValidationError: Something is.
    """
    try:
        start = read_start(request, "SignalWithStart")
    except ValidationError as error:
        faults.extend([replace(it, field=f"start.{it.field}") for it in error.violations])
        faults.raise_any()
        raise
    faults.raise_any()
    return start


def _read_signal(request: pb.SignalExecutionRequest, path: str, faults: Faults) -> SendSignal:
    faults.extend(check_name(f"{path}name", request.name, STEP_ID))
    faults.text(f"{path}correlation", request.correlation, _MAX_TEXT)
    faults.text(f"{path}signal_id", request.signal_id, _MAX_ID)
    return SendSignal(
        execution_id="",
        signal_id=request.signal_id or new_id("sig"),
        name=request.name,
        correlation=request.correlation,
        payload=_object(request, "payload", f"{path}payload", faults),
    )


def _object(request: Any, field: str, path: str, faults: Faults) -> bytes:
    if not request.HasField(field):
        return b"{}"
    try:
        return rewrite(from_payload(getattr(request, field), path), path)
    except ValidationError as error:
        faults.extend(error.violations)
        return b"{}"
