"""Calls one action, with both of its schemas enforced: the way of every step and every direct call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import field
from datetime import timedelta
from typing import Final, TypeAlias

import orjson

from weft.core.context import CallContext
from weft.core.errors import (
    ExhaustedError,
    PreconditionError,
    ValidationError,
    Violation,
)
from weft.core.payload import MAX_PAYLOAD_BYTES, JsonObject, dumps, loads, tight
from weft.core.reasons import Reason, Rule
from weft.core.schema import Schema
from weft.core.values import dataclass
from weft.core.version import VersionRange
from weft.mesh.actions import ActionCall
from weft.mesh.caller import ActionCaller
from weft.server.execution.engine.schemas import ActionSchemas, SchemaCache
from weft.server.failpoints import failpoint
from weft.server.registry.model import Service, ServiceState
from weft.server.registry.service import RegistryService
from weft.server.registry.versions import Choice, choose

__all__ = ["DEFAULT_TIMEOUT", "CallIdentity", "Dispatcher", "Listening", "Outcome", "rewrite"]

DEFAULT_TIMEOUT: Final = timedelta(seconds=60)
"""How long one attempt may take when neither step nor action says."""

_ANY: Final = VersionRange()

_MOST_CHOICES: Final = 1_000
"""Services and ranges of versions whose choice is kept."""

_MAX_NAMED: Final = 20
"""How many faults the message names; the violations have them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallIdentity:
    """Which call it is, as the provider gets to know it."""

    execution_id: str = ""
    """The execution; empty for a direct call."""
    workflow_id: str = ""
    """Its workflow."""
    step_id: str = ""
    """The step."""
    attempt: int = 1
    """Which attempt."""
    idempotency_key: str = ""
    """The same for every attempt."""
    context: CallContext = field(default_factory=CallContext)
    """What travels with it."""

    @property
    def attempt_token(self) -> str:
        """What heartbeats and late outcomes of this attempt carry; empty for a direct call."""
        return f"{self.execution_id}/{self.step_id}/{self.attempt}" if self.execution_id else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """How an attempt is listened to while it runs."""

    timeout: timedelta | None = None
    """How long it may be silent."""
    details: bytes = b""
    """JSON text of what the attempt before told last."""
    pulse: Callable[[bytes], None] | None = None
    """Is given its heartbeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an action gave."""

    output: JsonObject
    """As it fits the schema."""
    text: bytes
    """The same as JSON text."""
    instance_id: str
    """Who ran it."""
    recalled: bool = False
    """Whether it was there already, and nothing was called."""
    pending: bool = False
    """Whether the action took it on and tells the outcome later; then there is no output yet."""
    limit: timedelta = DEFAULT_TIMEOUT
    """How long it may take."""
    compensation: str = ""
    """The action of the same service that undoes it, as it is registered."""


_DEAF: Final = Listening()

_PENDING: Final = Violation(
    "output", "is pending, but a direct call has no attempt to tell the outcome of", Rule.PAYLOAD_INVALID
)
"""Taken for an output, it would look as if the action had gone well."""

Recall: TypeAlias = Callable[[bytes], Awaitable[bytes | None]]
"""Returns the JSON text of an output that is there already for an input, given as JSON text."""


class Dispatcher:
    """Finds an action in the registry, checks what goes in and what comes out.

    Args:
        registry: Knows services and their actions.
        caller: Knows how to reach them.
        schemas: Keeps what was compiled.
    """

    def __init__(
        self, registry: RegistryService, caller: ActionCaller, schemas: SchemaCache | None = None
    ) -> None:
        self._registry = registry
        self._caller = caller
        self._schemas = schemas or SchemaCache()
        self._choices: dict[tuple[str, VersionRange], tuple[Service, Choice]] = {}

    async def call(
        self,
        service_ref: str,
        action_name: str,
        make_input: Callable[[Schema], JsonObject],
        identity: CallIdentity,
        timeout: timedelta | None = None,
        *,
        versions: VersionRange = _ANY,
        at_most: timedelta | None = None,
        listening: Listening = _DEAF,
        recall: Recall | None = None,
    ) -> Outcome:
        """Run an action.

        Args:
            service_ref: Id or name of its service.
            action_name: Which action.
            make_input: Makes the input, given the schema that it must fit.
            identity: Which call it is.
            timeout: How long it may take; none: the action's own, else 60 s.
            versions: Which versions of the service will do.
            at_most: A bound on all of these: nobody waits any longer.
            listening: How it is listened to meanwhile.
            recall: Is asked, with the text of the input, for an output that is there already.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND, ACTION_NOT_FOUND.
            PreconditionError: SERVICE_INACTIVE, VERSION_NOT_AVAILABLE, ACTION_OUTPUT_INVALID,
                EXPRESSION_FAILED.
            ValidationError: The input does not fit.
            WeftError: As ``ActionCaller.call``.
        """
        service = await self._registry.get(service_ref)
        _require_active(service)
        choice = self._choose(service, versions)
        schemas = self._schemas.of(service, action_name, choice.offer)
        limit = timeout or schemas.action.timeout or DEFAULT_TIMEOUT
        if at_most is not None:
            limit = min(limit, at_most)
        call = _prepare(service, choice, schemas, make_input, identity, listening)
        known = await recall(call.input) if recall is not None else None
        if known is not None:
            return Outcome(output=loads(known, "output"), text=known, instance_id="", recalled=True)
        failpoint("dispatch.before")
        reply = await self._caller.call(call, limit.total_seconds())
        failpoint("dispatch.after")
        if reply.pending:
            if not call.attempt_token:
                raise _no_output(call, [_PENDING])
            return Outcome(output={}, text=b"{}", instance_id=reply.instance_id, pending=True, limit=limit)
        return _outcome(schemas, call, reply.output, reply.instance_id)

    async def check(self, service_ref: str, action_name: str, text: bytes, versions: VersionRange) -> Outcome:
        """Check an output that an action told later.

        Raises:
            WeftError: As ``call``, of finding the action and of its output.
        """
        service = await self._registry.get(service_ref)
        choice = self._choose(service, versions)
        schemas = self._schemas.of(service, action_name, choice.offer)
        about = ActionCall(service=service.name, action=action_name, input=b"{}")
        return _outcome(schemas, about, text)

    def _choose(self, service: Service, wanted: VersionRange) -> Choice:
        """Return which of its versions is called; the same as long as the service does not change."""
        key = (service.id, wanted)
        known = self._choices.get(key)
        if known is not None and known[0] is service:
            return known[1]
        if len(self._choices) >= _MOST_CHOICES:
            self._choices.clear()
        choice = _choose(service, wanted)
        self._choices[key] = (service, choice)
        return choice


def _require_active(service: Service) -> None:
    if service.state is ServiceState.INACTIVE:
        raise PreconditionError(f"service {service.name!r} is inactive", metadata={"service": service.name})


def _prepare(
    service: Service,
    choice: Choice,
    schemas: ActionSchemas,
    make_input: Callable[[Schema], JsonObject],
    identity: CallIdentity,
    listening: Listening,
) -> ActionCall:
    """Make and check the input; only its text stays in memory while the action runs."""
    name = schemas.action.name
    value = make_input(schemas.input)
    violations = schemas.input.violations(value, "input")
    if violations:
        raise _input_invalid(service.name, name, violations)
    return ActionCall(
        service=service.name,
        action=name,
        input=dumps(value, "input"),
        context=identity.context,
        execution_id=identity.execution_id,
        workflow_id=identity.workflow_id,
        step_id=identity.step_id,
        attempt=identity.attempt,
        idempotency_key=identity.idempotency_key,
        versions=choice.instances,
        grpc_method=schemas.action.grpc_method,
        invoker=schemas.invoker,
        attempt_token=identity.attempt_token,
        heartbeat_timeout=listening.timeout,
        heartbeat_details=listening.details,
        on_heartbeat=listening.pulse,
    )


def rewrite(value: JsonObject, field: str) -> bytes:
    """Write what was just read and checked, in one form: only its size can be a fault now.

    Raises:
        ValidationError: PAYLOAD_TOO_LARGE: such as ``1e9``, which is longer written out.
    """
    text = orjson.dumps(value)
    return tight(text) if len(text) <= MAX_PAYLOAD_BYTES else dumps(value, field)


def _choose(service: Service, wanted: VersionRange) -> Choice:
    choice = choose(service, wanted)
    if choice is not None:
        return choice
    known = ", ".join(it.version for it in service.versions)
    raise PreconditionError(
        f"service {service.name!r} has no version in {wanted}; there are {known}",
        reason=Reason.VERSION_NOT_AVAILABLE,
        metadata={"service": service.name, "required": str(wanted), "available": known},
    )


def _input_invalid(service: str, action: str, violations: list[Violation]) -> ValidationError:
    """Say whose input has the faults: the same text ends up in the history of an execution."""
    faults = "; ".join(str(it).removeprefix("input: ") for it in violations[:_MAX_NAMED])
    return ValidationError(
        violations,
        message=f"input of {service}.{action}: {faults}",
        metadata={"service": service, "action": action},
    )


def _outcome(schemas: ActionSchemas, call: ActionCall, reply: bytes, instance_id: str = "") -> Outcome:
    """Check what an action gave."""
    output, text = _check_output(schemas, call, reply)
    compensation = schemas.action.compensation
    return Outcome(output=output, text=text, instance_id=instance_id, compensation=compensation)


def _check_output(schemas: ActionSchemas, call: ActionCall, reply: bytes) -> tuple[JsonObject, bytes]:
    """Return an output as it was read, and its text written anew: what is recorded is what is handed on."""
    try:
        output = loads(reply, "output")
        text = rewrite(output, "output")
    except ValidationError as error:
        if error.violations[0].reason == Rule.PAYLOAD_TOO_LARGE:
            raise ExhaustedError(
                f"{call.service}.{call.action}: {error}",
                reason=Reason.ACTION_OUTPUT_TOO_LARGE,
                metadata={"service": call.service, "action": call.action},
            ) from None
        raise _no_output(call, error.violations) from None
    violations = schemas.output.violations(output, "output")
    if violations:
        raise _output_invalid(call, "what its own schema forbids", violations)
    return output, text


def _no_output(call: ActionCall, violations: Sequence[Violation]) -> PreconditionError:
    return _output_invalid(call, "what is no output", violations)


def _output_invalid(call: ActionCall, what: str, violations: Sequence[Violation]) -> PreconditionError:
    return PreconditionError(
        f"{call.service}.{call.action} answered {what}: {violations[0]}",
        reason=Reason.ACTION_OUTPUT_INVALID,
        metadata={"service": call.service, "action": call.action},
        violations=violations,
    )
