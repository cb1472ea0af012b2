"""One running instance of a service: its gRPC server, its registration, its end."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from weft.api.action.v1 import action_service_pb2, action_service_pb2_grpc
from weft.core.names import INSTANCE_PREFIX, new_id
from weft.mesh.reflection_server import add_reflection
from weft.mesh.rpc import make_server
from weft.mesh.tracing.interceptors import TracingServerInterceptor
from weft.service._calls import Calls
from weft.service._config import Address, HostConfig, parse_address
from weft.service._model import ServiceDefinition
from weft.service._registration import Registration
from weft.service._runner import Runner
from weft.service._servicer import ActionServicer
from weft.service._threads import Threads

if TYPE_CHECKING:
    from weft.service._consul import ConsulRegistration

__all__ = ["Host"]

_log = logging.getLogger("weft.service")

_ACTION_SERVICE: Final = action_service_pb2.DESCRIPTOR.services_by_name["ActionService"].full_name
_FLUSH_SECONDS: Final = 0.5
_QUIET: Final = 0.1
"""Seconds without a late call, before the server stops."""
_LONGEST_QUIET: Final = 2.0
"""For the last answers to leave, and the most that a watcher of our health delays the end."""


class Host:
    """A service that is being hosted; made by ``Service.hosted``.

    Attributes:
        address: ``host:port`` that it serves on.
        instance_id: Id of this instance in the registry.
        registered: Set while the registry knows this instance.
    """

    def __init__(self, service: ServiceDefinition, config: HostConfig) -> None:
        self.address = ""
        self.instance_id = config.instance_id or _instance_id(service.name)
        self.registered = asyncio.Event()
        self._service = service
        self._config = config
        self._calls = Calls(service.name)
        self._threads = Threads(config.threads, f"weft-{service.name}")
        runner = Runner(service, self._threads, config.clock)
        self._servicer = ActionServicer(service, self._calls, runner)
        self._health = health.aio.HealthServicer()
        self._server = make_server((TracingServerInterceptor(),))
        self._registration: Registration | None = None
        self._registering: asyncio.Task[None] | None = None
        self._consul: ConsulRegistration | None = None

    async def start(self) -> None:
        """Serve, then register; what cannot be reached for that is tried again in the background.

        Raises:
            OSError: The address to listen on cannot be had.
            WeftError: The registry refused the registration.
        """
        address = self._bind()
        self.address = str(address)
        await self._add_services()
        await self._server.start()
        _log.info("%s at %s", _summary(self._service), self.address)
        chosen = self._config.advertise
        advertised = parse_address(chosen, "advertise") if chosen else address
        if self._config.consul is not None:
            from weft.service._consul import ConsulRegistration  # noqa: PLC0415 - slow to import, and not all use it

            self._consul = ConsulRegistration(self._service, self.instance_id, advertised, self._config)
            self._consul.start()
        if self._config.server is not None:
            await self._register(advertised, self._config.server)
        if self._consul is not None:
            await self._consul.begun()

    async def wait(self) -> None:
        """Wait for ever, or until the registry refuses the registration.

        Raises:
            WeftError: It did.
        """
        if self._registering is not None:
            await asyncio.shield(self._registering)
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """Deregister, linger, refuse new calls, let the running ones finish, and end.

        Cancelling it skips the wait for running calls.
        """
        if self.address:
            _log.info("%s stopping", self.instance_id)
        try:
            await self._deregister()
            await self._config.clock.sleep(self._config.linger.total_seconds())
            await self._drain()
        finally:
            await self._halt()

    def _bind(self) -> Address:
        wanted = parse_address(self._config.listen, "listen")
        try:
            port = self._server.add_insecure_port(str(wanted))
        except RuntimeError:  # it says no more than that
            raise OSError(
                f"cannot listen on {wanted}: the port is taken or the address is not here"
            ) from None
        return Address(wanted.host, port)

    async def _add_services(self) -> None:
        action_service_pb2_grpc.add_ActionServiceServicer_to_server(self._servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for name in ("", _ACTION_SERVICE, self._service.name):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        add_reflection((_ACTION_SERVICE, health.SERVICE_NAME), self._server)

    async def _register(self, address: Address, server: str) -> None:
        registration = Registration(self._service, self.instance_id, address, server, self._config)
        self._registration = registration
        self._servicer.attempts.use(registration.channel)
        self.registered = registration.registered
        self._registering = asyncio.create_task(
            registration.run(), name=f"registration of {self.instance_id}"
        )
        attempted = asyncio.create_task(registration.attempted.wait())
        try:
            await asyncio.wait((attempted, self._registering), return_when=asyncio.FIRST_COMPLETED)
        finally:
            attempted.cancel()
        if self._registering.done():
            self._registering.result()
        self._registering.add_done_callback(_log_refusal)

    async def _deregister(self) -> None:
        leaving = [self._leave_registry()]
        if self._consul is not None:
            leaving.append(self._consul.close())
        await asyncio.gather(*leaving)

    async def _leave_registry(self) -> None:
        if self._registering is not None:
            self._registering.cancel()
            await asyncio.wait((self._registering,))
        if self._registration is not None:
            self._servicer.attempts.use(None)
            await self._registration.close()
            self._registration = None

    async def _drain(self) -> None:
        self._calls.refuse()
        self._servicer.streams.drain()
        with suppress(TimeoutError):  # a watcher that does not read would hold this up for ever
            async with asyncio.timeout(1.0):
                await self._health.enter_graceful_shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._config.drain.total_seconds()):
                await self._calls.finished()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_QUIET):
                await self._calls.quiet(_QUIET)

    async def _halt(self) -> None:
        self._calls.refuse()
        cut = await self._calls.halt()
        if cut:
            _log.warning("%s stopped with %d calls unfinished", self.instance_id, cut)
        await self._servicer.streams.finish(_FLUSH_SECONDS)
        await self._server.stop(_FLUSH_SECONDS)
        self._threads.close()


def _summary(service: ServiceDefinition) -> str:
    name = f"{service.name} {service.version}".rstrip()
    return f"{name}: {', '.join(service.actions)}"


def _instance_id(name: str) -> str:
    return f"{name}-{new_id(INSTANCE_PREFIX).removeprefix(f'{INSTANCE_PREFIX}_')}"


def _log_refusal(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("serving on without being registered: %s", error)
