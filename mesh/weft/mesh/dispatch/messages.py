"""Batches as messages of a stream."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from weft.api.action.v1 import action_service_pb2 as pb
from weft.core.metadata import BAGGAGE, TRACEPARENT, TRACESTATE
from weft.core.reasons import Reason
from weft.mesh.actions import ActionCall
from weft.mesh.dispatch.ledger import Batch, Entry
from weft.mesh.grpc_actions import invocation_message
from weft.mesh.tracing.port import Metadata

__all__ = ["Outgoing", "Unsayable", "call_size", "request_message"]

_FRAME: Final = 512
"""About what names, ids and headers of one invocation take."""

_STALE: Final = str(Reason.ATTEMPT_STALE)
_TRACE: Final = frozenset({TRACEPARENT, TRACESTATE, BAGGAGE})


@dataclass(slots=True)
class Outgoing:
    """A call on its way."""

    call: ActionCall
    """What to run."""
    headers: Metadata
    """Its trace context."""
    deadline: float
    """Moment of the loop until when somebody waits."""
    future: asyncio.Future[pb.ActionResult]
    """Who waits."""


Unsayable = tuple[Entry[Outgoing], Exception]


def call_size(call: ActionCall) -> int:
    """Return about how many bytes a call takes in a message, and never much less."""
    size = _FRAME + len(call.input) + len(call.heartbeat_details)
    values = call.context.values
    if values:
        size += sum(4 * (len(key) + len(value)) + 16 for key, value in values.items())
    return size


def request_message(batch: Batch[Outgoing], now: float) -> tuple[pb.RunActionsRequest, list[Unsayable]]:
    """Write a batch; what protobuf cannot say, such as half a surrogate pair, is left out and returned.

    Args:
        batch: What to send.
        now: Moment of the loop.
    """
    message = pb.RunActionsRequest()
    unsayable: list[Unsayable] = []
    invocations = message.invocations
    for entry in batch.invocations:
        try:
            _fill(invocations.add(), entry.id, entry.value, now)
        except (TypeError, ValueError) as error:
            del invocations[-1]
            unsayable.append((entry, error))
    for number, reason in batch.cancellations:
        message.cancellations.add(id=number, reason=str(reason))
    for refusal in batch.refusals:
        message.refusals.add(id=refusal.id, reason=_STALE, attempt_token=refusal.token)
    return message, unsayable


def _fill(message: pb.ActionInvocation, number: int, outgoing: Outgoing, now: float) -> None:
    call = outgoing.call
    message.id = number
    message.service = call.service
    message.action = call.action
    message.input = call.input
    message.invocation.MergeFrom(invocation_message(call))
    nanos = max(1, int((outgoing.deadline - now) * 1_000_000_000))
    remaining = message.remaining
    remaining.seconds, remaining.nanos = divmod(nanos, 1_000_000_000)
    _fill_context(message, call)
    for key, value in outgoing.headers:
        if key in _TRACE:
            setattr(message, key, value)


def _fill_context(message: pb.ActionInvocation, call: ActionCall) -> None:
    given = call.context
    if given.project_id or given.request_id or given.values:
        context = message.context
        context.project_id, context.request_id = given.project_id, given.request_id
        if given.values:
            context.values.update(given.values)
