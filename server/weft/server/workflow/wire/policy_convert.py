"""Policies of workflows and steps: messages to their model, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from google.protobuf.message import Message

from weft.api.workflow.v1 import workflow_pb2
from weft.core.reasons import Rule
from weft.server.protos import duration, enum_from_proto, enum_to_proto
from weft.server.requests import Faults, read_duration
from weft.server.workflow.model import Concurrency, Exhausted, OnConflict, RetryPolicy, StepDefaults

__all__ = [
    "MAX_KEY",
    "MAX_STEP_TIMEOUT",
    "MAX_TIMEOUT",
    "concurrency_from_proto",
    "concurrency_to_proto",
    "defaults_from_proto",
    "defaults_to_proto",
    "read_time",
    "reasons_from_proto",
    "retry_from_proto",
    "retry_to_proto",
]

MAX_KEY: Final = 1_024
"""The longest text that makes a key of concurrency, of a cache or of a limit."""
MAX_STEP_TIMEOUT: Final = timedelta(hours=24)
"""The longest time of one attempt of an action."""
MAX_TIMEOUT: Final = timedelta(days=365)
"""The longest time of everything else."""

_DEFAULT: Final = RetryPolicy()
_MAX_ATTEMPTS: Final = 1_000_000
_MAX_BACKOFF: Final = timedelta(hours=24)
_MAX_MULTIPLIER: Final = 10.0
_MAX_REASONS: Final = 50
_MAX_REASON: Final = 128
_MAX_LIMIT: Final = 10_000
_ENDLESS: Final = -1


def retry_to_proto(policy: RetryPolicy | None) -> workflow_pb2.RetryPolicy | None:
    """Show how a step is tried again, with everything said."""
    if policy is None:
        return None
    return workflow_pb2.RetryPolicy(
        max_attempts=policy.max_attempts or _ENDLESS,
        initial_backoff=duration(policy.initial_backoff),
        multiplier=policy.multiplier,
        max_backoff=duration(policy.max_backoff),
        jitter=policy.jitter,
        non_retryable_reasons=policy.non_retryable,
        on_exhausted=enum_to_proto(workflow_pb2.OnExhausted, "ON_EXHAUSTED", policy.exhausted),
    )


def retry_from_proto(
    step: workflow_pb2.Step | workflow_pb2.StepDefaults | workflow_pb2.Compensation,
    path: str,
    faults: Faults,
) -> RetryPolicy | None:
    """Read how a step is tried again; what is not said has its default."""
    if not step.HasField("retry"):
        return None
    message = step.retry
    faults.enum(message, "on_exhausted", f"{path}.on_exhausted")
    exhausted = enum_from_proto(workflow_pb2.OnExhausted, "ON_EXHAUSTED", Exhausted, message.on_exhausted)
    return RetryPolicy(
        max_attempts=_attempts(message, path, faults),
        initial_backoff=_backoff(message, "initial_backoff", path, faults) or _DEFAULT.initial_backoff,
        multiplier=_number(message.multiplier, f"{path}.multiplier", 1.0, _MAX_MULTIPLIER, faults)
        if message.multiplier
        else _DEFAULT.multiplier,
        max_backoff=_backoff(message, "max_backoff", path, faults) or _DEFAULT.max_backoff,
        jitter=_number(message.jitter, f"{path}.jitter", 0.0, 1.0, faults)
        if message.HasField("jitter")
        else _DEFAULT.jitter,
        non_retryable=reasons_from_proto(
            message.non_retryable_reasons, f"{path}.non_retryable_reasons", faults
        ),
        exhausted=exhausted or _DEFAULT.exhausted,
    )


def reasons_from_proto(reasons: Sequence[str], path: str, faults: Faults) -> tuple[str, ...]:
    """Read reasons of failures."""
    faults.count(path, reasons, _MAX_REASONS)
    for number, reason in enumerate(reasons[:_MAX_REASONS]):
        faults.text(f"{path}[{number}]", reason, _MAX_REASON)
    return tuple(reasons[:_MAX_REASONS])


def _attempts(message: workflow_pb2.RetryPolicy, path: str, faults: Faults) -> int:
    attempts = message.max_attempts
    if not _ENDLESS <= attempts <= _MAX_ATTEMPTS:
        faults.add(f"{path}.max_attempts", f"must be between -1 and {_MAX_ATTEMPTS:,}", Rule.OUT_OF_RANGE)
    if attempts == _ENDLESS:
        return 0
    return attempts or _DEFAULT.max_attempts


def _backoff(message: workflow_pb2.RetryPolicy, field: str, path: str, faults: Faults) -> timedelta | None:
    return read_duration(
        message,
        field,
        faults,
        path=f"{path}.{field}",
        at_least=timedelta(milliseconds=1),
        at_most=_MAX_BACKOFF,
    )


def _number(value: float, path: str, least: float, most: float, faults: Faults) -> float:
    if math.isnan(value) or not least <= value <= most:
        faults.add(path, f"must be between {least:g} and {most:g}", Rule.OUT_OF_RANGE)
    return value


def concurrency_to_proto(concurrency: Concurrency | None) -> workflow_pb2.Concurrency | None:
    """Show how many executions run at the same time."""
    if concurrency is None:
        return None
    conflict = enum_to_proto(workflow_pb2.OnConflict, "ON_CONFLICT", concurrency.on_conflict)
    return workflow_pb2.Concurrency(limit=concurrency.limit, key=concurrency.key, on_conflict=conflict)


def concurrency_from_proto(message: workflow_pb2.Workflow, faults: Faults) -> Concurrency | None:
    """Read how many executions run at the same time."""
    if not message.HasField("concurrency"):
        return None
    said = message.concurrency
    if not 1 <= said.limit <= _MAX_LIMIT:
        faults.add("workflow.concurrency.limit", f"must be between 1 and {_MAX_LIMIT:,}", Rule.OUT_OF_RANGE)
    faults.text("workflow.concurrency.key", said.key, MAX_KEY)
    faults.enum(said, "on_conflict", "workflow.concurrency.on_conflict")
    conflict = enum_from_proto(workflow_pb2.OnConflict, "ON_CONFLICT", OnConflict, said.on_conflict)
    return Concurrency(limit=said.limit, key=said.key, on_conflict=conflict or OnConflict.QUEUE)


def defaults_to_proto(defaults: StepDefaults | None) -> workflow_pb2.StepDefaults | None:
    """Show what steps have that say nothing themselves."""
    if defaults is None:
        return None
    return workflow_pb2.StepDefaults(
        retry=retry_to_proto(defaults.retry),
        timeout=duration(defaults.timeout),
        heartbeat_timeout=duration(defaults.heartbeat_timeout),
        schedule_to_close_timeout=duration(defaults.schedule_to_close_timeout),
    )


def defaults_from_proto(message: workflow_pb2.Workflow, faults: Faults) -> StepDefaults | None:
    """Read what steps have that say nothing themselves."""
    if not message.HasField("defaults"):
        return None
    said, path = message.defaults, "workflow.defaults"
    return StepDefaults(
        retry=retry_from_proto(said, f"{path}.retry", faults),
        timeout=read_time(said, "timeout", path, faults),
        heartbeat_timeout=read_time(said, "heartbeat_timeout", path, faults),
        schedule_to_close_timeout=read_time(said, "schedule_to_close_timeout", path, faults),
    )


_BOUNDS: Final = {
    "timeout": (timedelta(milliseconds=1), MAX_STEP_TIMEOUT),
    "heartbeat_timeout": (timedelta(milliseconds=100), MAX_STEP_TIMEOUT),
    "schedule_to_close_timeout": (timedelta(milliseconds=1), MAX_TIMEOUT),
}


def read_time(
    message: Message, field: str, path: str, faults: Faults, at_most: timedelta | None = None
) -> timedelta | None:
    """Read one of the times of a step; each has its own bounds, whoever says it.

    Args:
        message: What has the field.
        field: Which of them.
        path: Where the message stands.
        faults: Where faults go.
        at_most: Another upper bound.
    """
    least, most = _BOUNDS[field]
    return read_duration(
        message, field, faults, path=f"{path}.{field}", at_least=least, at_most=at_most or most
    )
