from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from google.protobuf.json_format import ParseDict

from tests.integration.client.peer import Peer
from weft.api.common.v1 import payload_pb2
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.client import Action, Client, DependencyHealth, Instance, Page, Service, ValidationError

pytestmark = pytest.mark.integration

JSON = payload_pb2.PAYLOAD_KIND_JSON
CREATED = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
STORED = ParseDict(
    {
        "id": "svc_1",
        "name": "text",
        "description": "Reads text",
        "endpoint": "grpc://127.0.0.1:9000",
        "actions": [{"name": "extract", "idempotent": True, "timeout": "2.5s"}],
        "metadata": {"team": "docs", "size": 3},
        "state": "SERVICE_STATE_ACTIVE",
        "revision": 4,
        "etag": "e4",
        "createTime": "2026-03-01T12:30:00Z",
    },
    registry_pb2.Service(),
)
STORED.actions[0].input_schema.json = b'{"type":"object","maximum":9007199254740993}'
SERVICE = Service(
    id="svc_1",
    name="text",
    description="Reads text",
    endpoint="grpc://127.0.0.1:9000",
    actions=(
        Action(
            name="extract",
            idempotent=True,
            timeout=timedelta(seconds=2.5),
            input_schema={"type": "object", "maximum": 9007199254740993},
        ),
    ),
    metadata={"team": "docs", "size": 3},
    state="ACTIVE",
    revision=4,
    etag="e4",
    create_time=CREATED,
)
INSTANCE_STORED = registry_pb2.Instance(
    id="i-1",
    service="text",
    host="127.0.0.1",
    port=9000,
    protocol=registry_pb2.PROTOCOL_HTTP,
    weight=5,
    tags=["blue"],
    metadata={"path": "/api"},
    version="1.2",
    zone="a",
    health=registry_pb2.HEALTH_STATE_WARNING,
    health_note="slow",
)
INSTANCE = Instance(
    id="i-1",
    service="text",
    host="127.0.0.1",
    port=9000,
    protocol="HTTP",
    weight=5,
    tags=("blue",),
    metadata={"path": "/api"},
    version="1.2",
    zone="a",
    health="WARNING",
    health_note="slow",
)


async def test_register_sends_the_service_and_returns_it_as_stored(weft: Client, peer: Peer) -> None:
    """Records and mappings describe actions alike; payloads are JSON text."""
    peer.on("RegisterService", pb.RegisterServiceResponse(service=STORED))

    found = await weft.registry.register(
        "text",
        description="Reads text",
        endpoint="grpc://127.0.0.1:9000",
        actions=[
            Action(name="extract", input_schema={"type": "object"}, timeout=timedelta(seconds=2)),
            {"name": "count", "output_schema": {"type": "object"}, "idempotent": True, "timeout": 0.5},
        ],
        metadata={"team": "docs"},
    )

    assert found == SERVICE
    sent = peer.last.service
    assert (sent.name, sent.description, sent.endpoint) == (
        "text",
        "Reads text",
        "grpc://127.0.0.1:9000",
    )
    assert dict(sent.metadata.items()) == {"team": "docs"}
    assert [action.name for action in sent.actions] == ["extract", "count"]
    assert sent.actions[0].input_schema.json == b'{"type":"object"}'
    assert not sent.actions[0].HasField("output_schema")
    assert sent.actions[0].timeout.ToTimedelta() == timedelta(seconds=2)
    assert sent.actions[1].output_schema.json == b'{"type":"object"}'
    assert sent.actions[1].idempotent
    assert sent.actions[1].timeout.ToTimedelta() == timedelta(seconds=0.5)
    assert peer.last.on_conflict == pb.CONFLICT_POLICY_FAIL


async def test_register_replaces_when_asked(weft: Client, peer: Peer) -> None:
    """``replace`` is the conflict policy of the contract."""
    peer.on("RegisterService", pb.RegisterServiceResponse(service=STORED))

    await weft.registry.register("text", replace=True)

    assert peer.last.on_conflict == pb.CONFLICT_POLICY_REPLACE


async def test_update_names_what_is_given(weft: Client, peer: Peer) -> None:
    """None leaves a field alone; an empty value empties it."""
    peer.on("UpdateService", pb.UpdateServiceResponse(service=STORED))

    assert await weft.registry.update("svc_1", description="", metadata={}, etag="e3") == SERVICE

    assert peer.last.service.id == "svc_1"
    assert list(peer.last.update_mask.paths) == ["description", "metadata"]
    assert peer.last.etag == "e3"
    assert str(UUID(peer.last.request_id)) == peer.last.request_id


async def test_set_state_takes_a_name_in_any_case(weft: Client, peer: Peer) -> None:
    """States are names of the contract without the prefix."""
    peer.on("SetServiceState", pb.SetServiceStateResponse(service=STORED))

    assert await weft.registry.set_state("text", "deprecated", etag="e") == SERVICE

    assert peer.last == pb.SetServiceStateRequest(
        service="text",
        state=registry_pb2.SERVICE_STATE_DEPRECATED,
        etag="e",
        request_id=peer.last.request_id,
        payload_kind=JSON,
    )


async def test_deregister(weft: Client, peer: Peer) -> None:
    """Nothing comes back."""
    peer.on("DeregisterService", pb.DeregisterServiceResponse())

    await weft.registry.deregister("text", etag="e", request_id="r")

    assert peer.last == pb.DeregisterServiceRequest(service="text", etag="e", request_id="r")


async def test_get(weft: Client, peer: Peer) -> None:
    """Schemas are asked for as JSON text, so that no number is rounded."""
    peer.on("GetService", pb.GetServiceResponse(service=STORED))

    assert await weft.registry.get("text") == SERVICE

    assert peer.last == pb.GetServiceRequest(service="text", payload_kind=JSON)


async def test_list(weft: Client, peer: Peer) -> None:
    """A page has its items, the token of the next one and the total."""
    peer.on("ListServices", pb.ListServicesResponse(services=[STORED], next_page_token="t2", total_size=9))

    page = await weft.registry.list(state="ACTIVE", page_size=1, page_token="t1", skip=2)

    assert page == Page((SERVICE,), "t2", 9)
    assert peer.last == pb.ListServicesRequest(
        state=registry_pb2.SERVICE_STATE_ACTIVE, page_size=1, page_token="t1", skip=2, payload_kind=JSON
    )


async def test_iterate_reads_every_page(weft: Client, peer: Peer) -> None:
    """The filter stays, the token moves on, and the last page ends it."""
    peer.on(
        "ListServices",
        pb.ListServicesResponse(services=[STORED, STORED], next_page_token="t2"),
        pb.ListServicesResponse(next_page_token="t3"),
        pb.ListServicesResponse(services=[STORED]),
    )

    assert [service.id async for service in weft.registry.iterate(state="INACTIVE")] == ["svc_1"] * 3

    assert [call.request.page_token for call in peer.calls] == ["", "t2", "t3"]
    assert {call.request.state for call in peer.calls} == {registry_pb2.SERVICE_STATE_INACTIVE}


@pytest.mark.parametrize(
    ("argument", "value"), [("page_size", 2**31), ("skip", 2**40), ("page_size", "ten"), ("skip", True)]
)
async def test_numbers_that_the_wire_cannot_hold_are_refused(
    weft: Client, peer: Peer, argument: str, value: object
) -> None:
    """They are faults of the input, found before calling."""
    with pytest.raises(ValidationError) as caught:
        await weft.registry.list(**{argument: value})  # type: ignore[arg-type]  # wrong on purpose

    assert [violation.field for violation in caught.value.violations] == [argument]
    assert not peer.calls


async def test_a_state_that_does_not_exist_is_refused_before_calling(weft: Client, peer: Peer) -> None:
    """The message lists the states there are."""
    with pytest.raises(ValidationError, match="'RUNNING' is none of ACTIVE, INACTIVE, DEPRECATED"):
        await weft.registry.list(state="RUNNING")
    with pytest.raises(ValidationError, match="is required"):
        await weft.registry.set_state("text", "")
    assert not peer.calls


async def test_instances(weft: Client, peer: Peer) -> None:
    """Instances of one service or of all come in pages."""
    peer.on("ListInstances", pb.ListInstancesResponse(instances=[INSTANCE_STORED], total_size=1))

    assert await weft.registry.instances("text", page_size=5) == Page((INSTANCE,), "", 1)

    assert peer.last == pb.ListInstancesRequest(service="text", page_size=5)


async def test_register_instance(weft: Client, peer: Peer) -> None:
    """Everything that balancing needs is sent."""
    peer.on("RegisterInstance", pb.RegisterInstanceResponse(instance=INSTANCE_STORED))

    found = await weft.registry.register_instance(
        "text",
        host="127.0.0.1",
        port=9000,
        instance_id="i-1",
        protocol="HTTP",
        weight=5,
        tags=("blue",),
        metadata={"path": "/api"},
        version="1.2",
        zone="a",
        ttl=timedelta(seconds=12),
    )

    assert found == INSTANCE
    expected = pb.RegisterInstanceRequest(service="text", instance=INSTANCE_STORED)
    expected.instance.ClearField("health")
    expected.instance.ClearField("health_note")
    expected.instance.ClearField("service")
    expected.instance.ttl.FromTimedelta(timedelta(seconds=12))
    assert peer.last == expected


async def test_heartbeat_returns_until_when_it_lasts(weft: Client, peer: Peer) -> None:
    """The instance says how it is and learns when to say it next."""
    answer = pb.HeartbeatResponse()
    answer.expire_time.FromDatetime(CREATED)
    peer.on("Heartbeat", answer)

    assert await weft.registry.heartbeat("i-1", "WARNING", "slow") == CREATED

    assert peer.last == pb.HeartbeatRequest(
        instance_id="i-1", health=registry_pb2.HEALTH_STATE_WARNING, health_note="slow"
    )


async def test_deregister_instance(weft: Client, peer: Peer) -> None:
    """Nothing comes back."""
    peer.on("DeregisterInstance", pb.DeregisterInstanceResponse())

    await weft.registry.deregister_instance("i-1")

    assert peer.last == pb.DeregisterInstanceRequest(instance_id="i-1")


async def test_service_health(weft: Client, peer: Peer) -> None:
    """The health of a service has every instance."""
    health = registry_pb2.ServiceHealth(
        service_id="svc_1",
        service="text",
        health=registry_pb2.HEALTH_STATUS_DEGRADED,
        instances=[INSTANCE_STORED],
        note="1 of 2",
    )
    peer.on("GetServiceHealth", pb.GetServiceHealthResponse(health=health))

    found = await weft.registry.service_health("text")

    assert (found.service_id, found.service, found.health, found.note) == (
        "svc_1",
        "text",
        "DEGRADED",
        "1 of 2",
    )
    assert found.instances == (INSTANCE,)
    assert peer.last == pb.GetServiceHealthRequest(service="text")


async def test_integration_health(weft: Client, peer: Peer) -> None:
    """The health of the whole has every dependency and service."""
    answer = ParseDict(
        {
            "health": "HEALTH_STATUS_UNHEALTHY",
            "dependencies": [
                {"name": "store", "health": "HEALTH_STATUS_UNHEALTHY", "note": "full", "latency": "0.25s"}
            ],
            "services": [{"service": "text", "health": "HEALTH_STATUS_HEALTHY"}],
            "server": {"version": "0.1.0"},
        },
        pb.GetIntegrationHealthResponse(),
    )
    peer.on("GetIntegrationHealth", answer)

    found = await weft.registry.integration_health()

    assert found.health == "UNHEALTHY"
    assert found.dependencies == (
        DependencyHealth(name="store", health="UNHEALTHY", note="full", latency=timedelta(seconds=0.25)),
    )
    assert [service.health for service in found.services] == ["HEALTHY"]
    assert found.server == {"version": "0.1.0"}
