"""The RPCs that steer executions, and those by which actions report: messages to use cases and back."""

from __future__ import annotations

from typing import Any, Final

import orjson

from weft.api.common.v1 import failure_pb2, payload_pb2
from weft.api.execution.v1 import execution_pb2, execution_service_pb2_grpc
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.core.errors import ActionFailedError, Code, ValidationError, Violation
from weft.core.payload import from_payload
from weft.core.reasons import Rule
from weft.server.execution.engine.dispatch import rewrite
from weft.server.execution.history.model import Resolution
from weft.server.execution.history.paths import LONGEST_PATH, is_path
from weft.server.execution.orders.attempts import AttemptToken
from weft.server.execution.orders.orders import Order, Pause, Resolve, Resume
from weft.server.execution.service import ExecutionService, RerunCommand
from weft.server.execution.wire import convert
from weft.server.protos import enum_from_proto
from weft.server.requests import Faults, request_key

__all__ = ["ControlServicer", "read_failure"]

_RERUN: Final = "weft.api.execution.v1.ExecutionService/RerunExecution"
_MAX_REASON: Final = 1_024
_MAX_TOKEN: Final = 256
_MAX_DETAILS: Final = 64 * 1024
_MAX_FAILURE: Final = 8_192
_MAX_VALUES: Final = 64


class ControlServicer(execution_service_pb2_grpc.ExecutionServiceServicer):
    """Serves what steers executions.

    Args:
        executions: Their use cases.
    """

    def __init__(self, executions: ExecutionService) -> None:
        self._executions = executions

    async def PauseExecution(
        self, request: pb.PauseExecutionRequest, context: object
    ) -> pb.PauseExecutionResponse:
        """Let an execution dispatch no further step."""
        _check(request)
        order = Pause(execution_id="", reason=request.reason)
        return pb.PauseExecutionResponse(execution=await self._order(request.execution_id, order))

    async def ResumeExecution(
        self, request: pb.ResumeExecutionRequest, context: object
    ) -> pb.ResumeExecutionResponse:
        """Let a paused execution go on."""
        _check(request)
        order = Resume(execution_id="", reason=request.reason)
        return pb.ResumeExecutionResponse(execution=await self._order(request.execution_id, order))

    async def ResolveIncident(
        self, request: pb.ResolveIncidentRequest, context: object
    ) -> pb.ResolveIncidentResponse:
        """Decide what becomes of a step that used up its attempts."""
        order = _read_resolve(request)
        return pb.ResolveIncidentResponse(execution=await self._order(request.execution_id, order))

    async def _order(self, ref: str, order: Order) -> execution_pb2.Execution:
        return convert.execution_to_proto(await self._executions.order(ref, order))

    async def RerunExecution(
        self, request: pb.RerunExecutionRequest, context: object
    ) -> pb.RerunExecutionResponse:
        """Run an execution that has ended anew."""
        faults = Faults(request)
        faults.ref("execution_id", request.execution_id)
        faults.text("from_step", request.from_step, LONGEST_PATH)
        if request.version < 0:
            faults.add("version", "must not be negative", Rule.OUT_OF_RANGE)
        text = _optional_object(request, "input", faults)
        key = request_key(_RERUN, request, faults)
        faults.raise_any()
        command = RerunCommand(
            execution=request.execution_id,
            from_step=request.from_step,
            version=request.version,
            text=text,
            key=key,
        )
        execution = await self._executions.rerun(command)
        return pb.RerunExecutionResponse(execution=convert.execution_to_proto(execution))

    async def HeartbeatAttempt(
        self, request: pb.HeartbeatAttemptRequest, context: object
    ) -> pb.HeartbeatAttemptResponse:
        """Take a heartbeat."""
        faults = Faults(request)
        token = _read_token(request.attempt_token, faults)
        details = _optional_object(request, "details", faults) or b""
        if len(details) > _MAX_DETAILS:
            faults.add("details", f"has {len(details):,} bytes, at most {_MAX_DETAILS:,} are allowed")
        faults.raise_any()
        stop = await self._executions.reports.heartbeat(token, details)
        return pb.HeartbeatAttemptResponse(cancel_requested=stop)

    async def CompleteAttempt(
        self, request: pb.CompleteAttemptRequest, context: object
    ) -> pb.CompleteAttemptResponse:
        """Take the outcome of an attempt that an action took on before."""
        faults = Faults(request)
        token = _read_token(request.attempt_token, faults)
        outcome = request.WhichOneof("outcome")
        if outcome is None:
            faults.add("outcome", "output or failure is required", Rule.REQUIRED)
        if outcome == "failure":
            error = read_failure(request.failure, faults)
            faults.raise_any()
            await self._executions.reports.fail(token, error)
        else:
            text = _optional_object(request, "output", faults) or b"{}"
            faults.raise_any()
            await self._executions.reports.complete(token, text)
        return pb.CompleteAttemptResponse()


def _check(request: pb.PauseExecutionRequest | pb.ResumeExecutionRequest) -> None:
    faults = Faults(request)
    faults.ref("execution_id", request.execution_id)
    faults.text("reason", request.reason, _MAX_REASON)
    faults.raise_any()


def _read_resolve(request: pb.ResolveIncidentRequest) -> Resolve:
    faults = Faults(request)
    faults.ref("execution_id", request.execution_id)
    faults.text("note", request.note, _MAX_REASON)
    if request.step_id and not is_path(request.step_id):
        faults.add("step_id", "is no path of a step", Rule.INVALID)
    text = _optional_object(request, "input", faults)
    wanted = enum_from_proto(
        execution_pb2.IncidentResolution, "INCIDENT_RESOLUTION", Resolution, request.resolution
    )
    if wanted is Resolution.FAIL and text is not None:
        faults.add("input", "a step that fails takes none")
    faults.raise_any()
    resolution = str(wanted or Resolution.RETRY)
    return Resolve(
        execution_id="", resolution=resolution, input=text, note=request.note, step_id=request.step_id
    )


def _read_token(text: str, faults: Faults) -> AttemptToken:
    faults.required("attempt_token", text)
    faults.text("attempt_token", text, _MAX_TOKEN)
    if faults.found:
        return AttemptToken("", "", 0)
    return faults.attempt(lambda: AttemptToken.read(text), AttemptToken("", "", 0))


def read_failure(message: failure_pb2.Failure, faults: Faults, path: str = "failure") -> ActionFailedError:
    """Read why an action failed."""
    faults.text(f"{path}.reason", message.reason, _MAX_TOKEN)
    faults.text(f"{path}.message", message.message, _MAX_FAILURE)
    faults.count(f"{path}.metadata", message.metadata, _MAX_VALUES)
    faults.count(f"{path}.violations", message.violations, _MAX_VALUES)
    code = Code.ABORTED
    if message.code:
        try:
            code = Code(message.code)
        except ValueError:
            faults.add(f"{path}.code", f"{message.code} is no code of an error", Rule.OUT_OF_RANGE)
    return ActionFailedError(
        message.message or "the action failed",
        reason=message.reason or None,
        code=code,
        metadata=dict(message.metadata),
        violations=[Violation(it.field, it.description, it.reason) for it in message.violations],
    )


def _optional_object(request: Any, field: str, faults: Faults) -> bytes | None:
    """Read an optional JSON object as text in one form; None when it is not set."""
    if not request.HasField(field):
        return None
    payload: payload_pb2.Payload = getattr(request, field)
    try:
        return rewrite(from_payload(payload, field), field)
    except ValidationError as error:
        faults.extend(error.violations)
        return orjson.dumps({})
