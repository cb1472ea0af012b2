"""The composition root: the only place that knows every part."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from importlib.metadata import version
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc.aio
from grpc_channelz.v1 import channelz
from grpc_health.v1 import health_pb2, health_pb2_grpc

from weft.api.execution.v1 import (
    archive_service_pb2,
    archive_service_pb2_grpc,
    batch_service_pb2,
    batch_service_pb2_grpc,
    execution_service_pb2,
    execution_service_pb2_grpc,
)
from weft.api.registry.v1 import registry_service_pb2, registry_service_pb2_grpc
from weft.api.schedule.v1 import schedule_service_pb2, schedule_service_pb2_grpc
from weft.api.workflow.v1 import workflow_service_pb2, workflow_service_pb2_grpc
from weft.core.clock import Clock, SystemClock
from weft.core.payload import JsonObject
from weft.discovery.endpoint import parse_address
from weft.discovery.model import Endpoint, Protocol
from weft.discovery.resolvers import Resolvers
from weft.discovery.target import Target
from weft.mesh.actions import ActionTransport
from weft.mesh.caller import ActionCaller
from weft.mesh.dispatch.transport import StreamActionTransport
from weft.mesh.later import LaterTransport
from weft.mesh.mesh import Mesh, MeshConfig
from weft.mesh.metrics import observe_mesh
from weft.mesh.reflection_server import add_reflection
from weft.mesh.rpc import CHANNEL_OPTIONS, SERVER_OPTIONS, make_server
from weft.mesh.states import describe_mesh
from weft.mesh.tracing.client import RpcTracer
from weft.server.adapters import make_store
from weft.server.archive.service import ArchiveService
from weft.server.archive.servicer import ArchiveServicer
from weft.server.batch.operations import operations
from weft.server.batch.runner import BatchRunner
from weft.server.batch.service import BatchService
from weft.server.batch.servicer import BatchServicer
from weft.server.config import ConfigError, ServerConfig
from weft.server.execution.engine.dispatch import Dispatcher
from weft.server.execution.lists import ExecutionLists
from weft.server.execution.rehearsal.servicer import TestableWorkflowServicer
from weft.server.execution.service import ExecutionService
from weft.server.execution.wire.servicer import ExecutionServicer
from weft.server.health import HealthReporter
from weft.server.housekeeping import forget_old_requests
from weft.server.impact import Impact
from weft.server.interceptors import ServerChain
from weft.server.registry.derive import Deriver
from weft.server.registry.instance_service import InstanceService
from weft.server.registry.reading import GrpcActionSource
from weft.server.registry.resolver import RegistryResolver
from weft.server.registry.service import RegistryService
from weft.server.registry.servicer import RegistryServicer
from weft.server.retention_runner import RetentionRunner
from weft.server.schedule.runner import ScheduleRunner
from weft.server.schedule.runs import ScheduleRuns
from weft.server.schedule.service import ScheduleService
from weft.server.schedule.servicer import ScheduleServicer
from weft.server.schedule.starts import ScheduledExecutions
from weft.server.store.base import Store
from weft.server.tasks import supervise
from weft.server.workflow.service import WorkflowService

if TYPE_CHECKING:
    from weft.discovery.consul import ConsulClient
    from weft.server.consul import ServerRegistration

__all__ = ["WeftServer"]

_log = logging.getLogger("weft.server")

_ROLES = {
    "registry": registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"].full_name,
    "workflow": workflow_service_pb2.DESCRIPTOR.services_by_name["WorkflowService"].full_name,
    "execution": execution_service_pb2.DESCRIPTOR.services_by_name["ExecutionService"].full_name,
}
_SERVICES = (
    *_ROLES.values(),
    batch_service_pb2.DESCRIPTOR.services_by_name["BatchService"].full_name,
    archive_service_pb2.DESCRIPTOR.services_by_name["ArchiveService"].full_name,
    schedule_service_pb2.DESCRIPTOR.services_by_name["ScheduleService"].full_name,
)


class WeftServer:
    """One server process: store, registry, workflows, engine, and the port they are served on.

    Args:
        config: How it runs.
        clock: Where it takes its time from.
    """

    def __init__(self, config: ServerConfig, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._background: list[asyncio.Task[Any]] = []
        self._stopped = False
        self.address = ""
        self._consul: ConsulClient | None = None
        self._presence: ServerRegistration | None = None

    async def start(self) -> None:
        """Open the store, recover, and serve.

        Raises:
            ConfigError: The address cannot be used.
            StoreInUseError: Another process has the data directory.
            StoreUnavailableError: The store cannot be opened.
        """
        self._check_port()
        self._build()
        await self._store.open()
        try:
            await self._instances.load()
            self._health.start()
            for part in (self._registry, self._instances, self._workflows, self._executions.engine):
                self._store.subscribe(part.store_changed)
            self._listen()
            await self._server.start()
        except BaseException:
            await self._store.close()
            raise
        self._executions.engine.start_recovery()
        for name, job in (
            ("the watch over heartbeats", self._instances.run),
            ("the watch over the store", self._health.run),
            ("the removal of old request keys", lambda: forget_old_requests(self._store, self._clock)),
            ("the work on batches", self._batch_runner.run),
            ("the watch over children", self._executions.orphans.run),
            ("the work on schedules", self._schedule_runner.run),
            ("the removal of old executions", self._retention.run),
        ):
            self._background.append(asyncio.create_task(supervise(name, job, self._clock)))
        self._announce()
        _log.info("ready", extra={"address": self.address, "store": self._store.name})

    def _build(self) -> None:
        """Put the parts together, from the bottom up."""
        clock = self._clock
        self._store: Store = make_store(self._config.data_dir, self._config.database, clock)
        self._registry = RegistryService(self._store, clock)
        self._instances = InstanceService(self._store, clock, self._registry)
        resolver = RegistryResolver(self._registry, self._instances)
        sources = Resolvers(self._config.sources, registry=resolver, clock=clock)
        mesh = self._mesh = Mesh(sources, MeshConfig(balancer=self._config.balancer), clock=clock)
        observe_mesh(mesh)
        policy = self._config.balancer.policy
        self._caller = ActionCaller(
            mesh,
            {
                Protocol.GRPC: StreamActionTransport(mesh.pool, tracer=RpcTracer(), policy=policy),
                Protocol.HTTP: LaterTransport(lambda: _http_transport(policy)),
            },
            instance_wait=self._config.instance_wait,
        )
        dispatcher = Dispatcher(self._registry, self._caller)
        self._workflows = WorkflowService(
            self._store, self._registry.find, clock, service_names=self._registry.names
        )
        self._executions = ExecutionService(
            self._store, self._workflows, dispatcher, clock, self._config.limits
        )
        self._lists = ExecutionLists(self._store, self._workflows, clock)
        self._batch_runner = BatchRunner(self._store, operations(self._executions), clock)
        self._batches = BatchService(self._store, self._lists, clock, self._batch_runner.wake)
        starts = ScheduledExecutions(self._executions, self._store)
        self._schedule_runner = ScheduleRunner(self._store, starts, clock)
        self._schedules = ScheduleService(
            self._store, self._workflows, self._executions, clock, self._schedule_runner.wake
        )
        self._schedule_runs = ScheduleRuns(
            self._schedules, self._store, starts, clock, self._schedule_runner.wake
        )
        self._retention = RetentionRunner(self._store, self._config.retention, clock)
        self._health = HealthReporter(self._store, _SERVICES, clock)
        self._chain = ServerChain()
        self._server = make_server((self._chain,), (*SERVER_OPTIONS, ("grpc.enable_channelz", 1)))
        self._add_servicers()

    def _add_servicers(self) -> None:
        server, clock = self._server, self._clock
        dependencies = {"store": self._store.check, "engine": self._check_engine}
        deriver = Deriver(GrpcActionSource(self._dial))
        registry = RegistryServicer(
            self._registry,
            self._instances,
            clock,
            dependencies,
            self._about,
            deriver,
            Impact(self._workflows, self._store),
        )
        registry_service_pb2_grpc.add_RegistryServiceServicer_to_server(registry, server)
        workflow_service_pb2_grpc.add_WorkflowServiceServicer_to_server(
            TestableWorkflowServicer(self._workflows, self._registry, clock), server
        )
        execution_service_pb2_grpc.add_ExecutionServiceServicer_to_server(
            ExecutionServicer(self._executions, self._lists), server
        )
        batch_service_pb2_grpc.add_BatchServiceServicer_to_server(
            BatchServicer(self._batches, self._lists), server
        )
        schedule_service_pb2_grpc.add_ScheduleServiceServicer_to_server(
            ScheduleServicer(self._schedules, self._schedule_runs, clock), server
        )
        archive_service_pb2_grpc.add_ArchiveServiceServicer_to_server(
            ArchiveServicer(ArchiveService(self._store)), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, server)
        channelz.add_channelz_servicer(server)
        names = (*_SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        add_reflection((*names, "grpc.channelz.v1.Channelz"), server)

    def _announce(self) -> None:
        """Register in Consul, where there is one."""
        if self._config.sources.consul is None:
            return
        from weft.discovery.consul import ConsulClient  # noqa: PLC0415 - slow to import, and not all use it
        from weft.server.consul import ServerIdentity, ServerRegistration  # noqa: PLC0415 - same

        host, port = parse_address(self._config.advertise or self.address)
        identity = ServerIdentity(
            host=host,
            port=port,
            environment=self._config.environment,
            zone=self._config.zone,
            store=self._store.name.partition(" ")[0],
        )
        # A client of its own: the watches of many services do not stand in its way.
        self._consul = ConsulClient(self._config.sources.consul)
        self._presence = ServerRegistration(
            self._consul, identity, _ROLES, lambda: self._health.problem, self._clock
        )
        self._health.subscribe(self._presence.changed)
        self._presence.start()

    def _dial(self, where: Endpoint | Target) -> grpc.aio.Channel:
        """Make a channel to what a registration names, to read what it can do."""
        if isinstance(where, Target):
            return self._mesh.channel(where)
        return grpc.aio.insecure_channel(where.address, options=CHANNEL_OPTIONS)

    async def _check_engine(self) -> None:
        if self._executions.engine.draining:
            raise RuntimeError("stopping")

    def _about(self) -> JsonObject:
        return {
            "version": version("weft"),
            "address": self.address,
            "store": self._store.name,
            "pid": os.getpid(),
            "time": self._clock.now().isoformat(),
            "open_executions": self._executions.engine.open_count,
            "mesh": describe_mesh(self._mesh),
        }

    def _check_port(self) -> None:
        """Try the address first, as gRPC's own message does not say what is wrong."""
        host, port = self._config.address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                why = error.strerror or str(error)
                if error.errno == errno.EADDRINUSE:
                    why = "the port is taken (is another weft server running?)"
                raise ConfigError(f"cannot listen on {self._config.listen}: {why}") from None

    def _listen(self) -> None:
        host, port = self._config.address
        shown = f"[{host}]" if ":" in host else host
        try:
            bound = self._server.add_insecure_port(f"{shown}:{port}")
        except RuntimeError as error:
            raise ConfigError(f"cannot listen on {self._config.listen}: {error}") from None
        self.address = f"{shown}:{bound}"

    async def stop(self) -> None:
        """Drain: report NOT_SERVING, finish what runs within the grace, and let go. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        grace = self._config.drain_grace
        _log.info("draining", extra={"open_executions": self._executions.engine.open_count})
        if self._presence is not None:
            await self._presence.leave()
        await self._health.drain()
        stopping = asyncio.create_task(self._server.stop(grace.total_seconds()))
        await self._executions.engine.drain(grace)
        self._chain.end_streams()
        await stopping
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._caller.close()
        await self._mesh.close()
        await self._leave_consul()
        await self._store.close()
        _log.info("stopped")

    async def _leave_consul(self) -> None:
        if self._presence is not None:
            await self._presence.close()
        if self._consul is not None:
            await self._consul.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()


def _http_transport(policy: str) -> ActionTransport:
    from weft.mesh.http_actions import HttpActionTransport  # noqa: PLC0415 - slow to import, and not all use it
    from weft.mesh.tracing.http import HttpTracer  # noqa: PLC0415 - same

    return HttpActionTransport(tracer=HttpTracer(), policy=policy)
