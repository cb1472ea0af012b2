"""What a failed RPC to a provider means."""

from __future__ import annotations

from datetime import timedelta

import grpc
import grpc.aio
import pytest

from weft.core.errors import ActionFailedError, Code, Violation
from weft.core.reasons import Reason
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
