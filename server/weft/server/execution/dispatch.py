"""Calls one action, with both of its schemas enforced: the way of every step and every direct call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from weft.core.context import CallContext
from weft.core.errors import (
    ExhaustedError,
    PreconditionError,
    ResourceNotFoundError,
    ValidationError,
    Violation,
)
from weft.core.names import did_you_mean
from weft.core.payload import JsonObject, dumps, loads
from weft.core.reasons import Reason, Rule
from weft.core.schema import ANY_OBJECT, Schema, compile_schema
from weft.mesh.actions import ActionCall
from weft.mesh.caller import ActionCaller
from weft.server.registry.model import Action, Service, ServiceState
from weft.server.registry.service import RegistryService

__all__ = ["DEFAULT_TIMEOUT", "CallIdentity", "Dispatcher", "Outcome"]

DEFAULT_TIMEOUT: Final = timedelta(seconds=60)
"""How long one attempt may take when neither step nor action says."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an action gave."""

    output: JsonObject
    """As it fits the schema."""
    text: bytes
    """The same as JSON text."""
    instance_id: str
    """Who ran it."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    action: Action
    input: Schema
    output: Schema


class Dispatcher:
    """Finds an action in the registry, checks what goes in and what comes out.

    Args:
        registry: Knows services and their actions.
        caller: Knows how to reach them.
        cache_size: How many actions' compiled schemas are kept.
    """

    def __init__(self, registry: RegistryService, caller: ActionCaller, *, cache_size: int = 10_000) -> None:
        self._registry = registry
        self._caller = caller
        self._cache_size = cache_size
        self._compiled: OrderedDict[tuple[str, int, str], _Compiled] = OrderedDict()

    async def call(
        self,
        service_ref: str,
        action_name: str,
        make_input: Callable[[Schema], JsonObject],
        identity: CallIdentity,
        timeout: timedelta | None = None,
    ) -> Outcome:
        """Run an action.

        Args:
            service_ref: Id or name of its service.
            action_name: Which action.
            make_input: Makes the input, given the schema that it must fit.
            identity: Which call it is.
            timeout: How long it may take; none: the action's own, else 60 s.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND, ACTION_NOT_FOUND.
            PreconditionError: SERVICE_INACTIVE, ACTION_OUTPUT_INVALID, EXPRESSION_FAILED.
            ValidationError: The input does not fit.
            WeftError: As ``ActionCaller.call``.
        """
        service = await self._registry.get(service_ref)
        if service.state is ServiceState.INACTIVE:
            raise PreconditionError(
                f"service {service.name!r} is inactive", metadata={"service": service.name}
            )
        compiled = self._compile(service, action_name)
        value = make_input(compiled.input)
        violations = compiled.input.violations(value, "input")
        if violations:
            raise _input_invalid(service.name, action_name, violations)
        limit = timeout or compiled.action.timeout or DEFAULT_TIMEOUT
        call = _call(service.name, action_name, dumps(value, "input"), identity)
        reply = await self._caller.call(call, limit.total_seconds())
        output = _check_output(compiled, call, reply.output)
        return Outcome(output=output, text=reply.output, instance_id=reply.instance_id)

    def _compile(self, service: Service, action_name: str) -> _Compiled:
        key = (service.id, service.revision, action_name)
        found = self._compiled.get(key)
        if found is None:
            action = service.action(action_name)
            if action is None:
                raise _no_action(service, action_name)
            found = _Compiled(action, _schema(action.input_schema), _schema(action.output_schema))
            self._compiled[key] = found
            if len(self._compiled) > self._cache_size:
                self._compiled.popitem(last=False)
        return found


def _no_action(service: Service, name: str) -> ResourceNotFoundError:
    hint = did_you_mean(name, [action.name for action in service.actions])
    text = f"{service.name!r} has no action {name!r}"
    return ResourceNotFoundError("action", name, message=f"{text}; {hint}" if hint else text)


def _schema(definition: Mapping[str, object] | None) -> Schema:
    return ANY_OBJECT if definition is None else compile_schema(definition)


def _call(service: str, action: str, value: bytes, identity: CallIdentity) -> ActionCall:
    return ActionCall(
        service=service,
        action=action,
        input=value,
        context=identity.context,
        execution_id=identity.execution_id,
        workflow_id=identity.workflow_id,
        step_id=identity.step_id,
        attempt=identity.attempt,
        idempotency_key=identity.idempotency_key,
    )


def _input_invalid(service: str, action: str, violations: list[Violation]) -> ValidationError:
    """Say whose input has the faults: the same text ends up in the history of an execution."""
    faults = "; ".join(str(it).removeprefix("input: ") for it in violations[:_MAX_NAMED])
    return ValidationError(
        violations,
        message=f"input of {service}.{action}: {faults}",
        metadata={"service": service, "action": action},
    )


def _check_output(compiled: _Compiled, call: ActionCall, text: bytes) -> JsonObject:
    try:
        output = loads(text, "output")
    except ValidationError as error:
        if error.violations[0].reason == Rule.PAYLOAD_TOO_LARGE:
            raise ExhaustedError(
                f"{call.service}.{call.action}: {error}",
                reason=Reason.ACTION_OUTPUT_TOO_LARGE,
                metadata={"service": call.service, "action": call.action},
            ) from None
        raise _output_invalid(call, list(error.violations)) from None
    violations = compiled.output.violations(output, "output")
    if violations:
        raise _output_invalid(call, violations)
    return output


def _output_invalid(call: ActionCall, violations: list[Violation]) -> PreconditionError:
    return PreconditionError(
        f"{call.service}.{call.action} answered what its own schema forbids: {violations[0]}",
        reason=Reason.ACTION_OUTPUT_INVALID,
        metadata={"service": call.service, "action": call.action},
        violations=violations,
    )
