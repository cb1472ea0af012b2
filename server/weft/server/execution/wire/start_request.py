"""Requests to start an execution."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import orjson

from weft.api.common.v1 import context_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.core.context import CallContext, current_log_context
from weft.core.names import EXECUTION_KEY, EXECUTION_PREFIX, check_name, is_id, new_id
from weft.core.payload import JsonObject, from_payload
from weft.core.reasons import Rule
from weft.server.execution.engine.dispatch import rewrite
from weft.server.execution.starting.attributes import Attributes, read_attributes
from weft.server.execution.starting.start_commands import KeyConflict, KeyReuse, StartCommand
from weft.server.protos import enum_from_proto
from weft.server.requests import Faults, fingerprint, read_context, read_duration
from weft.server.store.base import RequestKey
from weft.server.workflow.aliases import check_alias

__all__ = ["read_start", "with_request_id"]

_SERVICE: Final = "weft.api.execution.v1.ExecutionService"
_START_KEY: Final = f"{_SERVICE}/Start"
"""Shared by StartExecution and ExecuteWorkflow, so that either joins what the other started."""
_MAX_TIMEOUT: Final = timedelta(days=365)
_INTEGERS: Final = 2.0**63
"""Whole numbers up to this size are written as integers."""
_NOTHING: Final[JsonObject] = {}

_StartRequest = pb.StartExecutionRequest | pb.ExecuteWorkflowRequest


def read_start(request: _StartRequest, rpc: str) -> StartCommand:
    """Read what to start, and how; the RPC is the one that was called, by its name.

    Raises:
        ValidationError: It has faults: all of them.
    """
    faults = Faults(request)
    faults.ref("workflow", request.workflow)
    if request.version < 0:
        faults.add("version", "must not be negative", Rule.OUT_OF_RANGE)
    if request.alias:
        check_alias("alias", request.alias, faults)
        if request.version:
            faults.add("alias", "excludes a version: give one of them")
    value = faults.attempt(lambda: from_payload(request.input, "input"), _NOTHING)
    context = read_context(request.context, faults)
    faults.key("request_id", request.request_id)
    if request.execution_key:
        faults.extend(check_name("execution_key", request.execution_key, EXECUTION_KEY))
    if is_id(request.execution_key, EXECUTION_PREFIX):  # by which that execution would be meant, not this one
        faults.add("execution_key", "has the form of an execution's id")
    timeout = read_duration(
        request, "timeout", faults, at_least=timedelta(milliseconds=1), at_most=_MAX_TIMEOUT
    )
    attributes = read_attributes(request.search_attributes, faults)
    # Not the text as it came: what is recorded is what is run, also where JSON leaves room for more readings.
    text = faults.attempt(lambda: rewrite(value, "input"), b"")
    faults.raise_any()
    return StartCommand(
        workflow=request.workflow,
        version=request.version,
        input=value,
        text=text,
        context=with_request_id(context),
        timeout=timeout,
        key=_start_key(request, rpc, value, attributes),
        execution_key=request.execution_key,
        reuse=enum_from_proto(pb.KeyReusePolicy, "KEY_REUSE_POLICY", KeyReuse, request.key_reuse_policy)
        or KeyReuse.ALLOW,
        conflict=enum_from_proto(
            pb.KeyConflictPolicy, "KEY_CONFLICT_POLICY", KeyConflict, request.key_conflict_policy
        )
        or KeyConflict.FAIL,
        attributes=attributes,
        alias=request.alias,
    )


def _start_key(
    request: _StartRequest, rpc: str, value: dict[str, Any], attributes: Attributes
) -> RequestKey | None:
    """Return a key whose content is what was asked for, whichever RPC and payload kind was used.

    The context's request id only correlates; a repeat may come with another one.
    """
    if not request.request_id:
        return None
    context = context_pb2.CallContext()
    context.CopyFrom(request.context)
    context.ClearField("request_id")
    content = fingerprint(
        request.workflow.encode(),
        str(request.version).encode(),
        orjson.dumps(_plain_numbers(value), option=orjson.OPT_SORT_KEYS),
        context.SerializeToString(deterministic=True),
        request.timeout.SerializeToString(deterministic=True),
        request.execution_key.encode(),
        # Only where there are some, so that a request of before there were any is still a repeat.
        *([orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS)] if attributes else []),
        *([b"alias", request.alias.encode()] if request.alias else []),
    )
    return RequestKey(_START_KEY, request.request_id, content, called=f"{_SERVICE}/{rpc}")


def _plain_numbers(value: Any) -> Any:
    """Write a whole number one way: JSON text may say 1.0 where a Struct is read as 1."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and -_INTEGERS <= value < _INTEGERS else value
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    return value


def with_request_id(context: CallContext) -> CallContext:
    """Give a request that names no id the one that its log lines have."""
    if context.request_id:
        return context
    return replace(context, request_id=current_log_context().get("request_id") or new_id("req"))
