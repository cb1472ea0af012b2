"""``Service``: where functions become actions, and where they are hosted from."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar, Unpack, overload

from weft.core.names import check_name
from weft.core.payload import JsonObject, dumps
from weft.core.variables import misspelt
from weft.mesh.tracing.setup import configure_tracing
from weft.service._config import HostConfig, HostOptions, host_config, span, with_environment
from weft.service._host import Host
from weft.service._logging import log_to_stderr
from weft.service._loop import run
from weft.service._model import ActionDefinition, HealthCheck, ServiceDefinition, define_action

__all__ = ["Service"]

_log = logging.getLogger("weft.service")

F = TypeVar("F", bound=Callable[..., Any])


class Service:
    """A named set of actions, written as functions.

    Args:
        name: A DNS label, unique among services.
        version: Version of the software, such as ``1.4.2``.
        description: For people; Markdown.
        metadata: Free JSON object.
        tags: Of each instance, such as ``production``.
        zone: Failure domain of each instance.
        weight: Share of calls of each instance, 1 to 10,000.
        health_check: Asked before each heartbeat, async or plain. It returns
            None when all is well, what is wrong as text (then the instance is
            CRITICAL and gets no calls), or a ``Health``.

    Raises:
        ValueError: The name, the weight or the metadata is not allowed.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str = "",
        description: str = "",
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        zone: str = "",
        weight: int = 1,
        health_check: HealthCheck | None = None,
    ) -> None:
        for violation in check_name("service name", name):
            raise ValueError(str(violation))
        if not 1 <= weight <= 10_000:
            raise ValueError(f"weight: {weight} is not between 1 and 10,000")
        self.name = name
        self._version = version
        self._description = description
        self._metadata = _checked_metadata(metadata or {})
        self._tags = (tags,) if isinstance(tags, str) else tuple(tags)
        self._zone = zone
        self._weight = weight
        self._health_check = health_check
        self._actions: dict[str, ActionDefinition] = {}

    @property
    def definition(self) -> ServiceDefinition:
        """What is hosted and registered, as it stands now.

        Raises:
            ValueError: An action is to be undone by one that is not there.
        """
        for action in self._actions.values():
            if action.compensation and action.compensation not in self._actions:
                raise ValueError(
                    f"{self.name} has no action {action.compensation!r}, which is to undo {action.name!r}"
                )
        return ServiceDefinition(
            name=self.name,
            version=self._version,
            description=self._description,
            metadata=self._metadata,
            tags=self._tags,
            zone=self._zone,
            weight=self._weight,
            actions=dict(self._actions),
            health_check=self._health_check,
        )

    @overload
    def action(self, function: F, /) -> F: ...

    @overload
    def action(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        idempotent: bool = False,
        timeout: timedelta | float | None = None,
        compensation: str = "",
    ) -> Callable[[F], F]: ...

    def action(
        self,
        function: F | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        idempotent: bool = False,
        timeout: timedelta | float | None = None,
        compensation: str = "",
    ) -> F | Callable[[F], F]:
        """Make a function an action; the function itself stays as it is.

        Args:
            function: Async, or plain: then it runs in a thread.
            name: By default the function's name.
            description: By default the function's docstring.
            idempotent: Whether running it twice has the effect of once. It is
                stored in the registry; nothing is repeated because of it yet.
            timeout: How long one call may take when the caller does not say, as
                a duration or in seconds.
            compensation: Name of the action of this service that undoes what this
                one did. It is run when an execution fails, or is cancelled, that
                has called this one; its arguments are taken from what this one
                returned, and then from what the execution knows.

        Raises:
            TypeError: A parameter or the result has no place in a JSON object.
            ValueError: The name is taken or not allowed.
        """

        def add(decorated: F) -> F:
            definition = define_action(
                decorated,
                _names_at_call(),
                name=name,
                description=description,
                idempotent=idempotent,
                timeout=None if timeout is None else span(timeout, "timeout"),
                compensation=compensation,
            )
            if definition.name in self._actions:
                raise ValueError(f"{self.name} has an action {definition.name!r} already")
            self._actions[definition.name] = definition
            return decorated

        return add if function is None else add(function)

    @asynccontextmanager
    async def hosted(self, **options: Unpack[HostOptions]) -> AsyncIterator[Host]:
        """Host the service while the block runs.

        Args:
            **options: See ``HostOptions``: server, listen, advertise, instance_id,
                ttl, consul, environment, linger, drain, threads, clock, chance.

        Raises:
            OSError: The address to listen on cannot be had.
            TypeError: There is no such option.
            ValueError: An option is not allowed, or the service has no actions.
            WeftError: The registry refuses the registration.
        """
        async with self._hosted(host_config(options, "hosted")) as host:
            yield host

    @asynccontextmanager
    async def _hosted(self, config: HostConfig) -> AsyncIterator[Host]:
        if not self._actions:
            raise ValueError(f"{self.name} has no actions: put @service.action before a function")
        host = Host(self.definition, config)
        try:
            await host.start()
            yield host
        finally:
            await host.stop()

    async def serve(self, **options: Unpack[HostOptions]) -> None:
        """Host the service until cancelled.

        Args:
            **options: As for ``hosted``.

        Raises:
            OSError: The address to listen on cannot be had.
            TypeError: There is no such option.
            ValueError: An option is not allowed, or the service has no actions.
            WeftError: The registry refuses the registration.
        """
        await self._serve(host_config(options, "serve"))

    async def _serve(self, config: HostConfig) -> None:
        async with self._hosted(config) as host:
            await host.wait()

    def run(self, **options: Unpack[HostOptions]) -> None:
        """Host the service until SIGTERM or SIGINT; a second one skips the drain.

        This is a program's main: where no logging is configured, log lines from
        INFO on go to stderr; and what is not given is read from the environment:
        ``consul`` from ``CONSUL_HTTP_ADDR`` and the like (see docs/consul.md),
        ``environment`` from ``WEFT_ENVIRONMENT``. Traces are exported as the
        ``OTEL_*`` settings say (see docs/tracing.md).

        Args:
            **options: As for ``hosted``.

        Raises:
            OSError: The address to listen on cannot be had.
            TypeError: There is no such option.
            ValueError: An option is not allowed, or the service has no actions.
            ValidationError: Every variable of the environment with a wrong value.
            WeftError: The registry refuses the registration.
        """
        config = host_config(with_environment(options, os.environ), "run")
        log_to_stderr()
        for text in misspelt(os.environ):
            _log.warning(text)
        tracing = configure_tracing(
            os.environ, self.name, service_version=self._version, instance_id=config.instance_id
        )
        try:
            run(self._serve_until_signal(config))
        finally:
            tracing.close()

    async def _serve_until_signal(self, config: HostConfig) -> None:
        serving = asyncio.create_task(self._serve(config))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(ValueError, RuntimeError):  # outside of the main thread there are no signals
                loop.add_signal_handler(number, serving.cancel)
        await asyncio.wait((serving,))
        if not serving.cancelled():
            serving.result()


def _checked_metadata(metadata: Mapping[str, Any]) -> JsonObject:
    dumps(metadata, "metadata", limit=64 * 1024)
    return dict(metadata)


def _names_at_call() -> dict[str, Any]:
    """Return the local names where the decorator stands, which annotations may use."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    return dict(frame.f_locals) if frame is not None else {}
