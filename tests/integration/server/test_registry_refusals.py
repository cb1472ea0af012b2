"""RegistryService says no: clearly, to everything at once, and without a trace."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf import duration_pb2, field_mask_pb2, struct_pb2

from tests.support.refusals import Case, check, faulty, missing, stale, taken, wrong_state
from tests.support.wire import STRUCT, nested, payload, raw_json
from tests.support.world import World, registration
from weft.api.common.v1 import payload_pb2
from weft.api.registry.v1 import registry_pb2
from weft.api.registry.v1 import registry_service_pb2 as pb
from weft.core.payload import JsonObject, to_struct
from weft.core.reasons import Reason, Rule

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

LONG = "x" * 200
GHOST = "svc_" + "0" * 26


def span(seconds: float) -> duration_pb2.Duration:
    made = duration_pb2.Duration()
    made.FromTimedelta(timedelta(seconds=seconds))
    return made


def service(**values: Any) -> pb.RegisterServiceRequest:
    return pb.RegisterServiceRequest(service=registry_pb2.Service(**{"name": "fresh", **values}))


def one_action(**values: Any) -> pb.RegisterServiceRequest:
    return service(actions=[registry_pb2.Action(**{"name": "act", **values})])


def update(path: str = "", **values: Any) -> pb.UpdateServiceRequest:
    request = pb.UpdateServiceRequest(service=registry_pb2.Service(**{"id": "texts", **values}))
    if path:
        request.update_mask.paths.append(path)
    return request


def instance(**values: Any) -> pb.RegisterInstanceRequest:
    given = {"host": "127.0.0.1", "port": 9, **values}
    return pb.RegisterInstanceRequest(service="texts", instance=registry_pb2.Instance(**given))


def doubling(levels: int) -> JsonObject:
    """Return a small schema of which the references unfold to 2 ** levels checks."""
    defs: JsonObject = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{levels}": {"type": "object"}}}


def not_a_number() -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct["x"] = float("nan")
    return struct


REGISTER = [
    faulty(
        "without anything", "RegisterService", pb.RegisterServiceRequest(), ("service.name", Rule.REQUIRED)
    ),
    faulty(
        "everything wrong at once",
        "RegisterService",
        pb.RegisterServiceRequest(
            request_id=LONG,
            service=registry_pb2.Service(
                name="No Name",
                description="x" * 8_193,
                endpoint="ftp://127.0.0.1:21",
                metadata=not_a_number(),
                actions=[
                    registry_pb2.Action(name="act", input_schema=payload({"type": 12}), timeout=span(0)),
                    registry_pb2.Action(name="act", output_schema=raw_json(b"[1]"), description="x" * 8_193),
                    registry_pb2.Action(name="no good", timeout=span(90_000)),
                ],
            ),
        ),
        ("request_id", Rule.TOO_LONG),
        ("service.name", Rule.INVALID),
        ("service.description", Rule.TOO_LONG),
        ("service.endpoint", Rule.ENDPOINT_SCHEME_UNSUPPORTED),
        ("service.metadata", Rule.PAYLOAD_INVALID),
        ("service.actions[0].input_schema.type", Rule.SCHEMA_INVALID),
        ("service.actions[0].timeout", Rule.OUT_OF_RANGE),
        ("service.actions[1].name", Rule.DUPLICATE),
        ("service.actions[1].description", Rule.TOO_LONG),
        ("service.actions[1].output_schema", Rule.PAYLOAD_INVALID),
        ("service.actions[2].name", Rule.INVALID),
        ("service.actions[2].timeout", Rule.OUT_OF_RANGE),
    ),
    faulty(
        "undone by what cannot undo",
        "RegisterService",
        pb.RegisterServiceRequest(
            service=registry_pb2.Service(
                name="shop",
                endpoint="grpc://127.0.0.1:9",
                actions=[
                    registry_pb2.Action(name="book", compensation="unbok"),
                    registry_pb2.Action(name="unbook", compensation="unbook"),
                    registry_pb2.Action(name="pay", compensation="unbook"),
                ],
            ),
        ),
        ("service.actions[0].compensation", Rule.INVALID),
        ("service.actions[1].compensation", Rule.INVALID),
    ),
    faulty(
        "257 actions",
        "RegisterService",
        registration("fresh", *(f"a{n}" for n in range(257))),
        ("service.actions", Rule.TOO_MANY),
    ),
    faulty(
        "metadata over 64 KB",
        "RegisterService",
        service(metadata=to_struct({"x": "x" * 65_536})),
        ("service.metadata", Rule.PAYLOAD_TOO_LARGE),
    ),
    faulty(
        "metadata deeper than 32",
        "RegisterService",
        service(metadata=to_struct(nested(33))),
        ("service.metadata", Rule.PAYLOAD_TOO_DEEP),
    ),
    taken("second one of a name", "RegisterService", registration("texts", "act"), Reason.SERVICE_EXISTS),
]

NAMES = [
    faulty(f"name {name[:20]!r}", "RegisterService", service(name=name), ("service.name", Rule.INVALID))
    for name in (
        "Upper",
        "-dash",
        "dash-",
        "under_score",
        "a" * 64,
        "dot.ted",
        "ümlaut",
        "a\n",
        "a\0b",
        GHOST,
    )
]

ENDPOINTS = [
    faulty(f"endpoint {url[:24]!r}", "RegisterService", service(endpoint=url), ("service.endpoint", rule))
    for url, rule in {
        "redis://127.0.0.1:6379": Rule.ENDPOINT_SCHEME_UNSUPPORTED,
        "file:///etc/passwd": Rule.ENDPOINT_SCHEME_UNSUPPORTED,
        "127.0.0.1:80": Rule.ENDPOINT_SCHEME_UNSUPPORTED,
        "just text": Rule.ENDPOINT_SCHEME_UNSUPPORTED,
        "http://": Rule.INVALID,
        "grpc://127.0.0.1": Rule.INVALID,
        "grpc://127.0.0.1:80/path": Rule.INVALID,
        "http://user:secret@127.0.0.1": Rule.INVALID,
        "http://127.0.0.1/?q=1": Rule.INVALID,
        "http://127.0.0.1:99999": Rule.INVALID,
        "http://[::1": Rule.INVALID,
        "http://two words:80": Rule.INVALID,
        "http://..:80": Rule.INVALID,
        "http://127.0.0.1/" + "x" * 2_048: Rule.TOO_LONG,
    }.items()
]

SCHEMAS: dict[str, tuple[payload_pb2.Payload, str, Rule]] = {
    "no schema, as JSON": (payload({"type": 12}), ".type", Rule.SCHEMA_INVALID),
    "no schema, as Struct": (payload({"type": 12}, STRUCT), ".type", Rule.SCHEMA_INVALID),
    "pattern that is none": (payload({"pattern": "("}), ".pattern", Rule.SCHEMA_INVALID),
    "local reference to nowhere": (payload({"$ref": "#/$defs/x"}), "", Rule.SCHEMA_INVALID),
    "over 64 KB": (payload({"description": "x" * 65_536}), "", Rule.SCHEMA_TOO_LARGE),
    "deeper than 32": (payload(nested(33)), "", Rule.PAYLOAD_TOO_DEEP),
    "2,001 nodes": (payload({"anyOf": [{}] * 2_000}), "", Rule.SCHEMA_TOO_COMPLEX),
    "references that multiply": (payload(doubling(20)), "", Rule.SCHEMA_TOO_COMPLEX),
    "remote reference": (payload({"$ref": "https://example.org/s"}), ".$ref", Rule.SCHEMA_REMOTE_REF),
    "reference to a file": (
        payload({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, STRUCT),
        ".properties.a.$ref",
        Rule.SCHEMA_REMOTE_REF,
    ),
    "no object": (raw_json(b"true"), "", Rule.PAYLOAD_INVALID),
    "not UTF-8": (raw_json(b'{"title": "\xff"}'), "", Rule.PAYLOAD_INVALID),
    "not a number": (raw_json(b'{"minimum": NaN}'), "", Rule.PAYLOAD_INVALID),
    "not a number, as Struct": (payload_pb2.Payload(struct=not_a_number()), "", Rule.PAYLOAD_INVALID),
}
SCHEMA_CASES = [
    faulty(
        f"{field} {promise}",
        "RegisterService",
        one_action(**{field: schema}),
        (f"service.actions[0].{field}{path}", rule),
    )
    for promise, (schema, path, rule) in SCHEMAS.items()
    for field in ("input_schema", "output_schema")
]

CHANGES = [
    faulty("without anything", "UpdateService", pb.UpdateServiceRequest(), ("service.id", Rule.REQUIRED)),
    *(
        faulty(f"mask {path!r}", "UpdateService", update(path), ("update_mask", Rule.MASK_PATH_UNKNOWN))
        for path in ("nope", "state", "revision", "etag", "service.name", "actions.name")
    ),
    faulty(
        "everything wrong at once",
        "UpdateService",
        pb.UpdateServiceRequest(
            request_id=LONG,
            service=registry_pb2.Service(endpoint="ftp://x:1", metadata=to_struct({"x": "x" * 65_536})),
            update_mask=field_mask_pb2.FieldMask(paths=["name", "endpoint", "metadata", "colour", "shape"]),
        ),
        ("request_id", Rule.TOO_LONG),
        ("service.id", Rule.REQUIRED),
        ("service.name", Rule.REQUIRED),
        ("service.endpoint", Rule.ENDPOINT_SCHEME_UNSUPPORTED),
        ("service.metadata", Rule.PAYLOAD_TOO_LARGE),
        ("update_mask", Rule.MASK_PATH_UNKNOWN),
        ("update_mask", Rule.MASK_PATH_UNKNOWN),
    ),
    missing("unknown name", "UpdateService", update("name", id="ghost", name="b"), Reason.SERVICE_NOT_FOUND),
    missing("unknown id", "UpdateService", update("name", id=GHOST, name="b"), Reason.SERVICE_NOT_FOUND),
    taken("name that is taken", "UpdateService", update("name", name="idle"), Reason.SERVICE_EXISTS),
    stale(
        "UpdateService",
        pb.UpdateServiceRequest(service=registry_pb2.Service(id="texts", description="new"), etag="r999"),
    ),
    faulty(
        "without anything",
        "SetServiceState",
        pb.SetServiceStateRequest(),
        ("service", Rule.REQUIRED),
        ("state", Rule.REQUIRED),
    ),
    faulty(
        "state of a later release",
        "SetServiceState",
        pb.SetServiceStateRequest(service="texts", state=99),  # type: ignore[arg-type] # no such number
        ("state", Rule.INVALID),
    ),
    missing(
        "unknown service",
        "SetServiceState",
        pb.SetServiceStateRequest(service="ghost", state=registry_pb2.SERVICE_STATE_ACTIVE),
        Reason.SERVICE_NOT_FOUND,
    ),
    stale(
        "SetServiceState",
        pb.SetServiceStateRequest(service="texts", state=registry_pb2.SERVICE_STATE_INACTIVE, etag="r999"),
    ),
    faulty(
        "without anything", "DeregisterService", pb.DeregisterServiceRequest(), ("service", Rule.REQUIRED)
    ),
    missing(
        "unknown service",
        "DeregisterService",
        pb.DeregisterServiceRequest(service="ghost"),
        Reason.SERVICE_NOT_FOUND,
    ),
    stale("DeregisterService", pb.DeregisterServiceRequest(service="texts", etag="other")),
]

INSTANCES = [
    faulty(
        "without anything",
        "RegisterInstance",
        pb.RegisterInstanceRequest(),
        ("service", Rule.REQUIRED),
        ("instance.host", Rule.REQUIRED),
        ("instance.port", Rule.OUT_OF_RANGE),
    ),
    faulty(
        "everything wrong at once",
        "RegisterInstance",
        instance(
            id="-x",
            host="two words",
            port=65_536,
            weight=10_001,
            tags=["x" * 129, *("t",) * 64],
            metadata={"k": "v" * 513},
            version=LONG,
            zone=LONG,
            health_note="x" * 1_025,
            ttl=span(0.5),
        ),
        ("instance.id", Rule.INVALID),
        ("instance.host", Rule.INVALID),
        ("instance.port", Rule.OUT_OF_RANGE),
        ("instance.weight", Rule.OUT_OF_RANGE),
        ("instance.tags", Rule.TOO_MANY),
        ("instance.tags[0]", Rule.TOO_LONG),
        ("instance.metadata.k", Rule.TOO_LONG),
        ("instance.version", Rule.TOO_LONG),
        ("instance.zone", Rule.TOO_LONG),
        ("instance.health_note", Rule.TOO_LONG),
        ("instance.ttl", Rule.OUT_OF_RANGE),
    ),
    *(
        faulty(
            f"host {host[:20]!r}", "RegisterInstance", instance(host=host), ("instance.host", Rule.INVALID)
        )
        for host in ("a/b", "a@b", "..", "a\n", "\0", "[::1]", "1.2.3.4.5", "ä", "x" * 254, "::1%/evil", "-a")
    ),
    faulty(
        "ttl beyond 10 min", "RegisterInstance", instance(ttl=span(601)), ("instance.ttl", Rule.OUT_OF_RANGE)
    ),
    faulty(
        "65 entries of metadata",
        "RegisterInstance",
        instance(metadata={f"k{n}": "" for n in range(65)}),
        ("instance.metadata", Rule.TOO_MANY),
    ),
    faulty(
        "path that is none",
        "RegisterInstance",
        instance(protocol=registry_pb2.PROTOCOL_HTTP, metadata={"path": "/a?b=c"}),
        ("instance.metadata.path", Rule.INVALID),
    ),
    missing(
        "unknown service",
        "RegisterInstance",
        pb.RegisterInstanceRequest(service="ghost", instance=registry_pb2.Instance(host="h", port=1)),
        Reason.SERVICE_NOT_FOUND,
    ),
    taken(
        "id of another service's instance",
        "RegisterInstance",
        pb.RegisterInstanceRequest(
            service="idle", instance=registry_pb2.Instance(id="texts-1", host="h", port=1)
        ),
        Reason.INSTANCE_EXISTS,
    ),
    wrong_state(
        "token of an earlier registration",
        "Heartbeat",
        pb.HeartbeatRequest(instance_id="texts-1", registration_token="earlier"),
        Reason.INSTANCE_REPLACED,
    ),
    faulty(
        "without anything",
        "Heartbeat",
        pb.HeartbeatRequest(health_note="x" * 1_025),
        ("instance_id", Rule.REQUIRED),
        ("health_note", Rule.TOO_LONG),
    ),
    missing(
        "unknown instance", "Heartbeat", pb.HeartbeatRequest(instance_id="ghost"), Reason.INSTANCE_NOT_FOUND
    ),
    wrong_state(
        "token of an earlier registration",
        "DeregisterInstance",
        pb.DeregisterInstanceRequest(instance_id="texts-1", registration_token="earlier"),
        Reason.INSTANCE_REPLACED,
    ),
    faulty(
        "without anything",
        "DeregisterInstance",
        pb.DeregisterInstanceRequest(),
        ("instance_id", Rule.REQUIRED),
    ),
    missing(
        "unknown instance",
        "DeregisterInstance",
        pb.DeregisterInstanceRequest(instance_id="ghost"),
        Reason.INSTANCE_NOT_FOUND,
    ),
]

READS = [
    faulty("without anything", "GetService", pb.GetServiceRequest(), ("service", Rule.REQUIRED)),
    faulty(
        "name longer than any", "GetService", pb.GetServiceRequest(service=LONG), ("service", Rule.TOO_LONG)
    ),
    faulty(
        "name of 3 MB",
        "GetService",
        pb.GetServiceRequest(service="x" * 3_000_000),
        ("service", Rule.TOO_LONG),
    ),
    missing("unknown name", "GetService", pb.GetServiceRequest(service="ghost"), Reason.SERVICE_NOT_FOUND),
    missing("unknown id", "GetService", pb.GetServiceRequest(service=GHOST), Reason.SERVICE_NOT_FOUND),
    faulty("name with NUL", "GetService", pb.GetServiceRequest(service="a\0b"), ("service", Rule.INVALID)),
    missing(
        "128 characters beyond ASCII",
        "GetService",
        pb.GetServiceRequest(service="😀" * 128),
        Reason.SERVICE_NOT_FOUND,
    ),
    faulty(
        "all of its paging wrong",
        "ListServices",
        pb.ListServicesRequest(page_size=-1, skip=-1, page_token="nope"),
        ("page_size", Rule.OUT_OF_RANGE),
        ("skip", Rule.OUT_OF_RANGE),
        ("page_token", Rule.PAGE_TOKEN_INVALID),
    ),
    faulty(
        "all of its paging wrong",
        "ListInstances",
        pb.ListInstancesRequest(page_size=-1, skip=-1, page_token="nope", service=LONG),
        ("page_size", Rule.OUT_OF_RANGE),
        ("skip", Rule.OUT_OF_RANGE),
        ("service", Rule.TOO_LONG),
        ("page_token", Rule.PAGE_TOKEN_INVALID),
    ),
    missing(
        "unknown service", "ListInstances", pb.ListInstancesRequest(service="ghost"), Reason.SERVICE_NOT_FOUND
    ),
    faulty("without anything", "WatchInstances", pb.WatchInstancesRequest(), ("service", Rule.REQUIRED)),
    faulty("without anything", "GetServiceHealth", pb.GetServiceHealthRequest(), ("service", Rule.REQUIRED)),
    missing(
        "unknown service",
        "GetServiceHealth",
        pb.GetServiceHealthRequest(service="ghost"),
        Reason.SERVICE_NOT_FOUND,
    ),
]

CASES = [*REGISTER, *NAMES, *ENDPOINTS, *SCHEMA_CASES, *CHANGES, *INSTANCES, *READS]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_bad_request_is_refused_without_a_trace(world: World, case: Case) -> None:
    """Code, reason and every fault are as promised; nothing is stored; the next call works."""
    await check(world, case)


async def test_every_rpc_is_covered() -> None:
    """Each RPC that can refuse anything has a row above."""
    refusing = {case.method for case in CASES} | {"GetIntegrationHealth"}  # it takes nothing
    assert refusing == {method.name for method in pb.DESCRIPTOR.services_by_name["RegistryService"].methods}
