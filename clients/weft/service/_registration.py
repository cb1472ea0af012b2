"""Keeps one instance registered: registers, sends heartbeats, and starts again when forgotten or cut off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Protocol, TypeVar

import grpc.aio

from weft.api.common.v1 import payload_pb2
from weft.api.registry.v1 import registry_pb2, registry_service_pb2, registry_service_pb2_grpc
from weft.core.errors import Code, WeftError
from weft.core.reasons import Reason
from weft.discovery.model import Health
from weft.mesh.policies.retry import RetryPolicy, backoff
from weft.mesh.rpc import error_from_rpc
from weft.service._config import Address, HostConfig
from weft.service._health import ask
from weft.service._messages import (
    HEALTH_STATES,
    register_instance_request,
    register_service_request,
    replaced_actions,
)
from weft.service._model import ServiceDefinition
from weft.service._return import Return
from weft.service._threads import Threads
from weft.service._way import RegistryWay

__all__ = ["Registration"]

_log = logging.getLogger("weft.service")

_RPC_TIMEOUT: Final = timedelta(seconds=5)
_DEREGISTER_TIMEOUT: Final = timedelta(seconds=2)

_RETRIES: Final = RetryPolicy(base_delay=timedelta(seconds=0.2), max_delay=timedelta(seconds=5))
_MOST_RETRIES: Final = 16
"""From here on the wait no longer grows, and counting on would overflow it."""

_REFUSALS: Final = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.ALREADY_EXISTS,
        Code.PERMISSION_DENIED,
        Code.UNAUTHENTICATED,
        Code.UNIMPLEMENTED,
    }
)
"""What the same request gets again tomorrow."""

_Response_co = TypeVar("_Response_co", covariant=True)


class _Method(Protocol[_Response_co]):
    """A unary RPC of a stub."""

    def __call__(self, request: Any, *, timeout: float) -> Awaitable[_Response_co]: ...


class Registration:
    """The registration of one instance at one server.

    Attributes:
        registered: Set while the server knows the instance.
        attempted: Set once it was tried.
        channel: To the server.

    Args:
        service: What is registered.
        instance_id: The instance's id.
        address: Where callers dial it.
        server: ``host:port`` of the registry, or a target such as ``consul://weft-registry``.
        config: Time to live, clock and chance.
    """

    def __init__(
        self, service: ServiceDefinition, instance_id: str, address: Address, server: str, config: HostConfig
    ) -> None:
        self.registered = asyncio.Event()
        self.attempted = asyncio.Event()
        self._service = service
        self._instance_id = instance_id
        self._server = server
        self._config = config
        self._service_request = register_service_request(service)
        self._instance_request = register_instance_request(service, instance_id, address, config)
        self._threads = Threads(1, f"weft-{service.name}-health")
        self._way = RegistryWay(server, config)
        self.channel = self._way.channel
        self._return = Return(self.channel, config.clock, config.chance)
        self._stub = registry_service_pb2_grpc.RegistryServiceStub(self.channel)
        self._interval = config.ttl / 3
        self._failures = 0
        self._known = False
        """Whether the server took us once."""
        self._token = ""
        self._replaced = False
        """Whether somebody else has registered under our id since."""

    async def run(self) -> None:
        """Register, then send heartbeats for ever; at once when the registry is back that was away.

        Raises:
            WeftError: The server refused the registration before it ever took it.
        """
        watching = asyncio.create_task(self._return.watch(), name=f"connection of {self._instance_id}")
        try:
            await self._keep()
        finally:
            watching.cancel()
            await asyncio.wait((watching,))

    async def _keep(self) -> None:
        while True:
            try:
                if self.registered.is_set():
                    wait = await self._heartbeat()
                    self._reached()
                else:
                    wait = await self._register()
                self._failures = 0
                self._return.told()
            except WeftError as error:
                wait = self._failed(error)
            self.attempted.set()
            await self._rest(wait)

    async def _rest(self, wait: timedelta) -> None:
        """Wait for the next time, or until the registry is back."""
        rest = [
            asyncio.ensure_future(self._config.clock.sleep(wait.total_seconds())),
            asyncio.ensure_future(self._return.seen.wait()),
        ]
        try:
            await asyncio.wait(rest, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in rest:
                waiting.cancel()
        self._return.seen.clear()

    async def close(self) -> None:
        """Deregister the instance, as far as the server can be reached, and hang up."""
        request = registry_service_pb2.DeregisterInstanceRequest(
            instance_id=self._instance_id, registration_token=self._token
        )
        try:
            with suppress(WeftError):  # without it the time to live ends the registration
                await _rpc(self._stub.DeregisterInstance, request, _DEREGISTER_TIMEOUT)
        finally:
            self.registered.clear()
            self._threads.close()
            await self._way.close()

    async def _register(self) -> timedelta:
        request = self._instance_request
        health, request.instance.health_note = await self._health()
        request.instance.health = HEALTH_STATES[health]
        before = await self._registered_service()
        await _rpc(self._stub.RegisterService, self._service_request)
        self._log_replaced(before)
        response = await _rpc(self._stub.RegisterInstance, request)
        self._interval = response.heartbeat_interval.ToTimedelta() or self._config.ttl / 3
        _log.info("%s registered%s at %s", self._instance_id, " again" if self._known else "", self._server)
        self._known = True
        self._token, self._replaced = response.registration_token, False
        self.registered.set()
        return self._interval

    async def _registered_service(self) -> registry_pb2.Service | None:
        """Return the service of our name as it is registered, as far as we may know."""
        request = registry_service_pb2.GetServiceRequest(
            service=self._service.name, payload_kind=payload_pb2.PAYLOAD_KIND_JSON
        )
        try:
            return (await _rpc(self._stub.GetService, request)).service
        except WeftError as error:
            if error.retryable:
                raise
            return None

    def _log_replaced(self, before: registry_pb2.Service | None) -> None:
        """Say what others may miss: two services of one name take each other's actions away."""
        if before is None:
            return
        removed, changed = replaced_actions(before, self._service_request.service)
        if removed:
            _log.warning(
                "%s at %s no longer has %s: the actions of this registration replaced them; "
                "is another service of that name running?",
                self._service.name,
                self._server,
                ", ".join(removed),
            )
        if changed:
            _log.info("%s at %s: %s changed", self._service.name, self._server, ", ".join(changed))

    async def _heartbeat(self) -> timedelta:
        health, note = await self._health()
        request = registry_service_pb2.HeartbeatRequest(
            instance_id=self._instance_id,
            health=HEALTH_STATES[health],
            health_note=note,
            registration_token=self._token,
        )
        try:
            await _rpc(self._stub.Heartbeat, request)
        except WeftError as error:
            if error.reason == Reason.INSTANCE_REPLACED:
                self._note_replaced()
                return self._interval
            if error.code is not Code.NOT_FOUND:
                raise
            _log.warning("%s is not known to %s any more, registering again", self._instance_id, self._server)
            self.registered.clear()
            return timedelta()
        return self._interval

    def _note_replaced(self) -> None:
        """Leave the id to whoever has it now: to register again would end in taking turns."""
        if not self._replaced:
            self._replaced = True
            _log.warning(
                "%s was registered at %s by another process since; "
                "this one gets no calls until that one is gone",
                self._instance_id,
                self._server,
            )

    async def _health(self) -> tuple[Health, str]:
        return await ask(self._service.health_check, self._threads, self._interval)

    def _reached(self) -> None:
        if self._failures and self.registered.is_set():
            _log.info("%s reached %s again", self._instance_id, self._server)

    def _failed(self, error: WeftError) -> timedelta:
        """Return how long to wait, or raise what waiting does not help."""
        if error.code in _REFUSALS and not self._known:
            error.add_note(f"while registering {self._service.name} at {self._server}")
            raise error
        if self._failures == 0:
            _log.warning(
                "%s cannot reach the registry at %s, trying again every %g s or sooner: %s",
                self._instance_id,
                self._server,
                _RETRIES.max_delay.total_seconds(),
                error,
            )
        self._failures = min(self._failures + 1, _MOST_RETRIES)
        own = backoff(_RETRIES, self._failures, self._config.chance)
        return max(own, error.retry_after or timedelta())


async def _rpc(
    method: _Method[_Response_co], request: object, timeout: timedelta = _RPC_TIMEOUT
) -> _Response_co:
    try:
        return await method(request, timeout=timeout.total_seconds())
    except grpc.aio.AioRpcError as error:
        raise error_from_rpc(error, "registry") from error
