"""Reads what a gRPC server can do: by reflection, from a descriptor set, or from its ActionService."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import grpc.aio

from weft.core.errors import PreconditionError, ValidationError, Violation, WeftError
from weft.core.names import ACTION_NAME, check_name
from weft.core.reasons import Reason
from weft.core.schema import compile_schema
from weft.discovery.model import Endpoint
from weft.discovery.target import Target
from weft.mesh.dynamic.actions import ACTION_SERVICE, DerivedAction, derive_actions, list_actions
from weft.mesh.dynamic.descriptors import ServiceDescriptors
from weft.mesh.dynamic.effort import Effort
from weft.mesh.dynamic.reflection import read_descriptors
from weft.server.registry.derive import MAX_DESCRIPTOR_SET, Derived
from weft.server.registry.model import Action, Service

__all__ = ["Dial", "GrpcActionSource", "check_methods"]

Dial = Callable[[Endpoint | Target], grpc.aio.Channel]
"""Makes a channel to what a registration names; it is closed after use."""

_T = TypeVar("_T")

_FIELD: Final = "service.descriptor_set"


class GrpcActionSource:
    """Asks gRPC servers, over channels that somebody else makes.

    A server that has ActionService offers what that lists; any other one its
    RPCs. One that refuses reflection may still list its actions.

    Schemas are made in a thread: those of a large service take seconds. It is one
    thread, so that many registrations do not slow everything else down.

    Args:
        dial: Makes a channel.
    """

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._thread = ThreadPoolExecutor(1, "weft-derive")

    async def __call__(
        self, where: Endpoint | Target | None, descriptor_set: bytes, grpc_services: tuple[str, ...], /
    ) -> Derived:
        """Return actions and descriptors; see ``ActionSource``."""
        if descriptor_set:
            return await self._apart(lambda effort: _of_set(descriptor_set, grpc_services, effort))
        if where is None:
            raise PreconditionError("there is nobody to ask", reason=Reason.DESCRIPTORS_UNAVAILABLE)
        channel = self._dial(where)
        try:
            return await self._ask(channel, _shown(where), grpc_services)
        finally:
            await channel.close()

    async def _ask(self, channel: grpc.aio.Channel, peer: str, grpc_services: tuple[str, ...]) -> Derived:
        try:
            descriptors = await read_descriptors(channel, peer, services=grpc_services)
        except WeftError as refusal:
            if grpc_services:
                raise
            return await self._listed_at_least(channel, peer, refusal)
        if grpc_services or ACTION_SERVICE not in descriptors.services:
            return await self._apart(lambda effort: _of_descriptors(descriptors, grpc_services, effort))
        listed = await list_actions(channel, peer)
        actions = await self._apart(lambda _: _checked(listed))
        foreign = {action.grpc_method.rpartition("/")[0] for action in actions if action.grpc_method}
        content = descriptors.to_descriptor_set(sorted(foreign)) if foreign else b""
        return Derived(actions=actions, descriptor_set=_within_limit(content, peer))

    async def _listed_at_least(self, channel: grpc.aio.Channel, peer: str, refusal: WeftError) -> Derived:
        """Return the actions that a server without reflection lists; with no list either, fail as before."""
        try:
            listed = await list_actions(channel, peer)
            actions = await self._apart(lambda _: _checked(listed))
        except ValidationError:
            raise
        except WeftError:
            raise refusal from None
        if not actions or any(action.grpc_method for action in actions):
            raise refusal
        return Derived(actions=actions)

    async def _apart(self, compute: Callable[[Effort], _T]) -> _T:
        """Compute without holding up the loop; what nobody waits for any more soon ends."""
        effort = Effort()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, compute, effort)
        except asyncio.CancelledError:
            effort.left = 0
            raise


def check_methods(service: Service, actions: Sequence[Action]) -> None:
    """Refuse actions of a registered service whose RPCs are not among its descriptors.

    Raises:
        ValidationError: With each of them.
    """
    named = [(number, it.grpc_method) for number, it in enumerate(actions) if it.grpc_method]
    if not named:
        return
    known = ServiceDescriptors.from_set(service.descriptor_set) if service.descriptor_set else None
    methods = {method.full_name for method in known.methods()} if known else set[str]()
    faults = [
        Violation(
            f"service.actions[{number}].grpc_method",
            f"the service has no descriptors of {method[:200]!r}: register it again with them",
        )
        for number, method in named
        if method not in methods
    ]
    if faults:
        raise ValidationError(faults)


def _of_set(descriptor_set: bytes, grpc_services: tuple[str, ...], effort: Effort) -> Derived:
    return _of_descriptors(ServiceDescriptors.from_set(descriptor_set, _FIELD), grpc_services, effort)


def _of_descriptors(
    descriptors: ServiceDescriptors, grpc_services: tuple[str, ...], effort: Effort
) -> Derived:
    # What is made here keeps the limits of a registration; to check it again would take as long.
    actions = tuple(_action(it) for it in derive_actions(descriptors, grpc_services, effort=effort))
    services = sorted({action.grpc_method.rpartition("/")[0] for action in actions})
    content = descriptors.to_descriptor_set(services)
    return Derived(actions=actions, descriptor_set=_within_limit(content, ", ".join(services)))


def _within_limit(content: bytes, of: str) -> bytes:
    if len(content) > MAX_DESCRIPTOR_SET:
        text = f"the descriptors of {of} have {len(content):,} bytes, at most {MAX_DESCRIPTOR_SET:,} are kept"
        raise PreconditionError(text, reason=Reason.DESCRIPTORS_UNAVAILABLE)
    return content


def _checked(found: Sequence[DerivedAction]) -> tuple[Action, ...]:
    """Hold what a server says to the limits of every registration.

    Raises:
        ValidationError: A name or a schema is not allowed.
    """
    faults: list[Violation] = []
    for number, it in enumerate(found):
        path = f"service.actions[{number}]"
        faults.extend(check_name(f"{path}.name", it.name, ACTION_NAME))
        for name, schema in (("input_schema", it.input_schema), ("output_schema", it.output_schema)):
            try:
                if schema is not None:
                    compile_schema(schema, f"{path}.{name}")
            except ValidationError as error:
                faults.extend(error.violations)
    faults.extend(_compensations(found))
    if faults:
        raise ValidationError(faults)
    return tuple(_action(it) for it in found)


def _compensations(found: Sequence[DerivedAction]) -> list[Violation]:
    names = {it.name for it in found}
    return [
        Violation(f"service.actions[{number}].compensation", f"{it.compensation[:200]!r} cannot undo it")
        for number, it in enumerate(found)
        if it.compensation and it.compensation not in names - {it.name}
    ]


def _action(it: DerivedAction) -> Action:
    return Action(
        name=it.name,
        description=it.description,
        input_schema=it.input_schema,
        output_schema=it.output_schema,
        idempotent=it.idempotent,
        timeout=it.timeout,
        grpc_method=it.grpc_method,
        compensation=it.compensation,
    )


def _shown(where: Endpoint | Target) -> str:
    return f"grpc://{where.address}" if isinstance(where, Endpoint) else str(where)
