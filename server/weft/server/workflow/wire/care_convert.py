"""What a step has in case something goes wrong, or comes too often: messages to their model, and back."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from weft.api.workflow.v1 import workflow_pb2
from weft.core.payload import PayloadKind
from weft.core.reasons import Rule
from weft.server.protos import duration, enum_from_proto, enum_to_proto, optional_object
from weft.server.requests import Faults, read_duration
from weft.server.workflow.model import Cache, Compensation, ErrorHandler, ErrorKind, StepLimit
from weft.server.workflow.wire.nested import nested_object
from weft.server.workflow.wire.policy_convert import (
    MAX_KEY,
    read_time,
    reasons_from_proto,
    retry_from_proto,
    retry_to_proto,
)

__all__ = [
    "cache_from_proto",
    "cache_to_proto",
    "compensation_from_proto",
    "compensation_to_proto",
    "handlers_from_proto",
    "handlers_to_proto",
    "limit_from_proto",
    "limit_to_proto",
]

_MAX_HANDLERS: Final = 100
_LEAST_TTL: Final = timedelta(seconds=1)
_MOST_TTL: Final = timedelta(days=30)
_MOST_PER: Final = timedelta(hours=1)
_MOST_AT_ONCE: Final = 10_000
_MOST_RATE: Final = 1_000_000


def handlers_to_proto(handlers: tuple[ErrorHandler, ...]) -> list[workflow_pb2.ErrorHandler]:
    """Show where a step goes on after failures."""
    return [
        workflow_pb2.ErrorHandler(
            reasons=handler.reasons,
            kind=_kind_to_proto(handler.kind),
            next=handler.next,
        )
        for handler in handlers
    ]


def _kind_to_proto(kind: ErrorKind) -> workflow_pb2.ErrorKind.ValueType:
    if kind is ErrorKind.ANY:
        return workflow_pb2.ERROR_KIND_UNSPECIFIED
    found: workflow_pb2.ErrorKind.ValueType = enum_to_proto(workflow_pb2.ErrorKind, "ERROR_KIND", kind)
    return found


def handlers_from_proto(message: workflow_pb2.Step, path: str, faults: Faults) -> tuple[ErrorHandler, ...]:
    """Read where a step goes on after failures."""
    faults.count(f"{path}.on_error", message.on_error, _MAX_HANDLERS)
    return tuple(
        _handler(handler, f"{path}.on_error[{number}]", faults)
        for number, handler in enumerate(message.on_error[:_MAX_HANDLERS])
    )


def _handler(message: workflow_pb2.ErrorHandler, path: str, faults: Faults) -> ErrorHandler:
    faults.enum(message, "kind", f"{path}.kind")
    kind = enum_from_proto(workflow_pb2.ErrorKind, "ERROR_KIND", ErrorKind, message.kind)
    return ErrorHandler(
        reasons=reasons_from_proto(message.reasons, f"{path}.reasons", faults),
        kind=kind or ErrorKind.ANY,
        next=message.next,
    )


def compensation_to_proto(
    compensation: Compensation | None, kind: PayloadKind
) -> workflow_pb2.Compensation | None:
    """Show what undoes a step."""
    if compensation is None:
        return None
    return workflow_pb2.Compensation(
        service=compensation.service,
        action=compensation.action,
        input=nested_object(compensation.input, kind),
        retry=retry_to_proto(compensation.retry),
        timeout=duration(compensation.timeout),
    )


def compensation_from_proto(message: workflow_pb2.Step, path: str, faults: Faults) -> Compensation | None:
    """Read what undoes a step."""
    if not message.HasField("compensate"):
        return None
    said, path = message.compensate, f"{path}.compensate"
    faults.required(f"{path}.action", said.action)
    return Compensation(
        service=said.service,
        action=said.action,
        input=faults.attempt(lambda: optional_object(said, "input", f"{path}.input"), None),
        retry=retry_from_proto(said, f"{path}.retry", faults),
        timeout=read_time(said, "timeout", path, faults),
    )


def cache_to_proto(cache: Cache | None) -> workflow_pb2.Cache | None:
    """Show how long what a step gave is used again."""
    return None if cache is None else workflow_pb2.Cache(key=cache.key, ttl=duration(cache.ttl))


def cache_from_proto(message: workflow_pb2.Step, path: str, faults: Faults) -> Cache | None:
    """Read how long what a step gave is used again."""
    if not message.HasField("cache"):
        return None
    said, path = message.cache, f"{path}.cache"
    faults.text(f"{path}.key", said.key, MAX_KEY)
    if not said.HasField("ttl"):
        faults.add(f"{path}.ttl", "is required", Rule.REQUIRED)
    ttl = read_duration(said, "ttl", faults, path=f"{path}.ttl", at_least=_LEAST_TTL, at_most=_MOST_TTL)
    return Cache(key=said.key, ttl=ttl or _LEAST_TTL)


def limit_to_proto(limit: StepLimit | None) -> workflow_pb2.StepLimit | None:
    """Show how much a step is called."""
    if limit is None:
        return None
    return workflow_pb2.StepLimit(
        key=limit.key, concurrency=limit.concurrency, rate=limit.rate, per=duration(limit.per)
    )


def limit_from_proto(message: workflow_pb2.Step, path: str, faults: Faults) -> StepLimit | None:
    """Read how much a step is called."""
    if not message.HasField("limit"):
        return None
    said, path = message.limit, f"{path}.limit"
    faults.text(f"{path}.key", said.key, MAX_KEY)
    faults.number(f"{path}.concurrency", said.concurrency, 0, _MOST_AT_ONCE)
    faults.number(f"{path}.rate", said.rate, 0, _MOST_RATE)
    per = read_duration(
        said, "per", faults, path=f"{path}.per", at_least=timedelta(milliseconds=1), at_most=_MOST_PER
    )
    return StepLimit(
        key=said.key, concurrency=said.concurrency, rate=said.rate, per=per or timedelta(seconds=1)
    )
