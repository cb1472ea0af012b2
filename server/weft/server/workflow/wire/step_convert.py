"""Steps, and steps inside of them: messages to their model, and back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

from weft.api.common.v1 import payload_pb2
from weft.api.workflow.v1 import workflow_pb2
from weft.core.definitions import MAX_NESTING, MAX_STEPS, TOO_DEEP, too_many_steps
from weft.core.payload import JsonObject, PayloadKind
from weft.core.reasons import Rule
from weft.server.protos import duration, optional_object
from weft.server.requests import Faults
from weft.server.workflow.model import Step
from weft.server.workflow.wire.care_convert import (
    cache_from_proto,
    cache_to_proto,
    compensation_from_proto,
    compensation_to_proto,
    handlers_from_proto,
    handlers_to_proto,
    limit_from_proto,
    limit_to_proto,
)
from weft.server.workflow.wire.kind_convert import kind_from_proto, kind_to_proto
from weft.server.workflow.wire.nested import nested_object
from weft.server.workflow.wire.policy_convert import (
    MAX_TIMEOUT,
    read_time,
    retry_from_proto,
    retry_to_proto,
)

__all__ = ["StepReader", "payloads_of", "steps_to_proto"]


class StepReader:
    """Reads all steps of one workflow, never more or deeper than there may be.

    Args:
        faults: Where faults go.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._left = MAX_STEPS
        self._told = False

    def steps(
        self, messages: Sequence[workflow_pb2.Step], path: str, *, nesting: int = 1
    ) -> tuple[Step, ...]:
        """Read a list of steps, with all that is inside of them."""
        if nesting > MAX_NESTING and messages:
            self._faults.add(path, TOO_DEEP, Rule.TOO_DEEP)
            return ()
        taken = messages[: self._left]
        self._left -= len(taken)
        if len(taken) < len(messages):
            self._refuse_more(path, len(messages))
        return tuple(
            self._step(message, f"{path}[{number}]", nesting) for number, message in enumerate(taken)
        )

    def _refuse_more(self, path: str, count: int) -> None:
        if not self._told:
            self._faults.extend([too_many_steps(path, count)])
        self._told = True

    def _step(self, message: workflow_pb2.Step, path: str, nesting: int) -> Step:
        faults = self._faults
        longest = None if message.WhichOneof("kind") is None else MAX_TIMEOUT
        return Step(
            id=message.id,
            service=message.service,
            action=message.action,
            next=message.next,
            input=self._object(message, "input", path),
            timeout=read_time(message, "timeout", path, faults, longest),
            description=message.description,
            service_version=message.service_version,
            retry=retry_from_proto(message, f"{path}.retry", faults),
            schedule_to_close_timeout=read_time(message, "schedule_to_close_timeout", path, faults),
            heartbeat_timeout=read_time(message, "heartbeat_timeout", path, faults),
            output=self._object(message, "output", path),
            on_error=handlers_from_proto(message, path, faults),
            compensate=compensation_from_proto(message, path, faults),
            cache=cache_from_proto(message, path, faults),
            limit=limit_from_proto(message, path, faults),
            at_most_once=message.at_most_once,
            does=kind_from_proto(message, path, faults, partial(self.steps, nesting=nesting + 1)),
        )

    def _object(self, message: workflow_pb2.Step, field: str, path: str) -> JsonObject | None:
        return self._faults.attempt(lambda: optional_object(message, field, f"{path}.{field}"), None)


def steps_to_proto(steps: Sequence[Step], kind: PayloadKind) -> list[workflow_pb2.Step]:
    """Show a list of steps, with all that is inside of them."""
    return [_step_to_proto(step, kind) for step in steps]


def _step_to_proto(step: Step, kind: PayloadKind) -> workflow_pb2.Step:
    return workflow_pb2.Step(
        id=step.id,
        service=step.service,
        action=step.action,
        next=step.next,
        input=nested_object(step.input, kind),
        timeout=duration(step.timeout),
        description=step.description,
        service_version=step.service_version,
        retry=retry_to_proto(step.retry),
        schedule_to_close_timeout=duration(step.schedule_to_close_timeout),
        heartbeat_timeout=duration(step.heartbeat_timeout),
        output=nested_object(step.output, kind),
        on_error=handlers_to_proto(step.on_error),
        compensate=compensation_to_proto(step.compensate, kind),
        cache=cache_to_proto(step.cache),
        limit=limit_to_proto(step.limit),
        at_most_once=step.at_most_once,
        **kind_to_proto(step.does, kind, partial(steps_to_proto, kind=kind)),
    )


def payloads_of(message: workflow_pb2.Workflow) -> Iterator[payload_pb2.Payload]:
    """Yield what the steps of a workflow carry, those inside of others last."""
    for step in islice(_every_step(message), MAX_STEPS):
        yield step.input
        yield step.output
        yield step.compensate.input
        yield step.set
        yield step.signal.schema
        yield step.approval.schema
        yield step.emit.data
        yield step.succeed.result


def _every_step(message: workflow_pb2.Workflow) -> Iterator[workflow_pb2.Step]:
    pending = deque([message.steps, getattr(message, "finally")])
    while pending:
        for step in pending.popleft():
            yield step
            pending.extend(branch.steps for branch in step.parallel.branches)
            pending.extend((step.map.steps, step.loop.steps))
