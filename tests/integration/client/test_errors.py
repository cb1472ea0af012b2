from __future__ import annotations

import grpc
import pytest

from tests.integration.client.peer import Peer
from weft.client import (
    ActionFailedError,
    AlreadyExistsError,
    Client,
    Code,
    ConflictError,
    ExhaustedError,
    InternalError,
    MaxRetriesExceededError,
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
    UnexpectedStatusError,
    ValidationError,
    Violation,
    WeftError,
    connect,
)
from weft.core.reasons import Reason

pytestmark = pytest.mark.integration

RAISED: list[WeftError] = [
    ValidationError([Violation("name", "is required", "REQUIRED"), Violation("steps[1].next", "is unknown")]),
    ResourceNotFoundError("workflow", "docs"),
    AlreadyExistsError("taken", reason=Reason.WORKFLOW_EXISTS, metadata={"name": "docs"}),
    PreconditionError("not active", reason=Reason.WORKFLOW_INACTIVE),
    ConflictError("changed", metadata={"etag": "e"}),
    ExhaustedError("full", reason=Reason.STORE_FULL),
    InternalError("a defect"),
    ActionFailedError("no such customer", reason="CUSTOMER_UNKNOWN", code=Code.NOT_FOUND),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
async def test_the_client_raises_what_the_server_raised(weft: Client, peer: Peer, error: WeftError) -> None:
    """Class, code, reason, message, metadata and every violation arrive."""
    peer.on("CreateWorkflow", error)

    with pytest.raises(WeftError) as caught:
        await weft.workflows.create("docs", [])

    found = caught.value
    assert type(found) is type(error)
    assert (found.code, found.reason, found.message) == (error.code, error.reason, error.message)
    assert found.metadata == error.metadata
    assert found.violations == error.violations


async def test_a_bare_status_keeps_its_code(weft: Client, peer: Peer) -> None:
    """A peer that is not Weft is reported as what it said."""
    peer.on("GetWorkflow", grpc.StatusCode.UNIMPLEMENTED)

    with pytest.raises(UnexpectedStatusError, match="scripted") as caught:
        await weft.workflows.get("docs")

    assert caught.value.code is Code.UNIMPLEMENTED


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    """Nobody listens: the error says so after the retries, and keeps the last failure."""
    peer = Peer()
    await peer.start()
    await peer.stop()
    async with connect(peer.target) as weft:
        with pytest.raises(ServiceUnavailableError) as caught:
            await weft.executions.call("text", "extract")
    assert caught.value.service_name == "weft"
    assert not isinstance(caught.value, MaxRetriesExceededError)
