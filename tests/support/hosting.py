"""A service with one action for each thing that can happen to a call, and the way to call it."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc
from opentelemetry import baggage
from pydantic import BaseModel, Field

from weft.api.action.v1 import action_service_pb2 as pb
from weft.api.action.v1 import action_service_pb2_grpc
from weft.api.common.v1 import payload_pb2
from weft.core.errors import (
    ActionFailedError,
    AlreadyExistsError,
    Code,
)
from weft.core.payload import from_payload
from weft.mesh.rpc import CHANNEL_OPTIONS, error_from_rpc
from weft.mesh.tracing.context import current_ids
from weft.service import ActionContext, Host, Pending, Service, current_context

_variable = contextvars.ContextVar("_variable", default="unset")


class Extracted(BaseModel):
    text: str
    words: int = Field(ge=0)


@dataclass
class Seen:
    thread: str
    execution: str
    key: str
    attempt: int
    project: str
    value: str
    seconds_left: float


class Panic(BaseException):
    """As libraries raise it that are written in Rust."""


class Probe:
    """A service whose actions tell the test what happens inside of them."""

    def __init__(self) -> None:
        self.service = Service("demo", version="1.0.0")
        self.started = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.polling = threading.Event()
        self.noticed = threading.Event()
        plain = (self.extract, self.look, self.look_in_thread, self.wait, self.poll, self.fail, self.produce)
        more = (self.produce_numbers, self.echo, self.trace, self.resume, self.later)
        for action in (*plain, *more):
            self.service.action(action)
        self.service.action(timeout=timedelta(milliseconds=50))(self.brief)

    async def extract(self, document_url: str, language: str = "en") -> Extracted:
        """Extract text from a document."""
        return Extracted(text=f"{document_url} in {language}", words=3)

    async def look(self, context: ActionContext) -> Seen:
        assert current_context() is context
        return self._seen(context)

    def look_in_thread(self, context: ActionContext) -> Seen:
        assert current_context() is context
        return self._seen(context)

    async def wait(self) -> None:
        self.started.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def poll(self, context: ActionContext) -> None:
        self.polling.set()
        end = time.monotonic() + 10
        while not context.cancelled and time.monotonic() < end:
            time.sleep(0.005)
        self.noticed.set()

    async def fail(self, how: str) -> None:
        raise FAILURES[how]

    async def produce(self, what: str) -> dict[str, Any]:
        values: dict[str, Any] = {"nan": float("nan"), "10 MB": "x" * 10_000_000, "object": object()}
        return {"a": values[what]}

    async def produce_numbers(self) -> dict[str, Any]:
        return {"a": [1] * 500_000}

    async def echo(self, text: str) -> dict[str, str]:
        return {"text": text}

    async def trace(self) -> dict[str, str]:
        return {**current_ids(), **baggage.get_all()}  # type: ignore[dict-item] # all of it is text here

    async def resume(self, context: ActionContext) -> dict[str, Any]:
        timeout = context.heartbeat_timeout
        return {
            "token": context.attempt_token,
            "details": context.heartbeat_details,
            "timeout": None if timeout is None else timeout.total_seconds(),
        }

    async def later(self) -> dict[str, str]:
        raise Pending

    async def brief(self) -> None:
        await asyncio.Event().wait()

    @staticmethod
    def _seen(context: ActionContext) -> Seen:
        left = context.remaining
        return Seen(
            thread=threading.current_thread().name,
            execution=context.execution_id,
            key=context.idempotency_key,
            attempt=context.attempt,
            project=context.project_id,
            value=context.values.get("color", ""),
            seconds_left=-1 if left is None else left.total_seconds(),
        )


FAILURES: dict[str, BaseException] = {
    "plain": ZeroDivisionError("division by zero"),
    "business": ActionFailedError("no such customer", reason="CUSTOMER_UNKNOWN", code=Code.NOT_FOUND),
    "ours": AlreadyExistsError("taken", reason="SEAT_TAKEN"),
    "text": ValueError("\udcff\x00 語" * 900),
    "exit": SystemExit(2),
    "cancel": asyncio.CancelledError("of its own"),
    "panic": Panic("of a library that is not written in Python"),
    "group": BaseExceptionGroup("several", [Panic("one")]),
    "unknown": ActionFailedError("x", code=Code.UNKNOWN),
    "much": ActionFailedError("x", metadata={f"k{i}": "v" * 256 for i in range(100)}),
}


@asynccontextmanager
async def channel_to(host: Host) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(host.address, options=CHANNEL_OPTIONS) as channel:
        yield channel


def health_of(channel: Any) -> Any:
    """Return a stub, whose published types know no RPCs."""
    return health_pb2_grpc.HealthStub(channel)


def reflection_of(channel: Any) -> Any:
    """Return a stub, whose published types know no RPCs."""
    return reflection_pb2_grpc.ServerReflectionStub(channel)


def invocation(action: str, value: dict[str, Any] | None = None, **fields: Any) -> pb.InvokeActionRequest:
    payload = payload_pb2.Payload(json=json.dumps(value or {}).encode())
    return pb.InvokeActionRequest(**{"service": "demo", "action": action, "input": payload, **fields})


async def invoke(channel: grpc.aio.Channel, request: pb.InvokeActionRequest, timeout: float = 20) -> Any:
    stub = action_service_pb2_grpc.ActionServiceStub(channel)
    try:
        response = await stub.InvokeAction(request, timeout=timeout)
    except grpc.aio.AioRpcError as error:
        raise error_from_rpc(error) from error
    return from_payload(response.output)
