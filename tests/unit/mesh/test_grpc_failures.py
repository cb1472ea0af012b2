"""What a failed RPC to a provider means."""

from __future__ import annotations

from datetime import timedelta

import grpc
import grpc.aio
import pytest
from google.protobuf import duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from weft.core.errors import ActionFailedError, Code, Violation, WeftError
from weft.core.metadata import STATUS_DETAILS
from weft.core.reasons import ACTION_DOMAIN, Reason
from weft.core.status import to_status
from weft.discovery.model import Endpoint
from weft.mesh.actions import ActionCall
from weft.mesh.grpc_failures import rpc_failure, status_failure

CALL = ActionCall(service="shop", action="buy", input=b"{}")
ENDPOINT = Endpoint(host="127.0.0.1", port=1)
FAULTS = (Violation("amount", "is odd", "ODD"),)


@pytest.mark.parametrize("code", [Code.INTERNAL, Code.UNKNOWN, Code.RESOURCE_EXHAUSTED])
def test_what_an_action_says_beside_its_reason_is_kept(code: Code) -> None:
    """Faults and the time to wait for come along, also where the code would look like a defect of ours."""
    said = ActionFailedError(
        "later", reason="BUSY", code=code, violations=FAULTS, retry_after=timedelta(seconds=9)
    )
    error = status_failure(to_status(said), CALL, ENDPOINT, 1.0)
    assert isinstance(error, ActionFailedError)
    assert error.code is (code if code is Code.RESOURCE_EXHAUSTED else Code.ABORTED)
    assert (error.reason, error.retry_after) == ("BUSY", timedelta(seconds=9))
    assert tuple(error.violations) == FAULTS


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (58.0, "shop.buy at 127.0.0.1:1 failed: CallOptions deadline exceeded after 0.69s"),
        (0.001, "shop.buy did not answer within 60 s"),
    ],
    ids=["early", "in the end"],
)
def test_a_deadline_of_the_providers_own_is_not_taken_for_the_calls(left: float, message: str) -> None:
    """A provider that passes on what it was told itself, in Java's words here, did answer."""
    passed_on = grpc.aio.AioRpcError(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(),
        "CallOptions deadline exceeded after 0.69s",
    )
    error = rpc_failure(passed_on, CALL, ENDPOINT, 60.0, "", left=left)
    assert (error.reason, error.message) == (Reason.ACTION_TIMEOUT, message)


MEANT = [
    Code.ABORTED,
    Code.FAILED_PRECONDITION,
    Code.RESOURCE_EXHAUSTED,
    Code.NOT_FOUND,
    Code.ALREADY_EXISTS,
    Code.OUT_OF_RANGE,
    Code.DATA_LOSS,
]


def failed(code: Code, *details: Message, over_a_stream: bool) -> WeftError:
    """Return what becomes of a status with these details, however the action was called."""
    status = status_pb2.Status(code=code, message="no")
    for detail in details:
        status.details.add().Pack(detail)
    if over_a_stream:
        return status_failure(status, CALL, ENDPOINT, 1.0)
    trailing = grpc.aio.Metadata((STATUS_DETAILS, status.SerializeToString()))
    return rpc_failure(
        grpc.aio.AioRpcError(grpc.StatusCode[code.name], grpc.aio.Metadata(), trailing, "no"),
        CALL,
        ENDPOINT,
        1.0,
        "",
    )


@pytest.mark.parametrize("over_a_stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("code", MEANT)
def test_details_without_a_reason_have_none_of_ours(code: Code, *, over_a_stream: bool) -> None:
    """ABORTED of a provider does not mean an old etag, nor FAILED_PRECONDITION an inactive service."""
    wait = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=2))
    faults = error_details_pb2.BadRequest()
    faults.field_violations.add(field="amount", description="is odd", reason="ODD")
    for info in ((), (error_details_pb2.ErrorInfo(domain="shop.example"),)):
        error = failed(code, wait, faults, *info, over_a_stream=over_a_stream)
        assert (error.code, error.reason, error.domain) == (code, Reason.ACTION_FAILED, ACTION_DOMAIN)
        assert (error.retry_after, tuple(error.violations)) == (timedelta(seconds=2), FAULTS)


@pytest.mark.parametrize("over_a_stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("seconds", [2**63 - 1, -(2**63)])
def test_a_time_to_wait_that_is_none_takes_nothing_else_along(seconds: int, *, over_a_stream: bool) -> None:
    """A provider that writes Long.MAX_VALUE has said its reason all the same."""
    wait = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=seconds))
    why = error_details_pb2.ErrorInfo(reason="BUSY", metadata={"who": "me"})
    error = failed(Code.ABORTED, wait, why, over_a_stream=over_a_stream)
    assert (error.reason, error.domain, error.retry_after) == ("BUSY", ACTION_DOMAIN, None)
    assert error.metadata["who"] == "me"


@pytest.mark.parametrize("over_a_stream", [False, True], ids=["unary", "stream"])
def test_a_time_that_is_over_is_not_waited_for(*, over_a_stream: bool) -> None:
    """What a provider has reckoned from clocks that differ is handed to nobody as a negative time."""
    wait = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=-5))
    why = error_details_pb2.ErrorInfo(reason="BUSY")
    error = failed(Code.ABORTED, wait, why, over_a_stream=over_a_stream)
    assert (error.reason, error.retry_after) == ("BUSY", timedelta(0))


@pytest.mark.parametrize("over_a_stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.UNAVAILABLE, (Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE)),
        (Code.CANCELLED, (Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE)),
        (Code.DEADLINE_EXCEEDED, (Code.DEADLINE_EXCEEDED, Reason.ACTION_TIMEOUT)),
        (Code.INVALID_ARGUMENT, (Code.INVALID_ARGUMENT, Reason.ACTION_FAILED)),
    ],
)
def test_details_without_a_reason_do_not_change_what_a_code_means(
    code: Code, kind: tuple[Code, Reason], *, over_a_stream: bool
) -> None:
    """One that says UNAVAILABLE and when to come back may have begun, as one that says only UNAVAILABLE."""
    wait = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=2))
    error = failed(code, wait, over_a_stream=over_a_stream)
    assert (error.code, error.reason) == kind
    assert error.retry_after == (None if code is Code.INVALID_ARGUMENT else timedelta(seconds=2))
    assert (error.message, error.metadata["service"]) == ("no", "shop")
