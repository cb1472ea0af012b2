"""One door to every service: channels for stubs, calls by name over gRPC and HTTP, and who is where."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, Self

import grpc.aio

from weft.client._transport.descriptors import RegisteredDescriptors
from weft.client._transport.snapshots import first_snapshot, snapshots
from weft.client._transport.traced import ClientTracer
from weft.client._writing.fields import DurationLike, duration
from weft.core.payload import JsonObject
from weft.discovery.model import Snapshot
from weft.discovery.resolvers import Resolvers, SourcesConfig, sources_config
from weft.discovery.server_target import parse_server
from weft.discovery.target import Target, parse_target
from weft.mesh.balancing import BalancerConfig
from weft.mesh.call_options import CallOptions, RetryMethods
from weft.mesh.channel import MeshChannel
from weft.mesh.dynamic.call import MethodCaller, Request
from weft.mesh.dynamic.descriptors import ServiceDescriptors
from weft.mesh.http import HttpCaller, HttpConfig, http_routes
from weft.mesh.mesh import Mesh, MeshConfig
from weft.mesh.metrics import observe_mesh
from weft.mesh.tracing.http import HttpTracer

__all__ = ["MeshClient", "connect_mesh"]

_WATCHES: Final = CallOptions(timeout=None, retry_methods=RetryMethods.NONE)
"""Of channels whose user has retries and limits of its own."""


class MeshClient:
    """Finds and calls services by name; made by ``connect_mesh``.

    gRPC is called by its own methods; HTTP, whose calls name a verb and a path, by those of ``http``.
    A service is named by a target everywhere: ``orders``, ``consul://orders?version=^1.2``,
    ``dns:///orders.internal:50051``; see docs/discovery.md.

    Use it where an event loop runs, as an async context manager, or ``close`` it.
    One for a process is enough: all it does shares watches, balancers and connections.

    Args:
        sources: Where services are looked up.
        config: How calls are spread, limited and repeated.
        http: The same for HTTP.
    """

    def __init__(
        self,
        sources: SourcesConfig | None = None,
        *,
        config: MeshConfig | None = None,
        http: HttpConfig | None = None,
    ) -> None:
        self._sources = Resolvers(sources, dial=self._dial)
        self._mesh = Mesh(self._sources, config, tracer=ClientTracer())
        observe_mesh(self._mesh)
        self._http_config = http
        self._registered = RegisteredDescriptors(self._sources, self._registry_channel)
        self._config = sources or SourcesConfig()
        calls = self._mesh.config.calls
        repeatable = set(calls.idempotent)
        self._by_name = replace(calls, idempotent=repeatable)
        self._methods = MethodCaller(
            lambda target: self.channel(target, options=self._by_name),
            registered=self._registered.find,
            idempotent=repeatable,
        )

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str],
        *,
        config: MeshConfig | None = None,
        http: HttpConfig | None = None,
    ) -> Self:
        """Return one that looks where an environment says.

        Args:
            environ: Such as ``os.environ``: ``CONSUL_HTTP_ADDR`` and the rest of Consul's,
                ``WEFT_TARGET``, ``WEFT_NAMESERVER``, ``WEFT_DEFAULT_SOURCE``, ``SERVICE_<NAME>_URL``.
            config: As for ``connect_mesh``.
            http: As for ``connect_mesh``.

        Raises:
            ValidationError: Every variable with a wrong value.
        """
        return cls(sources_config(environ), config=config, http=http)

    def channel(
        self,
        target: str | Target,
        *,
        options: CallOptions | None = None,
        balancer: BalancerConfig | None = None,
    ) -> MeshChannel:
        """Make a channel to every instance of a service, on which generated stubs work as they are.

        Args:
            target: Which service.
            options: Deadlines and retries; by default those of the config.
            balancer: How calls are spread; by default as the config says.

        Raises:
            ValidationError: The target is wrong.
        """
        return self._mesh.channel(target, options=options, balancer=balancer)

    def bare_channel(self, target: str | Target) -> MeshChannel:
        """Make a channel without limits of time, on which nothing is repeated once it was sent."""
        return self._mesh.channel(target, options=_WATCHES)

    async def call_service(
        self,
        service: str,
        method: str,
        request: Request = None,
        *,
        timeout: DurationLike | None = None,
        metadata: Mapping[str, str | bytes] | None = None,
    ) -> JsonObject:
        """Call a gRPC method that answers once, without generated code.

        Its descriptors are those that the service was registered with, else its own, by reflection.

        Args:
            service: Target of the service.
            method: ``shop.v1.Carts/GetCart``, or just ``GetCart`` where that is one.
            request: An object; for a stream of requests a list or an iterator of objects.
            timeout: What it may take in all, as a duration or in seconds.
            metadata: Sent along.

        Returns:
            The response by the rules of ProtoJSON, with the fields' own names.

        Raises:
            ResourceNotFoundError: METHOD_NOT_FOUND.
            ValidationError: The request does not fit; every fault is named.
            PreconditionError: DESCRIPTORS_UNAVAILABLE, VERSION_NOT_AVAILABLE, ACTION_OUTPUT_INVALID.
            ServiceUnavailableError: NO_INSTANCE, or the service is unavailable.
            WeftError: What the service answered.
        """
        limit = None if timeout is None else duration(timeout, "timeout")
        return await self._methods.call_service(
            service, method, request, timeout=limit, metadata=metadata or ()
        )

    def stream_service(
        self,
        service: str,
        method: str,
        request: Request = None,
        *,
        timeout: DurationLike | None = None,
        metadata: Mapping[str, str | bytes] | None = None,
    ) -> AsyncGenerator[JsonObject, None]:
        """Call a gRPC method that answers with a stream, and yield its responses as they come.

        Leaving the loop cancels the call. Arguments and errors are those of ``call_service``.
        """
        limit = None if timeout is None else duration(timeout, "timeout")
        return self._methods.stream_service(service, method, request, timeout=limit, metadata=metadata or ())

    async def describe(self, service: str) -> ServiceDescriptors:
        """Return what a gRPC service can be asked.

        Raises:
            PreconditionError: DESCRIPTORS_UNAVAILABLE.
        """
        return await self._methods.describe(service)

    def use_descriptors(self, service: str, descriptors: bytes) -> None:
        """Give the descriptors of a service that does not serve reflection.

        Args:
            service: Its target, as it is written in calls.
            descriptors: A serialized google.protobuf.FileDescriptorSet.

        Raises:
            ValidationError: DESCRIPTORS_INVALID.
        """
        self._methods.use_descriptors(service, descriptors)

    @cached_property
    def http(self) -> HttpCaller:
        """HTTP by name: ``call_service(service, endpoint, method, data)``, ``request``, ``stream``."""
        return HttpCaller(http_routes(self._mesh), config=self._http_config, tracer=HttpTracer())

    async def resolve(
        self, target: str | Target, *, timeout: DurationLike = timedelta(seconds=5)
    ) -> Snapshot:
        """Return every instance of a service that fits its target, whatever it speaks and however it is.

        Args:
            target: Which service.
            timeout: How long to wait for the first answer of its source. Without one the
                snapshot has version 0.

        Raises:
            ValidationError: The target is wrong, or there is no source of its scheme.
        """
        parsed = parse_target(target) if isinstance(target, str) else target
        route = self._mesh.route(parsed, protocol=None)
        return await first_snapshot(route, parsed, duration(timeout, "timeout"))

    def watch(self, target: str | Target) -> AsyncGenerator[Snapshot, None]:
        """Yield what ``resolve`` returns, at the first answer and after every change.

        Raises:
            ValidationError: The target is wrong, or there is no source of its scheme.
        """
        parsed = parse_target(target) if isinstance(target, str) else target
        return snapshots(self._sources.watch, parsed)

    def states(self) -> list[dict[str, Any]]:
        """Return, of each service that is in use, what is known, and how its instances are."""
        return self._mesh.states()

    async def close(self) -> None:
        """Cancel what runs, stop looking, and close every connection."""
        await self._methods.close()
        if "http" in self.__dict__:
            await self.http.close()
        await self._mesh.close()
        if "_below" in self.__dict__:
            await self._below.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @cached_property
    def _below(self) -> Mesh:
        """The mesh by which the registry is found; it ends after those who ask it."""
        return Mesh(Resolvers(replace(self._config, registry="")), MeshConfig(calls=_WATCHES))

    def _dial(self, registry: Target) -> grpc.aio.Channel:
        return self._below.channel(registry)

    def _registry_channel(self, authority: str) -> grpc.aio.Channel:
        return self.bare_channel(parse_server(authority or self._config.registry))


def connect_mesh(
    sources: SourcesConfig | None = None,
    *,
    config: MeshConfig | None = None,
    http: HttpConfig | None = None,
) -> MeshClient:
    """Return what calls any service by name; nothing is connected before it is called.

    Use it as an async context manager, or ``close`` it::

        async with connect_mesh(SourcesConfig(consul=ConsulConfig())) as mesh:
            stub = GreeterStub(mesh.channel("consul://greeter"))
            hello = await mesh.call_service("greeter", "SayHello", {"name": "Ada"})
            order = await mesh.http.call_service("orders", "/orders", "POST", {"item": "tea"})

    ``MeshClient.from_environment(os.environ)`` looks where the environment says.

    Args:
        sources: Where services are looked up. Without, only targets that need nothing:
            ``dns:///…``, ``static:///…``, ``host:port``, ``weft://host:port/…``.
        config: How calls are spread, limited and repeated.
        http: The same for HTTP.
    """
    return MeshClient(sources, config=config, http=http)
