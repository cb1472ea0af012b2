"""Errors at rest back to the errors they were."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

from weft.client.records import Execution, Failure
from weft.core.errors import Code, WeftError
from weft.core.reasons import DOMAIN, Reason
from weft.core.status import from_status


def error_from_failure(failure: Failure) -> WeftError:
    """Rebuild the error that an RPC failing this way would raise."""
    status = status_pb2.Status(code=int(failure.code), message=failure.message)
    info = error_details_pb2.ErrorInfo(
        reason=failure.reason, domain=failure.domain or DOMAIN, metadata=failure.metadata
    )
    faults = error_details_pb2.BadRequest()
    for fault in failure.violations:
        faults.field_violations.add(field=fault.field, description=fault.description, reason=fault.reason)
    for detail in (info, faults):
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    return from_status(status)


def error_from_execution(execution: Execution) -> WeftError:
    """Return why an execution has no result; its ``metadata`` names the ``execution_id``."""
    unknown = Failure(
        reason=Reason.UNEXPECTED_STATUS,
        message=f"execution {execution.id} is {execution.state or 'in no known state'}",
        code=Code.UNKNOWN,
    )
    error = error_from_failure(execution.failure or unknown)
    error.metadata["execution_id"] = execution.id
    return error
