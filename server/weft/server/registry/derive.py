"""Actions that nobody wrote: those of a gRPC service that is registered by its address or its descriptors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Protocol

from weft.core.errors import PreconditionError, ValidationError, Violation, WeftError
from weft.core.reasons import Reason, Rule
from weft.discovery.model import Endpoint
from weft.discovery.model import Protocol as Speaks
from weft.discovery.target import Target, parse_location
from weft.server.registry.model import Action, Service

__all__ = ["MAX_ACTIONS", "MAX_DESCRIPTOR_SET", "ActionSource", "Derived", "Deriver", "speaks_grpc"]

MAX_ACTIONS: Final = 256
MAX_DESCRIPTOR_SET: Final = 1024 * 1024
"""In bytes."""
_TIMEOUT: Final = timedelta(seconds=10)
_OWN_FIELDS: Final = ("service.", "grpc_services")
_NO_DESCRIPTORS: Final = Violation(
    "service.descriptor_set",
    "is required, or an endpoint that speaks gRPC to read it from: an action names an RPC",
    Rule.REQUIRED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What a gRPC server can do."""

    actions: tuple[Action, ...]
    """An action for each of its RPCs, or those that its ActionService lists."""
    descriptor_set: bytes = b""
    """The RPCs behind the actions, with everything that they need; empty when there are none."""


class ActionSource(Protocol):
    """Reads what a gRPC server can do; the composition root gives one."""

    async def __call__(
        self, where: Endpoint | Target | None, descriptor_set: bytes, grpc_services: tuple[str, ...], /
    ) -> Derived:
        """Return actions and descriptors.

        Args:
            where: Whom to ask, when there is no descriptor set.
            descriptor_set: What is known already; empty: ask.
            grpc_services: Full names of the services to take; none: all.

        Raises:
            ValidationError: The descriptor set cannot be read, or has no such service.
            WeftError: Nobody answers, or refuses to.
        """
        ...


class Deriver:
    """Completes a registration that brings no actions, or actions that are RPCs.

    Args:
        source: Reads what a server can do.
        timeout: How long that may take.
    """

    def __init__(self, source: ActionSource, timeout: timedelta = _TIMEOUT) -> None:
        self._source = source
        self._timeout = timeout.total_seconds()

    async def complete(self, draft: Service, grpc_services: Iterable[str]) -> Service:
        """Return a draft with the actions and descriptors that it did not bring itself.

        Raises:
            ValidationError: Its descriptor set is none, or an action names an RPC that is not there.
            PreconditionError: DESCRIPTORS_UNAVAILABLE.
        """
        named = any(action.grpc_method for action in draft.actions)
        reads = speaks_grpc(draft.endpoint) and (named or not draft.actions)
        if not draft.descriptor_set and not reads:
            if named:
                raise ValidationError([_NO_DESCRIPTORS])
            return draft
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._read(draft, tuple(grpc_services) or _services_of(draft))
        except TimeoutError:
            raise _unavailable(draft, f"no answer within {self._timeout:g} s") from None
        except WeftError as error:
            if any(it.field.startswith(_OWN_FIELDS) for it in error.violations):
                raise  # it is the request that is wrong
            raise _unavailable(draft, str(error)) from error
        if draft.actions:
            _check_methods(draft, found)
            return replace(draft, descriptor_set=draft.descriptor_set or found.descriptor_set)
        _check_found(draft, found)
        return replace(draft, actions=found.actions, descriptor_set=found.descriptor_set)

    async def _read(self, draft: Service, grpc_services: tuple[str, ...]) -> Derived:
        where = parse_location(draft.endpoint) if speaks_grpc(draft.endpoint) else None
        return await self._source(where, draft.descriptor_set, grpc_services)


def _services_of(draft: Service) -> tuple[str, ...]:
    """Return the gRPC services that actions name; none: all there are."""
    return tuple(sorted({it.grpc_method.rpartition("/")[0] for it in draft.actions if it.grpc_method}))


def speaks_grpc(endpoint: str) -> bool:
    """Tell whether what an endpoint names speaks gRPC, so that it can be asked what it can do."""
    if not endpoint:
        return False
    where = parse_location(endpoint)
    return isinstance(where, Target) or where.protocol is Speaks.GRPC


def _check_methods(draft: Service, found: Derived) -> None:
    """Refuse actions whose RPCs are not among those that were read."""
    known = {action.grpc_method for action in found.actions}
    faults = [
        Violation(
            f"service.actions[{number}].grpc_method",
            f"there is no RPC {action.grpc_method[:200]!r} in the descriptors",
            Rule.INVALID,
        )
        for number, action in enumerate(draft.actions)
        if action.grpc_method and action.grpc_method not in known
    ]
    if faults:
        raise ValidationError(faults)


def _check_found(draft: Service, found: Derived) -> None:
    if not found.actions:
        raise _unavailable(draft, "it has nothing to call")
    if len(found.actions) > MAX_ACTIONS:
        text = (
            f"{len(found.actions):,} RPCs are over the limit of {MAX_ACTIONS}; name services in grpc_services"
        )
        raise ValidationError([Violation("grpc_services", text, Rule.TOO_MANY)])


def _unavailable(draft: Service, why: str) -> PreconditionError:
    where = draft.endpoint or "the descriptor set"
    return PreconditionError(
        f"the actions of {draft.name!r} cannot be read from {where}: {why}",
        reason=Reason.DESCRIPTORS_UNAVAILABLE,
        metadata={"service": draft.name, "endpoint": draft.endpoint},
    )
