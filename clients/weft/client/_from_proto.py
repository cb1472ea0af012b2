"""Messages to records."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from weft.api.common.v1 import context_pb2, failure_pb2, payload_pb2
from weft.api.execution.v1 import execution_pb2
from weft.api.registry.v1 import registry_pb2, registry_service_pb2
from weft.api.workflow.v1 import workflow_pb2
from weft.client import _enums as enums
from weft.client.records import (
    Action,
    Concurrency,
    DependencyHealth,
    Event,
    Execution,
    Failure,
    Instance,
    IntegrationHealth,
    Origin,
    Problem,
    RetryPolicy,
    Service,
    ServiceHealth,
    ServiceVersion,
    Step,
    StepExecution,
    Workflow,
)
from weft.core.context import CallContext
from weft.core.errors import Code, Violation
from weft.core.payload import JsonObject, from_payload, from_struct


def time_of(message: Message, field: str) -> datetime | None:
    """Return a moment, if it is set."""
    value: Timestamp = getattr(message, field)
    return value.ToDatetime(UTC) if message.HasField(field) else None


def span_of(message: Message, field: str) -> timedelta | None:
    """Return a duration, if it is set."""
    value: Duration = getattr(message, field)
    return value.ToTimedelta() if message.HasField(field) else None


def object_of(message: Message, field: str) -> JsonObject | None:
    """Return a payload's object, if it is set."""
    value: payload_pb2.Payload = getattr(message, field)
    return from_payload(value, field) if message.HasField(field) else None


def action(message: registry_pb2.Action) -> Action:
    """Read an action."""
    return Action(
        name=message.name,
        description=message.description,
        input_schema=object_of(message, "input_schema"),
        output_schema=object_of(message, "output_schema"),
        idempotent=message.idempotent,
        timeout=span_of(message, "timeout"),
        grpc_method=message.grpc_method,
    )


def service_version(message: registry_pb2.ServiceVersion) -> ServiceVersion:
    """Read an API version of a service."""
    return ServiceVersion(
        version=message.version,
        actions=tuple(map(action, message.actions)),
        descriptor_set=message.descriptor_set,
        update_time=time_of(message, "update_time"),
    )


def service(message: registry_pb2.Service) -> Service:
    """Read a service."""
    return Service(
        id=message.id,
        name=message.name,
        description=message.description,
        endpoint=message.endpoint,
        actions=tuple(map(action, message.actions)),
        version=message.version,
        other_versions=tuple(map(service_version, message.other_versions)),
        descriptor_set=message.descriptor_set,
        metadata=from_struct(message.metadata, "metadata"),
        state=enums.SERVICE_STATE.name(message.state),
        revision=message.revision,
        etag=message.etag,
        create_time=time_of(message, "create_time"),
        update_time=time_of(message, "update_time"),
    )


def instance(message: registry_pb2.Instance) -> Instance:
    """Read an instance."""
    return Instance(
        id=message.id,
        service=message.service,
        host=message.host,
        port=message.port,
        protocol=enums.PROTOCOL.name(message.protocol) or "GRPC",
        weight=message.weight or 1,
        tags=tuple(message.tags),
        metadata=dict(message.metadata),
        version=message.version,
        zone=message.zone,
        health=enums.HEALTH_STATE.name(message.health),
        health_note=message.health_note,
        ttl=span_of(message, "ttl"),
        register_time=time_of(message, "register_time"),
        heartbeat_time=time_of(message, "heartbeat_time"),
    )


def service_health(message: registry_pb2.ServiceHealth) -> ServiceHealth:
    """Read the health of a service."""
    return ServiceHealth(
        service_id=message.service_id,
        service=message.service,
        health=enums.HEALTH_STATUS.name(message.health),
        instances=tuple(map(instance, message.instances)),
        note=message.note,
    )


def dependency_health(message: registry_pb2.DependencyHealth) -> DependencyHealth:
    """Read the health of a dependency."""
    return DependencyHealth(
        name=message.name,
        health=enums.HEALTH_STATUS.name(message.health),
        note=message.note,
        latency=span_of(message, "latency"),
    )


def integration_health(message: registry_service_pb2.GetIntegrationHealthResponse) -> IntegrationHealth:
    """Read the health of the whole."""
    return IntegrationHealth(
        health=enums.HEALTH_STATUS.name(message.health),
        dependencies=tuple(map(dependency_health, message.dependencies)),
        services=tuple(map(service_health, message.services)),
        server=from_struct(message.server, "server"),
    )


def step(message: workflow_pb2.Step) -> Step:
    """Read a step."""
    return Step(
        id=message.id,
        service=message.service,
        action=message.action,
        next=message.next,
        input=object_of(message, "input"),
        timeout=span_of(message, "timeout"),
        description=message.description,
        service_version=message.service_version,
        retry=retry(message.retry) if message.HasField("retry") else None,
        schedule_to_close_timeout=span_of(message, "schedule_to_close_timeout"),
        heartbeat_timeout=span_of(message, "heartbeat_timeout"),
    )


def retry(message: workflow_pb2.RetryPolicy) -> RetryPolicy:
    """Read how a step is tried again."""
    return RetryPolicy(
        max_attempts=message.max_attempts,
        initial_backoff=span_of(message, "initial_backoff"),
        multiplier=message.multiplier,
        max_backoff=span_of(message, "max_backoff"),
        jitter=message.jitter,
        non_retryable_reasons=tuple(message.non_retryable_reasons),
        on_exhausted=enums.ON_EXHAUSTED.name(message.on_exhausted),
    )


def concurrency(message: workflow_pb2.Workflow) -> Concurrency | None:
    """Read how many executions run at the same time."""
    if not message.HasField("concurrency"):
        return None
    return Concurrency(limit=message.concurrency.limit, key=message.concurrency.key)


def problem(message: workflow_pb2.Problem) -> Problem:
    """Read a finding."""
    return Problem(
        path=message.path,
        code=message.code,
        message=message.message,
        hint=message.hint,
        severity=enums.SEVERITY.name(message.severity) or "ERROR",
    )


def workflow(message: workflow_pb2.Workflow, warnings: tuple[Problem, ...] = ()) -> Workflow:
    """Read a workflow."""
    return Workflow(
        id=message.id,
        name=message.name,
        description=message.description,
        steps=tuple(map(step, message.steps)),
        metadata=from_struct(message.metadata, "metadata"),
        input_schema=object_of(message, "input_schema"),
        output_schema=object_of(message, "output_schema"),
        timeout=span_of(message, "timeout"),
        state=enums.WORKFLOW_STATE.name(message.state),
        version=message.version,
        etag=message.etag,
        create_time=time_of(message, "create_time"),
        update_time=time_of(message, "update_time"),
        version_create_time=time_of(message, "version_create_time"),
        concurrency=concurrency(message),
        warnings=warnings,
    )


def context(message: context_pb2.CallContext) -> CallContext:
    """Read what travels with an execution."""
    return CallContext(
        project_id=message.project_id, request_id=message.request_id, values=dict(message.values)
    )


def failure(message: failure_pb2.Failure) -> Failure:
    """Read an error at rest."""
    known = message.code in Code._value2member_map_
    return Failure(
        reason=message.reason,
        message=message.message,
        code=Code(message.code) if known else Code.UNKNOWN,
        metadata=dict(message.metadata),
        violations=tuple(Violation(v.field, v.description, v.reason) for v in message.violations),
        retryable=message.retryable,
        domain=message.domain,
    )


def _failure_of(message: execution_pb2.Execution | execution_pb2.StepExecution) -> Failure | None:
    return failure(message.failure) if message.HasField("failure") else None


def step_execution(message: execution_pb2.StepExecution) -> StepExecution:
    """Read where a step stands."""
    return StepExecution(
        step_id=message.step_id,
        service=message.service,
        action=message.action,
        state=enums.STEP_STATE.name(message.state),
        attempt=message.attempt,
        schedule_time=time_of(message, "schedule_time"),
        end_time=time_of(message, "end_time"),
        failure=_failure_of(message),
        retry_time=time_of(message, "retry_time"),
        progress=object_of(message, "progress"),
    )


def origin(message: execution_pb2.Origin) -> Origin:
    """Read which execution another one repeats."""
    return Origin(execution_id=message.execution_id, from_step=message.from_step)


def execution(message: execution_pb2.Execution) -> Execution:
    """Read an execution."""
    return Execution(
        id=message.id,
        workflow_id=message.workflow_id,
        workflow_name=message.workflow_name,
        workflow_version=message.workflow_version,
        state=enums.EXECUTION_STATE.name(message.state),
        input=object_of(message, "input"),
        result=object_of(message, "result"),
        failure=_failure_of(message),
        context=context(message.context),
        steps=tuple(map(step_execution, message.steps)),
        last_event_number=message.last_event_number,
        create_time=time_of(message, "create_time"),
        end_time=time_of(message, "end_time"),
        expire_time=time_of(message, "expire_time"),
        trace_id=message.trace_id,
        key=message.key,
        origin=origin(message.origin) if message.HasField("origin") else None,
        waits_for=enums.WAIT_REASON.name(message.waits_for),
        wait_until=time_of(message, "wait_until"),
        concurrency_key=message.concurrency_key,
    )


def event(message: execution_pb2.Event, state: execution_pb2.ExecutionState.ValueType | None = None) -> Event:
    """Read an entry of a history, with where the execution stands after it."""
    kind = message.WhichOneof("kind")
    return Event(
        number=message.number,
        time=time_of(message, "time"),
        kind=kind or "",
        state=enums.EXECUTION_STATE.name(state) if state else "",
        data=_plain(getattr(message, kind)) if kind else {},
    )


def _plain(message: Message) -> JsonObject:
    """Read a message of plain fields and of the kinds in the table below."""
    found: JsonObject = {}
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None:
            found[field.name] = getattr(message, field.name)
        elif message.HasField(field.name):
            found[field.name] = _MESSAGES[field.message_type.full_name](getattr(message, field.name))
        else:
            found[field.name] = None
    return found


_MESSAGES: dict[str, Callable[[Any], Any]] = {
    payload_pb2.Payload.DESCRIPTOR.full_name: from_payload,
    Duration.DESCRIPTOR.full_name: lambda span: span.ToTimedelta().total_seconds(),
    context_pb2.CallContext.DESCRIPTOR.full_name: lambda message: context(message).flat(),
    failure_pb2.Failure.DESCRIPTOR.full_name: lambda message: failure(message).to_dict(),
    execution_pb2.Origin.DESCRIPTOR.full_name: lambda message: origin(message).to_dict(),
    Timestamp.DESCRIPTOR.full_name: lambda moment: moment.ToDatetime(UTC).isoformat(),
}
