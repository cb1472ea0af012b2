"""RegistryService does what its contract says, in the kind of payload that the caller uses."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf import duration_pb2, field_mask_pb2

from tests.support.wire import JSON, KINDS, STRUCT, Wire, payload, value_in
from tests.support.world import NOBODY, registration
from weft.api.execution.v1 import execution_service_pb2
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.core.errors import Code
from weft.core.names import is_id
from weft.core.payload import PayloadKind, from_struct, to_struct
from weft.core.reasons import Reason

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
TAKES = {"type": "object", "properties": {"amount": {"type": "number", "minimum": 0.5}}}
GIVES = {"type": "object", "required": ["total"], "properties": {"total": {"type": "integer"}}}


def full(name: str, kind: PayloadKind) -> registry_pb2.Service:
    """Return a service with everything that a caller may set."""
    return registry_pb2.Service(
        name=name,
        description="*adds up*",
        endpoint=NOBODY,
        metadata=to_struct({"team": "sums", "deep": {"list": [1, 2.5, None, True]}}),
        actions=[
            registry_pb2.Action(
                name="add",
                description="Adds.",
                input_schema=payload(TAKES, kind),
                output_schema=payload(GIVES, kind),
                idempotent=True,
                timeout=duration_pb2.Duration(seconds=3, nanos=500_000_000),
            ),
            registry_pb2.Action(name="any.thing-1"),
        ],
    )


@kinds
async def test_a_service_comes_back_as_it_was_registered(wire: Wire, kind: PayloadKind) -> None:
    """What was set is stored; id, state, revision, etag and times are the server's; kinds are kept."""
    wanted = full(f"sums-{kind}", kind)
    wanted.id, wanted.revision, wanted.etag, wanted.state = (
        "mine",
        9,
        "r9",
        registry_pb2.SERVICE_STATE_INACTIVE,
    )
    response = await wire.registry.RegisterService(pb.RegisterServiceRequest(service=wanted))
    stored = response.service
    assert is_id(stored.id, "svc")
    assert (stored.state, stored.revision) == (registry_pb2.SERVICE_STATE_ACTIVE, 1)
    assert stored.etag
    assert stored.create_time == stored.update_time
    assert list(stored.actions) == list(wanted.actions)
    assert (stored.name, stored.description, stored.endpoint, stored.metadata) == (
        wanted.name, wanted.description, wanted.endpoint, wanted.metadata,
    )  # fmt: skip


@kinds
async def test_reads_answer_in_the_kind_asked_for(wire: Wire, kind: PayloadKind) -> None:
    """Get by name and by id, List and SetServiceState carry schemas as asked; unasked as Struct."""
    name = f"read-{kind}"
    other = STRUCT if kind == JSON else JSON
    await wire.registry.RegisterService(pb.RegisterServiceRequest(service=full(name, other)))
    by_name = await wire.registry.GetService(pb.GetServiceRequest(service=name, payload_kind=kind))
    by_id = await wire.registry.GetService(
        pb.GetServiceRequest(service=by_name.service.id, payload_kind=kind)
    )
    assert by_id == by_name
    listed = await wire.registry.ListServices(pb.ListServicesRequest(page_size=1_000, payload_kind=kind))
    assert by_name.service in listed.services
    moved = await wire.registry.SetServiceState(
        pb.SetServiceStateRequest(service=name, state=registry_pb2.SERVICE_STATE_ACTIVE, payload_kind=kind)
    )
    assert moved.service == by_name.service, "a repeat of the state changes nothing"
    assert value_in(by_name.service.actions[0].input_schema, kind) == TAKES
    assert value_in(by_name.service.actions[0].output_schema, kind) == GIVES
    unasked = await wire.registry.GetService(pb.GetServiceRequest(service=name))
    assert value_in(unasked.service.actions[0].input_schema, STRUCT) == TAKES


@kinds
async def test_an_update_changes_what_its_mask_names(wire: Wire, kind: PayloadKind) -> None:
    """Other fields stay; each change has a new revision and etag; the right etag passes."""
    name = f"change-{kind}"
    old = (await wire.registry.RegisterService(pb.RegisterServiceRequest(service=full(name, kind)))).service
    request = pb.UpdateServiceRequest(
        service=registry_pb2.Service(
            id=name,
            description="ignored: not in the mask",
            actions=[registry_pb2.Action(name="sub", input_schema=payload(TAKES, kind))],
        ),
        update_mask=field_mask_pb2.FieldMask(paths=["actions", "endpoint"]),
        etag=old.etag,
    )
    new = (await wire.registry.UpdateService(request)).service
    assert (new.id, new.description, new.metadata) == (old.id, old.description, old.metadata)
    assert new.endpoint == ""
    assert [action.name for action in new.actions] == ["sub"]
    assert value_in(new.actions[0].input_schema, kind) == TAKES
    assert (new.revision, new.etag != old.etag) == (old.revision + 1, True)
    assert (
        await wire.registry.GetService(pb.GetServiceRequest(service=name, payload_kind=kind))
    ).service == new


async def test_an_update_without_a_mask_changes_what_is_populated(wire: Wire) -> None:
    """Renaming frees the old name; a mask of `*` means all changeable fields, unset ones too."""
    await wire.registry.RegisterService(registration("before", "act"))
    renamed = await wire.registry.UpdateService(
        pb.UpdateServiceRequest(service=registry_pb2.Service(id="before", name="after"))
    )
    assert (renamed.service.name, renamed.service.endpoint) == ("after", NOBODY)
    gone = await wire.refusal("GetService", pb.GetServiceRequest(service="before"))
    assert gone.kind == (Code.NOT_FOUND, Reason.SERVICE_NOT_FOUND)
    emptied = await wire.registry.UpdateService(
        pb.UpdateServiceRequest(
            service=registry_pb2.Service(id="after", name="after"),
            update_mask=field_mask_pb2.FieldMask(paths=["*"]),
        )
    )
    assert (emptied.service.endpoint, len(emptied.service.actions)) == ("", 0)


async def test_registering_again_replaces_when_asked_to(wire: Wire) -> None:
    """Id and state stay; equal content changes nothing, not even the revision."""
    first = (await wire.registry.RegisterService(registration("again", "one"))).service
    await wire.registry.SetServiceState(
        pb.SetServiceStateRequest(service="again", state=registry_pb2.SERVICE_STATE_DEPRECATED)
    )
    request = registration("again", "two")
    request.on_conflict = pb.CONFLICT_POLICY_REPLACE
    second = (await wire.registry.RegisterService(request)).service
    third = (await wire.registry.RegisterService(request)).service
    assert (second.id, second.state) == (first.id, registry_pb2.SERVICE_STATE_DEPRECATED)
    assert [action.name for action in second.actions] == ["two"]
    assert third == second


async def test_an_inactive_service_takes_no_calls_until_it_is_active(wire: Wire) -> None:
    """INACTIVE: FAILED_PRECONDITION, SERVICE_INACTIVE. Back to ACTIVE: calls go out again."""
    await wire.registry.RegisterService(registration("moody", "act"))
    call = execution_service_pb2.ExecuteServiceActionRequest(service="moody", action="act")
    for state, kind in (
        ("INACTIVE", (Code.FAILED_PRECONDITION, Reason.SERVICE_INACTIVE)),
        ("ACTIVE", (Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE)),
        ("DEPRECATED", (Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE)),
    ):
        await wire.registry.SetServiceState(
            pb.SetServiceStateRequest(
                service="moody", state=registry_pb2.ServiceState.Value(f"SERVICE_STATE_{state}")
            )
        )
        refusal = await wire.refusal("ExecuteServiceAction", call)
        assert refusal.kind == kind
        assert refusal.metadata["service"] == "moody"


async def test_deregistering_takes_the_instances_along(wire: Wire) -> None:
    """The name is free, the instances are gone, and what is registered next starts empty."""
    await wire.registry.RegisterService(registration("leaving", "act"))
    await wire.registry.RegisterInstance(at("leaving", 9, id="leaving-1"))
    await wire.registry.DeregisterService(pb.DeregisterServiceRequest(service="leaving"))
    gone = await wire.refusal("Heartbeat", pb.HeartbeatRequest(instance_id="leaving-1"))
    assert gone.kind == (Code.NOT_FOUND, Reason.INSTANCE_NOT_FOUND)
    again = (await wire.registry.RegisterService(registration("leaving", "act"))).service
    assert again.revision == 1
    assert await ids_of(wire, "leaving") == []


# ---- instances


async def test_a_predecessor_does_not_deregister_its_successor(wire: Wire) -> None:
    """The token tells the registrations of one id apart; whoever has none speaks for the present one."""
    await wire.registry.RegisterService(registration("rolling", "act"))
    old = await wire.registry.RegisterInstance(at("rolling", 9, id="roll-0"))
    new = await wire.registry.RegisterInstance(at("rolling", 9, id="roll-0"))
    assert "" != old.registration_token != new.registration_token
    farewell = pb.DeregisterInstanceRequest(instance_id="roll-0", registration_token=old.registration_token)
    refusal = await wire.refusal("DeregisterInstance", farewell)
    assert refusal.kind == (Code.FAILED_PRECONDITION, Reason.INSTANCE_REPLACED)
    assert await ids_of(wire, "rolling") == ["roll-0"]
    for token in (new.registration_token, ""):
        await wire.registry.Heartbeat(pb.HeartbeatRequest(instance_id="roll-0", registration_token=token))
    farewell.registration_token = new.registration_token
    await wire.registry.DeregisterInstance(farewell)
    assert await ids_of(wire, "rolling") == []


def at(service: str, port: int, /, **values: Any) -> pb.RegisterInstanceRequest:
    instance = registry_pb2.Instance(**{"host": "127.0.0.1", "port": port, **values})
    return pb.RegisterInstanceRequest(service=service, instance=instance)


async def ids_of(wire: Wire, service: str) -> list[str]:
    listed = await wire.registry.ListInstances(pb.ListInstancesRequest(service=service))
    return [instance.id for instance in listed.instances]


async def test_an_instance_comes_back_as_it_was_registered(wire: Wire) -> None:
    """Defaults are filled in; the heartbeat interval is a third of the ttl; the same id replaces."""
    await wire.registry.RegisterService(registration("plain", "act"))
    bare = await wire.registry.RegisterInstance(at("plain", 1))
    assert is_id(bare.instance.id, "ins")
    assert (bare.instance.protocol, bare.instance.weight) == (registry_pb2.PROTOCOL_GRPC, 1)
    assert bare.instance.health == registry_pb2.HEALTH_STATE_PASSING
    assert bare.instance.ttl.seconds == 30
    assert bare.heartbeat_interval.seconds == 10
    rich = at(
        "plain", 2, id="p-1", host="::1", protocol=registry_pb2.PROTOCOL_HTTP, weight=7, tags=["a", "b"],
        metadata={"path": "/v1"}, version="1.4.2", zone="z", health=registry_pb2.HEALTH_STATE_WARNING,
        health_note="warm", ttl=duration_pb2.Duration(seconds=90), service="ignored",
    )  # fmt: skip
    stored = (await wire.registry.RegisterInstance(rich)).instance
    stored.ClearField("register_time")
    stored.ClearField("heartbeat_time")
    rich.instance.service = "plain"
    assert stored == rich.instance
    rich.instance.port = 3
    await wire.registry.RegisterInstance(rich)
    listed = await wire.registry.ListInstances(pb.ListInstancesRequest(service="plain"))
    assert {(i.id, i.port) for i in listed.instances} == {(bare.instance.id, 1), ("p-1", 3)}


async def test_instances_are_listed_by_health_and_service(wire: Wire) -> None:
    """Filters narrow the list; without any it has the instances of all services."""
    for service in ("east", "west"):
        await wire.registry.RegisterService(registration(service, "act"))
        await wire.registry.RegisterInstance(at(service, 1, id=f"{service}-1"))
    await wire.registry.Heartbeat(
        pb.HeartbeatRequest(instance_id="west-1", health=registry_pb2.HEALTH_STATE_DRAINING)
    )
    draining = await wire.registry.ListInstances(
        pb.ListInstancesRequest(health=registry_pb2.HEALTH_STATE_DRAINING)
    )
    assert [(i.id, i.service) for i in draining.instances] == [("west-1", "west")]
    assert {"east-1", "west-1"} <= set(await ids_of(wire, ""))


async def test_a_watch_tells_every_change_from_before_the_service_exists(wire: Wire) -> None:
    """The empty set at once; then the set after registration, heartbeat, and deregistration."""
    watch = wire.registry.WatchInstances(pb.WatchInstancesRequest(service="later"), timeout=20)
    seen = aiter(watch)
    versions: list[int] = []

    async def until(*wanted: tuple[str, str]) -> None:
        while True:
            answer = await anext(seen)
            versions.append(answer.version)
            names = registry_pb2.HealthState.Name
            found = [(i.id, names(i.health).removeprefix("HEALTH_STATE_")) for i in answer.instances]
            if found == list(wanted):
                return

    await until()
    await wire.registry.RegisterService(registration("later", "act"))
    await wire.registry.RegisterInstance(at("later", 1, id="l-1"))
    await until(("l-1", "PASSING"))
    await wire.registry.Heartbeat(
        pb.HeartbeatRequest(instance_id="l-1", health=registry_pb2.HEALTH_STATE_WARNING, health_note="hot")
    )
    await until(("l-1", "WARNING"))
    await wire.registry.RegisterInstance(at("later", 2, id="l-2"))
    await until(("l-1", "WARNING"), ("l-2", "PASSING"))
    await wire.registry.DeregisterInstance(pb.DeregisterInstanceRequest(instance_id="l-1"))
    await until(("l-2", "PASSING"))
    await wire.registry.DeregisterService(pb.DeregisterServiceRequest(service="later"))
    await until()
    assert versions == sorted(versions)
    watch.cancel()


async def test_a_missed_heartbeat_makes_an_instance_critical_and_the_next_one_heals_it(wire: Wire) -> None:
    """After the ttl of 1 s the watch says CRITICAL, with a note; a heartbeat says PASSING."""
    await wire.registry.RegisterService(registration("silent", "act", endpoint=""))
    ttl = duration_pb2.Duration()
    ttl.FromTimedelta(timedelta(seconds=1))
    await wire.registry.RegisterInstance(at("silent", 9, id="s-1", ttl=ttl))
    watch = aiter(wire.registry.WatchInstances(pb.WatchInstancesRequest(service="silent"), timeout=20))
    (first,) = (await anext(watch)).instances
    assert first.health == registry_pb2.HEALTH_STATE_PASSING
    async with asyncio.timeout(5):
        (missed,) = (await anext(watch)).instances
        assert (missed.health, bool(missed.health_note)) == (registry_pb2.HEALTH_STATE_CRITICAL, True)
        assert await health_of(wire, "silent") == "UNHEALTHY"
        await wire.registry.Heartbeat(pb.HeartbeatRequest(instance_id="s-1"))
        (healed,) = (await anext(watch)).instances
    assert (healed.health, healed.health_note) == (registry_pb2.HEALTH_STATE_PASSING, "")


# ---- health


async def health_of(wire: Wire, service: str) -> str:
    answer = await wire.registry.GetServiceHealth(pb.GetServiceHealthRequest(service=service))
    assert answer.health.service == service
    name = registry_pb2.HealthStatus.Name(answer.health.health).removeprefix("HEALTH_STATUS_")
    assert bool(answer.health.note) == (name != "HEALTHY")
    return name


@pytest.mark.parametrize(
    ("states", "health"),
    [
        ((), "UNHEALTHY"),
        (("PASSING",), "HEALTHY"),
        (("PASSING", "CRITICAL"), "DEGRADED"),
        (("WARNING",), "DEGRADED"),
        (("CRITICAL",), "UNHEALTHY"),
        (("DRAINING",), "UNHEALTHY"),
    ],
    ids=str,
)
async def test_the_health_of_a_service_follows_from_its_instances(
    wire: Wire, states: tuple[str, ...], health: str
) -> None:
    """HEALTHY: one passes and none is critical. DEGRADED: one can be called. UNHEALTHY: none."""
    name = "-".join(("well", *states)).lower()
    await wire.registry.RegisterService(registration(name, "act", endpoint=""))
    for number, state in enumerate(states):
        health_state = registry_pb2.HealthState.Value(f"HEALTH_STATE_{state}")
        await wire.registry.RegisterInstance(at(name, 9, id=f"{name}-{number}", health=health_state))
    assert await health_of(wire, name) == health
    whole = await wire.registry.GetIntegrationHealth(pb.GetIntegrationHealthRequest())
    (part,) = [service for service in whole.services if service.service == name]
    assert registry_pb2.HealthStatus.Name(part.health) == f"HEALTH_STATUS_{health}"
    assert whole.health == registry_pb2.HEALTH_STATUS_DEGRADED or health == "HEALTHY"
    await wire.registry.DeregisterService(pb.DeregisterServiceRequest(service=name))


async def test_the_health_of_the_whole_names_what_it_stands_on(wire: Wire) -> None:
    """Store and engine are checked and timed; inactive services do not count; the server tells itself."""
    await wire.registry.RegisterService(registration("endpoint-only", "act"))
    await wire.registry.RegisterService(registration("resting", "act", endpoint=""))
    await wire.registry.SetServiceState(
        pb.SetServiceStateRequest(service="resting", state=registry_pb2.SERVICE_STATE_INACTIVE)
    )
    whole = await wire.registry.GetIntegrationHealth(pb.GetIntegrationHealthRequest())
    assert {d.name: d.health for d in whole.dependencies} == {
        "store": registry_pb2.HEALTH_STATUS_HEALTHY,
        "engine": registry_pb2.HEALTH_STATUS_HEALTHY,
    }
    assert all(d.HasField("latency") for d in whole.dependencies)
    services = {s.service: s.health for s in whole.services}
    assert services["endpoint-only"] == registry_pb2.HEALTH_STATUS_HEALTHY
    notes = {s.service: s.note for s in whole.services}
    assert notes["endpoint-only"] == "not checked: a plain endpoint"
    assert "resting" not in services
    assert {"version", "address", "store"} <= set(from_struct(whole.server))
