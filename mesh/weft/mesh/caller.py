"""Calls an action by name: finds an instance, connects, fails over, gives up in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from weft.core.errors import Code, ResourceNotFoundError, WeftError
from weft.core.reasons import DOMAIN, Reason
from weft.discovery.model import Protocol
from weft.discovery.target import Target
from weft.mesh.actions import ActionCall, ActionReply, ActionTransport, UnreachableError
from weft.mesh.balancing import Node
from weft.mesh.mesh import Mesh
from weft.mesh.route import Route

__all__ = ["ActionCaller"]

_log = logging.getLogger("weft.mesh")

_FIRST_PAUSE: Final = 0.1
_LAST_PAUSE: Final = 1.0
"""Seconds between rounds of dialling the instances that could not be connected."""

_LEAST: Final = 0.001
"""Seconds that an attempt is given at least, so that it ends by its own timer."""

_MISPLACED: Final = frozenset({Reason.ACTION_NOT_FOUND, Reason.SERVICE_NOT_FOUND})
"""What an instance says that does not have the action; an action's own words are in another domain."""

_MOST_TARGETS: Final = 1_000
"""Services whose targets are kept, so that none is made anew for every call."""

_AGAINST: Final = frozenset({Reason.ACTION_UNAVAILABLE, Reason.ACTION_TIMEOUT})
"""What the transports say of an instance that broke or did not answer."""


class ActionCaller:
    """Calls actions over whatever their instances speak.

    An instance that cannot be connected is passed over within the same call:
    nothing was sent, so nothing can run twice. So is one that does not have the
    action, such as a program that took over the port of one that died: nothing ran.
    When none can be connected, or there is none, the call waits for one to come
    (back). After an action may have run there is no second try here; that is the
    business of who knows whether it is safe.

    Args:
        mesh: Finds instances and balances; stays open.
        transports: How to reach them, by protocol; closed with the caller.
        source: Scheme of the source that knows the services.
        instance_wait: How long a call waits for an instance that can be connected, once the source
            has answered; it has ``CallOptions.first_answer`` for that, or as long if that is more.
    """

    def __init__(
        self,
        mesh: Mesh,
        transports: Mapping[Protocol, ActionTransport],
        *,
        source: str = "weft",
        instance_wait: timedelta = timedelta(seconds=10),
    ) -> None:
        self._mesh = mesh
        self._transports = transports
        self._source = source
        self._instance_wait = instance_wait.total_seconds()
        self._first_answer = max(mesh.config.calls.first_answer, instance_wait).total_seconds()
        self._targets: dict[str, Target] = {}

    async def call(self, call: ActionCall, timeout: float) -> ActionReply:
        """Run an action at one of its service's instances.

        Args:
            call: What to run.
            timeout: Seconds that it may take in all.

        Raises:
            ServiceUnavailableError: NO_INSTANCE, or ACTION_UNAVAILABLE.
            PreconditionError: VERSION_NOT_AVAILABLE, at once: there are instances, all of other versions.
            WeftError: As ``ActionTransport.invoke``.
        """
        target = self._targets.get(call.service) or self._target(call.service)
        route = self._mesh.route(target, protocol=None, versions=call.versions)
        route.running += 1
        try:
            return await self._call(route, call, timeout)
        finally:
            route.running -= 1

    def _target(self, service: str) -> Target:
        if len(self._targets) >= _MOST_TARGETS:
            self._targets.clear()
        target = self._targets[service] = Target(scheme=self._source, name=service)
        return target

    async def _call(self, route: Route, call: ActionCall, timeout: float) -> ActionReply:
        now = asyncio.get_running_loop().time
        deadline = now() + timeout
        until = now() + self._instance_wait if route.known else await self._asked(route, deadline)
        give_up = min(until, deadline)
        tried: set[Node] = set()
        unreachable: UnreachableError | None = None
        misplaced: ResourceNotFoundError | None = None
        pause = _FIRST_PAUSE
        while True:
            if unreachable is not None and now() >= deadline:
                raise unreachable
            node = route.pick(call.execution_id, tried)
            if node is None and misplaced is not None:
                raise misplaced
            if node is None:
                left = give_up - now()
                _check_hope(route, call, left, unreachable)
                await route.moment(min(pause, left) if tried else left)
                pause = min(pause * 2, _LAST_PAUSE)
                tried.clear()
                continue
            try:
                return await self._invoke(route, node, call, deadline)
            except UnreachableError as error:
                _log.debug("%s", error)
                tried.add(node)
                unreachable = error
            except ResourceNotFoundError as error:
                if error.domain != DOMAIN or error.reason not in _MISPLACED:
                    raise
                tried.add(node)
                misplaced = error

    async def _asked(self, route: Route, deadline: float) -> float:
        """Wait for the source's first answer, then return until when to wait for an instance."""
        now = asyncio.get_running_loop().time
        end = min(deadline, now() + self._first_answer)
        while not (route.known or route.closed) and (left := end - now()) > 0:
            await route.moment(left)
        return now() + self._instance_wait if route.known else end

    async def _invoke(self, route: Route, node: Node, call: ActionCall, deadline: float) -> ActionReply:
        now = asyncio.get_running_loop().time
        started = now()
        endpoint = node.endpoint
        failed: bool | None = None
        try:
            timeout = max(_LEAST, deadline - started)
            output = await self._transports[endpoint.protocol].invoke(endpoint, call, timeout)
            failed = False
        except WeftError as error:
            failed = _speaks_against(error, call, deadline - now())
            if endpoint.instance_id:
                error.metadata.setdefault("instance_id", endpoint.instance_id)
            raise
        finally:
            route.done(node, failed, now() - started)
        if output is None:
            return ActionReply(output=b"", instance_id=endpoint.instance_id, pending=True)
        return ActionReply(output=output, instance_id=endpoint.instance_id)

    async def close(self) -> None:
        """Close every connection of the transports' own."""
        for transport in self._transports.values():
            await transport.close()


def _check_hope(route: Route, call: ActionCall, left: float, unreachable: UnreachableError | None) -> None:
    """Raise when no instance can be called, and waiting for one is over or would not help."""
    error = route.unavailable()
    if left > 0 and error.retryable and not route.closed:
        return
    error.metadata.setdefault("action", call.action)
    raise unreachable or error


def _speaks_against(error: WeftError, call: ActionCall, left: float) -> bool | None:
    """Tell whether the end of a call speaks against the instance: it is gone, too slow, or overloaded.

    What the action itself says does not, nor what it passes on of another service.
    """
    if isinstance(error, UnreachableError):
        return True if left > 0 else None  # else time ran out for connecting; it is not to blame
    if error.code is Code.RESOURCE_EXHAUSTED:
        return error.reason != Reason.ACTION_OUTPUT_TOO_LARGE
    return error.reason in _AGAINST and error.metadata.get("service", call.service) == call.service
