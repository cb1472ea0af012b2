from __future__ import annotations

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tests.integration.client.peer import Peer
from weft.client import Client, WeftError

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("status", ["SERVING", "NOT_SERVING"])
async def test_check_returns_the_status_by_name(weft: Client, peer: Peer, status: str) -> None:
    """The standard health check answers for a service, or for the whole."""
    number = health_pb2.HealthCheckResponse.ServingStatus.Value(status)
    peer.on("Check", health_pb2.HealthCheckResponse(status=number))

    assert await weft.health.check("weft.api.registry.v1.RegistryService") == status

    assert peer.last.service == "weft.api.registry.v1.RegistryService"


async def test_a_service_that_the_server_does_not_have_is_unknown(weft: Client, peer: Peer) -> None:
    """The protocol says it with NOT_FOUND; a caller wants a status."""
    peer.on("Check", grpc.StatusCode.NOT_FOUND)

    assert await weft.health.check("no.such.Service") == "SERVICE_UNKNOWN"


async def test_any_other_failure_is_raised(weft: Client, peer: Peer) -> None:
    """A check that could not be made is no status."""
    peer.on("Check", grpc.StatusCode.INTERNAL)

    with pytest.raises(WeftError, match="scripted"):
        await weft.health.check()
