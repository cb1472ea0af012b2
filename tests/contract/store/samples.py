"""Things to keep, for every test of a store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from weft.core.context import CallContext
from weft.core.errors import Code, Violation
from weft.core.names import EXECUTION_PREFIX, SERVICE_PREFIX, WORKFLOW_PREFIX, new_id
from weft.discovery.model import Health, Protocol
from weft.server.execution.history.model import (
    Event,
    EventBody,
    Execution,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionState,
    ExecutionTimedOut,
    Failure,
    IncidentRaised,
    IncidentResolved,
    Resolution,
    StepAccepted,
    StepCompleted,
    StepFailed,
    StepProgressed,
    StepRetryScheduled,
    StepReused,
    StepScheduled,
    TraceLink,
)
from weft.server.registry.model import Action, Instance, Service, ServiceVersion
from weft.server.store.base import RequestKey
from weft.server.workflow.model import Definition, Step, Workflow

NOW = datetime(2026, 3, 29, 1, 30, 0, 123_457, tzinfo=UTC)
"""A time whose microseconds do not survive a float."""

CONTEXT = CallContext(project_id="p-1", request_id="r-1", values={"tenant": "Zoë"})

FAILURE = Failure(
    reason="CUSTOMER_UNKNOWN",
    message="no such customer: Å\u0000\u2028",
    code=Code.NOT_FOUND,
    metadata={"customer": "7"},
    violations=(Violation("a.b[0]", "is required", "REQUIRED"),),
    retryable=True,
)


def key(request_id: str = "r-1", *, method: str = "weft.Test/Do", content: bytes = b"first") -> RequestKey:
    return RequestKey(method, request_id, content)


def service(name: str = "text-extraction", **changes: Any) -> Service:
    action = Action(
        name="extract",
        description="Reads text.",
        input_schema={"type": "object", "properties": {"url": {"type": "string"}}},
        output_schema=None,
        idempotent=True,
        timeout=timedelta(seconds=1, microseconds=1),
    )
    made = Service(
        id=new_id(SERVICE_PREFIX),
        name=name,
        description="Texts — all kinds",
        endpoint="grpc://127.0.0.1:7000",
        actions=(action, Action(name="count")),
        metadata={"owner": {"team": "nlp"}, "cost": 1.5, "big": 2**63, "none": None},
        create_time=NOW,
        update_time=NOW,
    )
    return replace(made, **changes)


def two_versions(name: str = "carts", **changes: Any) -> Service:
    """Make a service with two API versions, each with RPCs behind its actions."""
    get = Action(name="get", grpc_method="shop.v1.Carts/Get", timeout=timedelta(seconds=3))
    old = ServiceVersion(
        version="1.9.0", actions=(get,), descriptor_set=b"\n\x00old\xff", update_time=NOW - timedelta(days=1)
    )
    older = ServiceVersion(version="nightly", actions=(), update_time=NOW - timedelta(days=2))
    new = replace(get, grpc_method="shop.v2.Carts/Get", output_schema={"type": "object"})
    made = service(
        name, version="2.0.0", actions=(new,), descriptor_set=b"\x00\xffnew", other_versions=(old, older)
    )
    return replace(made, **changes)


def instance(service_id: str, instance_id: str = "ins-1", **changes: Any) -> Instance:
    made = Instance(
        id=instance_id,
        service_id=service_id,
        host="::1",
        port=7001,
        protocol=Protocol.HTTP,
        weight=3,
        tags=("production", "gpu"),
        metadata={"rack": "4"},
        version="1.2.3",
        zone="eu-1a",
        health=Health.WARNING,
        health_note="warming up",
        ttl=timedelta(seconds=15),
        register_time=NOW,
        heartbeat_time=NOW + timedelta(seconds=1),
    )
    return replace(made, **changes)


def definition(note: str = "") -> Definition:
    first = Step(
        id="extract",
        service="text-extraction",
        action="extract",
        next="score",
        input={"url": "${ input.url }"},
        timeout=timedelta(milliseconds=1500),
        description=note,
    )
    return Definition(
        steps=(first, Step(id="score", service="sentiment", action="score", service_version="^1.4")),
        input_schema={"type": "object"},
        timeout=timedelta(minutes=5),
    )


def workflow(name: str = "document-pipeline", **changes: Any) -> Workflow:
    made = Workflow(
        id=new_id(WORKFLOW_PREFIX),
        name=name,
        description="Reads documents.",
        metadata={"tier": "gold"},
        definition=definition(),
        create_time=NOW,
        update_time=NOW,
        version_create_time=NOW,
    )
    return replace(made, **changes)


def execution(**changes: Any) -> Execution:
    made = Execution(
        id=new_id(EXECUTION_PREFIX),
        workflow_id="wf_00000000000000000000000001",
        workflow_name="document-pipeline",
        workflow_version=3,
        context=CONTEXT,
        last_event=2,
        create_time=NOW,
        expire_time=NOW + timedelta(hours=1),
        due_time=NOW,
    )
    return replace(made, **changes)


def first_events(of: Execution, payload: bytes = b'{"url": "a"}') -> list[Event]:
    started = ExecutionStarted(
        input=payload,
        context=of.context,
        workflow_id=of.workflow_id,
        workflow_version=of.workflow_version,
        timeout=timedelta(hours=1),
    )
    return [Event(1, NOW, started), Event(2, NOW, StepScheduled(step_id="extract"))]


def output(number: int, payload: bytes = b"{}") -> Event:
    return Event(number, NOW, StepCompleted(step_id="extract", attempt=1, output=payload))


def advanced(of: Execution, by: int = 1, **changes: Any) -> Execution:
    return replace(of, last_event=of.last_event + by, **changes)


def ended(of: Execution, state: ExecutionState = ExecutionState.COMPLETED) -> Execution:
    failure = None if state is ExecutionState.COMPLETED else FAILURE
    return advanced(of, state=state, failure=failure, end_time=NOW + timedelta(microseconds=1))


ALL_BODIES: tuple[EventBody, ...] = (
    ExecutionStarted(
        input=b'{ "spaces" :1, "n": 9007199254740993 }',
        context=CONTEXT,
        workflow_id="wf_1",
        workflow_version=2,
        timeout=timedelta(seconds=90),
        trace=TraceLink(
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            tracestate="a=1",
            baggage="tenant=7",
            caller_span_id="00f067aa0ba902b7",
        ),
    ),
    ExecutionStarted(input=b"{}", context=CallContext(), workflow_id="wf_1", workflow_version=1),
    StepScheduled(step_id="extract", attempt=2, cause="NO_INSTANCE"),
    StepCompleted(step_id="extract", attempt=2, output=b'{"t":"\xc3\xa9"}', instance_id="ins-1"),
    StepFailed(step_id="score", attempt=1, failure=FAILURE, instance_id="ins-2"),
    ExecutionCompleted(result=b'{"score":1.0}'),
    ExecutionFailed(failure=FAILURE),
    ExecutionCancelled(reason="no longer wanted"),
    ExecutionTimedOut(timeout=timedelta(days=3, microseconds=7)),
    StepReused(step_id="extract", output=b'{"t":1}', execution_id="exe_1"),
    StepAccepted(step_id="extract", attempt=1, close_time=NOW + timedelta(hours=1), instance_id="ins-1"),
    StepProgressed(step_id="extract", attempt=1, details=b'{ "done": 3}'),
    StepRetryScheduled(
        step_id="score", attempt=1, failure=FAILURE, retry_time=NOW + timedelta(seconds=3), instance_id="i"
    ),
    IncidentRaised(step_id="score", attempt=3, failure=FAILURE, instance_id="ins-2"),
    IncidentResolved(step_id="score", resolution=Resolution.RETRY, input=b'{"n":1}', note="mended"),
    IncidentResolved(step_id="score", resolution=Resolution.FAIL),
    ExecutionPaused(reason="for a while"),
    ExecutionResumed(reason="go on"),
)
