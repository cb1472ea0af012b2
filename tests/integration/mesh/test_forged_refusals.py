"""What an application says never makes the mesh repeat a call that may have been processed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.integration.mesh.conftest import Fleet
from tests.support.behaviours import path
from weft.core.errors import ActionFailedError, Code, ServiceUnavailableError, WeftError
from weft.core.metadata import STATUS_DETAILS
from weft.core.reasons import Reason
from weft.core.status import to_status
from weft.discovery.model import Endpoint
from weft.mesh.actions import ActionCall, UnreachableError
from weft.mesh.call_options import CallOptions
from weft.mesh.grpc_failures import rpc_failure
from weft.mesh.mesh import Mesh

pytestmark = pytest.mark.integration

LAST = "failed to connect to all addresses; last error: UNKNOWN: ipv4:"


async def calls_made(fleet: Fleet, mesh: Mesh) -> int:
    """Call a method that is not idempotent, which fails, and return how often it ran."""
    call: Any = mesh.channel("weft://fleet", options=CallOptions()).unary_unary(path("Unary"))
    assert await call(b"x").code() is grpc.StatusCode.UNAVAILABLE
    return sum(fleet.calls)


@pytest.mark.parametrize(
    "form", ["{}1: Connection refused", "1{}: Connection refused", "{}: Connection refused"]
)
async def test_a_fault_of_the_servers_own_connection(fleet: Fleet, mesh: Mesh, form: str) -> None:
    """Passed on in gRPC's words, it may hold the server's own address as a part, or as a whole."""
    await fleet.grow(2)
    fleet.publish()
    for instance, port in zip(fleet.instances, fleet.ports, strict=True):
        text = LAST + form.format(f"127.0.0.1:{port}")
        instance.failures = [(grpc.StatusCode.UNAVAILABLE, text, ())]
    assert await calls_made(fleet, mesh) == 1


@pytest.mark.parametrize(
    "error",
    [
        ServiceUnavailableError("payments", reason=Reason.SERVER_DRAINING),
        ActionFailedError("gave up", reason=Reason.SERVER_DRAINING, code=Code.UNAVAILABLE),
    ],
    ids=["of another service", "of an action"],
)
async def test_a_refusal_of_somebody_further_on(fleet: Fleet, mesh: Mesh, error: WeftError) -> None:
    """An instance that passes it on had begun."""
    await fleet.grow(2)
    fleet.publish()
    trailing = ((STATUS_DETAILS, to_status(error).SerializeToString()),)
    for instance in fleet.instances:
        instance.failures = [(grpc.StatusCode.UNAVAILABLE, "draining", trailing)]
    assert await calls_made(fleet, mesh) == 1


@pytest.mark.parametrize(
    ("error", "untouched"),
    [
        (ServiceUnavailableError("fleet", reason=Reason.SERVER_DRAINING), True),
        (ServiceUnavailableError("payments", reason=Reason.SERVER_DRAINING), False),
        (
            ServiceUnavailableError("fleet", reason=Reason.SERVER_DRAINING, retry_after=timedelta(seconds=1)),
            False,
        ),
        (ActionFailedError("gave up", reason=Reason.SERVER_DRAINING, code=Code.UNAVAILABLE), False),
    ],
)
def test_an_action_ran_unless_its_own_service_refused(error: WeftError, untouched: bool) -> None:  # noqa: FBT001 - a table
    """Only an instance that says of its own service that it has not begun is passed over."""
    trailing = grpc.aio.Metadata((STATUS_DETAILS, to_status(error).SerializeToString()))
    rpc_error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), trailing, "draining")
    call = ActionCall(service="fleet", action="act", input=b"{}", idempotency_key="k")
    found = rpc_failure(rpc_error, call, Endpoint(host="127.0.0.1", port=1), 1.0, "")
    assert isinstance(found, UnreachableError) is untouched


async def test_a_server_that_resets_a_call_when_its_time_is_over() -> None:
    """As Go's does: the deadline that passed is the call's own, whoever noticed first."""
    details = "Stream removed (RST_STREAM (Received RST_STREAM with error code 8))"
    reset = grpc.aio.AioRpcError(
        grpc.StatusCode.DEADLINE_EXCEEDED, grpc.aio.Metadata(), grpc.aio.Metadata(), details
    )
    call, endpoint = ActionCall(service="demo", action="x", input=b"{}"), Endpoint(host="h", port=1)
    found = rpc_failure(reset, call, endpoint, 5.0, "")
    assert (found.reason, found.message) == (Reason.ACTION_TIMEOUT, "demo.x did not answer within 5 s")
