"""The typed clients behind one connection."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Self

from weft.client._archive import ArchiveClient
from weft.client._batch import BatchClient
from weft.client._executions.client import ExecutionClient
from weft.client._health import HealthClient
from weft.client._registry import RegistryClient
from weft.client._schedule import ScheduleClient
from weft.client._transport.calls import CallConfig, Caller
from weft.client._transport.retries import RetryPolicies
from weft.client._workflow import WorkflowClient
from weft.client._writing.fields import DurationLike, duration
from weft.core.clock import Clock, SystemClock
from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.mesh.policies.retry import RandomSource

if TYPE_CHECKING:
    from weft.client._transport.mesh import MeshClient


class Client:
    """The services of one Weft server; made by ``connect``.

    Attributes:
        registry: Services, their instances and their health.
        workflows: Definitions and their versions.
        executions: Runs of workflows, and direct calls of actions.
        batches: One operation on many executions.
        schedules: Workflows that are started by the clock.
        archives: Executions that have ended, taken out of one store and into another.
        health: The standard health check of gRPC.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.registry = RegistryClient(caller)
        self.workflows = WorkflowClient(caller)
        self.executions = ExecutionClient(caller)
        self.batches = BatchClient(caller)
        self.schedules = ScheduleClient(caller)
        self.archives = ArchiveClient(caller)
        self.health = HealthClient(caller)

    @property
    def target(self) -> str:
        """``host:port`` of the server, or the target."""
        return self._caller.target

    async def close(self) -> None:
        """End all calls and the connection."""
        await self._caller.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def connect(
    target: str = "127.0.0.1:7420",
    *,
    timeout: DurationLike = timedelta(seconds=30),
    retry: RetryPolicies | None = None,
    mesh: MeshClient | None = None,
    clock: Clock | None = None,
    chance: RandomSource | None = None,
) -> Client:
    """Return a client of the server at that address, or at any of several; the first call connects.

    Use it as an async context manager, or ``close`` it::

        async with connect("127.0.0.1:7420") as weft:
            execution = await weft.executions.execute("greet", {"name": "Ada"})

    Args:
        target: ``host:port``, ``grpc://host:port`` or ``http://host:port``; a path is ignored.
            Or a target such as ``consul://weft-execution`` or ``static:///a:7420,b:7420``: then
            calls go to any of the servers there, and on to the next when one is gone.
        timeout: How long one attempt of a call may take, as a duration or in
            seconds. Waiting for an execution and watches have limits of their
            own.
        retry: How often each kind of call is tried; over several servers nothing else repeats.
        mesh: Looks the target up, and stays open; by default nothing is configured, which is
            enough for ``static://`` and ``dns://``.
        clock: Where waits come from.
        chance: Where jitter comes from; by default the ``random`` module.

    Raises:
        ValidationError: The address or the timeout cannot be used.
    """
    span = duration(timeout, "timeout")
    if span <= timedelta():
        raise ValidationError([Violation("timeout", f"{span} is not positive", Rule.OUT_OF_RANGE)])
    config = CallConfig(
        timeout=span, retry=retry or RetryPolicies(), clock=clock or SystemClock(), chance=chance
    )
    return Client(Caller(target, config, mesh))
