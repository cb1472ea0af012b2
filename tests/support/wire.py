"""The services as a foreign client sees them: generated stubs, and errors taken apart by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from weft.api.common.v1 import payload_pb2
from weft.api.execution.v1 import (
    archive_service_pb2_grpc,
    batch_service_pb2,
    batch_service_pb2_grpc,
    execution_service_pb2,
    execution_service_pb2_grpc,
)
from weft.api.registry.v1 import registry_service_pb2, registry_service_pb2_grpc
from weft.api.schedule.v1 import schedule_service_pb2, schedule_service_pb2_grpc
from weft.api.workflow.v1 import workflow_service_pb2, workflow_service_pb2_grpc
from weft.core.errors import Code
from weft.core.payload import JsonObject, PayloadKind, from_payload, to_payload
from weft.mesh.rpc import MAX_MESSAGE_BYTES

JSON = payload_pb2.PAYLOAD_KIND_JSON
STRUCT = payload_pb2.PAYLOAD_KIND_STRUCT
KINDS = {"struct": STRUCT, "json": JSON}
FIELDS = {STRUCT: "struct", JSON: "json"}

SERVICES = (
    registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"],
    workflow_service_pb2.DESCRIPTOR.services_by_name["WorkflowService"],
    execution_service_pb2.DESCRIPTOR.services_by_name["ExecutionService"],
    batch_service_pb2.DESCRIPTOR.services_by_name["BatchService"],
    schedule_service_pb2.DESCRIPTOR.services_by_name["ScheduleService"],
)
METHODS = {method.name: method for service in SERVICES for method in service.methods}
"""Every RPC; the names are unique among them."""

DETAIL_TYPES = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.ResourceInfo,
    error_details_pb2.RetryInfo,
    error_details_pb2.PreconditionFailure,
)


@dataclass(frozen=True)
class Refusal:
    """A status, taken apart."""

    code: Code
    reason: str
    domain: str
    message: str
    metadata: dict[str, str]
    violations: tuple[tuple[str, str], ...]
    """Path and rule of each."""
    retry_after: float | None
    size: int
    """Bytes of trailing metadata, as gRPC counts them against its limit."""

    @property
    def kind(self) -> tuple[Code, str]:
        return self.code, self.reason


class Wire:
    """One channel to a server, with everything that it serves."""

    def __init__(self, address: str, channel: grpc.aio.Channel) -> None:
        self.address = address
        self.channel = channel
        self.registry = registry_service_pb2_grpc.RegistryServiceStub(channel)
        self.workflows = workflow_service_pb2_grpc.WorkflowServiceStub(channel)
        self.executions = execution_service_pb2_grpc.ExecutionServiceStub(channel)
        self.batches = batch_service_pb2_grpc.BatchServiceStub(channel)
        self.schedules = schedule_service_pb2_grpc.ScheduleServiceStub(channel)
        self.archives = archive_service_pb2_grpc.ArchiveServiceStub(channel)

    async def call(self, method: str, request: Message, timeout: float = 20.0) -> Any:
        """Make a call by the name of its RPC; of a stream, return the first message."""
        for stub in (self.registry, self.workflows, self.executions, self.batches, self.schedules):
            if hasattr(stub, method):
                made = getattr(stub, method)(request, timeout=timeout)
                if not METHODS[method].server_streaming:
                    return await made
                try:
                    return await anext(aiter(made))
                finally:
                    made.cancel()
        raise AssertionError(method)

    async def refusal(self, method: str, request: Message, timeout: float = 20.0) -> Refusal:
        """Make a call that must be refused."""
        return await refusal_of(self.call(method, request, timeout))

    async def state(self) -> list[bytes]:
        """Return everything that is stored, in a form that can be compared."""
        services = await self.registry.ListServices(
            registry_service_pb2.ListServicesRequest(page_size=1_000), timeout=20
        )
        instances = await self.registry.ListInstances(
            registry_service_pb2.ListInstancesRequest(page_size=1_000), timeout=20
        )
        for instance in instances.instances:
            instance.ClearField("heartbeat_time")
        workflows = await self.workflows.ListWorkflows(
            workflow_service_pb2.ListWorkflowsRequest(page_size=1_000), timeout=20
        )
        executions = await self.executions.ListExecutions(
            execution_service_pb2.ListExecutionsRequest(page_size=1_000), timeout=20
        )
        return [
            message.SerializeToString(deterministic=True)
            for message in (services, instances, workflows, executions)
        ]


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Wire]:
    options = (("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.enable_retries", 0))
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield Wire(address, channel)


async def refusal_of(call: Awaitable[Any]) -> Refusal:
    """Await a call that must fail, and take its status apart."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return take_apart(error)
    raise AssertionError(f"not refused: {answer}")


def take_apart(error: grpc.aio.AioRpcError) -> Refusal:
    """Check the form that every error of ours has, and return what it says."""
    trailing = tuple(error.trailing_metadata() or ())
    packed = [value for key, value in trailing if key == "grpc-status-details-bin"]
    assert len(packed) == 1, f"no details: {error}"
    status = status_pb2.Status.FromString(cast("bytes", packed[0]))
    assert status.code == error.code().value[0]
    shown = (error.details() or "").removesuffix("…")
    assert shown
    assert status.message.startswith(shown)
    assert Code(status.code) not in {Code.OK, Code.UNKNOWN, Code.INTERNAL}, error
    found: dict[Any, list[Any]] = {kind: _details(status, kind) for kind in DETAIL_TYPES}
    assert sum(len(details) for details in found.values()) == len(status.details), "a detail of another type"
    (info,) = found[error_details_pb2.ErrorInfo]
    assert all(len(details) <= 1 for details in found.values())
    bad = [v for detail in found[error_details_pb2.BadRequest] for v in detail.field_violations]
    assert all(v.description and v.reason for v in bad)
    waits = [detail.retry_delay.ToTimedelta() for detail in found[error_details_pb2.RetryInfo]]
    return Refusal(
        code=Code(status.code),
        reason=info.reason,
        domain=info.domain,
        message=status.message,
        metadata=dict(info.metadata),
        violations=tuple((v.field, v.reason) for v in bad),
        retry_after=waits[0].total_seconds() if waits else None,
        size=sum(len(key) + len(value) + 32 for key, value in trailing) + 32 + len(status.message.encode()),
    )


def _details(status: status_pb2.Status, kind: Any) -> list[Any]:
    found: list[Any] = []
    for packed in status.details:
        if packed.Is(kind.DESCRIPTOR):
            detail = kind()
            packed.Unpack(detail)
            found.append(detail)
    return found


def payload(value: JsonObject | bytes, kind: PayloadKind = JSON) -> payload_pb2.Payload:
    return to_payload(value, kind)


def raw_json(text: bytes) -> payload_pb2.Payload:
    """Carry bytes as JSON text, whatever they are."""
    return payload_pb2.Payload(json=text)


def value_in(message: payload_pb2.Payload, kind: PayloadKind) -> JsonObject:
    """Read a payload that must be of a kind."""
    assert message.WhichOneof("kind") == FIELDS[kind]
    return from_payload(message)


def nested(depth: int) -> JsonObject:
    """Return objects within each other, so many levels deep."""
    value: JsonObject = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value
