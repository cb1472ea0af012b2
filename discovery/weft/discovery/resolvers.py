"""Every source of instances that a process has, behind one door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakSet

import grpc.aio

from weft.core.clock import Clock, SystemClock
from weft.core.errors import ValidationError, Violation
from weft.core.reasons import Rule
from weft.discovery.base import Resolver
from weft.discovery.binding import BoundResolver
from weft.discovery.consul import ConsulConfig, consul_config
from weft.discovery.dns_config import DnsConfig
from weft.discovery.environment import EnvironmentResolver, variable_of
from weft.discovery.registry import RegistryStreamResolver
from weft.discovery.server_target import parse_server
from weft.discovery.static import StaticResolver
from weft.discovery.target import Target
from weft.discovery.watch import Watch

if TYPE_CHECKING:
    from weft.discovery.consul import ConsulClient

__all__ = ["Resolvers", "SourcesConfig", "sources_config"]

T = TypeVar("T")

_DEFAULTS: Final = ("consul", "weft")
_MOST: Final = 256
"""Sources that are kept: callers may name any registry and nameserver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesConfig:
    """Which sources of instances a process has.

    Raises:
        ValidationError: Every value that is not allowed.
    """

    registry: str = ""
    """The Weft server whose registry is asked: ``host:port``, or a target such as ``consul://weft-registry``;
    empty for none."""
    consul: ConsulConfig | None = None
    """How to reach Consul; None for none."""
    dns: DnsConfig = field(default_factory=DnsConfig)
    """How often DNS is asked, and which nameserver when a target names none."""
    default: str = ""
    """Which source has bare names: ``consul`` or ``weft``; empty for Consul when it is configured."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables such as ``SERVICE_ORDERS_URL``, which win over the default source."""

    def __post_init__(self) -> None:
        faults: list[Violation] = []
        if self.registry:
            _attempt(faults, lambda: _registry_server(self.registry), None)
        if self.default and self.default not in _DEFAULTS:
            known = " or ".join(_DEFAULTS)
            faults.append(Violation("default", f"{self.default[:40]!r} is not {known}", Rule.INVALID))
        _attempt(faults, lambda: EnvironmentResolver(self.environ), None)
        if faults:
            raise ValidationError(faults)


def sources_config(environ: Mapping[str, str]) -> SourcesConfig:
    """Read which sources there are.

    Args:
        environ: Such as ``os.environ``: ``CONSUL_HTTP_ADDR`` and the rest of Consul's,
            ``WEFT_TARGET`` (the server: see ``parse_server``), ``WEFT_NAMESERVER``, ``WEFT_DEFAULT_SOURCE``
            (``consul`` or ``weft``), ``SERVICE_<NAME>_URL``.

    Raises:
        ValidationError: Every variable with a wrong value, by its name.
    """
    faults: list[Violation] = []
    variables = {"registry": "WEFT_TARGET", "nameserver": "WEFT_NAMESERVER", "default": "WEFT_DEFAULT_SOURCE"}
    consul = _attempt(faults, lambda: consul_config(environ), None)
    dns = _attempt(faults, lambda: DnsConfig(nameserver=environ.get("WEFT_NAMESERVER", "")), DnsConfig())
    config = _attempt(
        faults,
        lambda: SourcesConfig(
            registry=environ.get("WEFT_TARGET", ""),
            consul=consul,
            dns=dns,
            default=environ.get("WEFT_DEFAULT_SOURCE", ""),
            environ=environ,
        ),
        None,
    )
    if faults or config is None:
        raise ValidationError([replace(it, field=variables.get(it.field, it.field)) for it in faults])
    return config


class Resolvers:
    """The sources of a process: one resolver for each that was asked lately.

    Args:
        config: Which there are.
        registry: The registry, where it is in this process; else that of the configuration.
        dial: Opens the channel to a registry that is itself named by a target.
        clock: For pauses.
    """

    def __init__(
        self,
        config: SourcesConfig | None = None,
        *,
        registry: Resolver | None = None,
        dial: Callable[[Target], grpc.aio.Channel] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._config = config or SourcesConfig()
        self._registry = registry
        self._dial = dial
        self._clock = clock or SystemClock()
        self._environment = EnvironmentResolver(self._config.environ)
        self._client: ConsulClient | None = None
        self._made: dict[tuple[str, str, tuple[str, ...]], Resolver] = {}
        self._streams: WeakSet[RegistryStreamResolver] = WeakSet()

    def watch(self, target: Target) -> Watch:
        """Begin to follow the service of a target; whoever asks closes the watch.

        Raises:
            ValidationError: There is no source of its scheme.
        """
        resolver, service = self.resolver(target)
        return Watch(resolver, service, clock=self._clock)

    def resolver(self, target: Target) -> tuple[Resolver, str]:
        """Return who knows the service of a target, and the service's name there.

        Raises:
            ValidationError: There is no source of its scheme; says which setting it needs.
        """
        if target.scheme == "static":
            return StaticResolver.of(target), target.name
        scheme = self.source_of(target)
        key = (scheme, target.authority, target.datacenters)
        resolver = self._made.pop(key, None) or self._make(scheme, target)
        self._made[key] = resolver
        if len(self._made) > _MOST:
            del self._made[next(iter(self._made))]  # watches that go on keep it
        return resolver, target.name

    async def close(self) -> None:
        """Close every connection; close the watches before."""
        for stream in list(self._streams):
            await stream.close()
        if self._client is not None:
            await self._client.close()
        self._made.clear()

    def source_of(self, target: Target) -> str:
        """Return the scheme of whoever is asked for a target; only a bare name leaves that open.

        Raises:
            ValidationError: There is no source of bare names.
        """
        if target.scheme:
            return target.scheme
        name = target.name
        if self._environment.knows(name):
            return "env"
        if self._config.default:
            return self._config.default
        if self._config.consul is not None:
            return "consul"
        if self._has_registry:
            return "weft"
        raise _not_configured(
            f"no source of services is configured for {name!r}: set CONSUL_HTTP_ADDR, WEFT_TARGET or "
            f"{variable_of(name)}, or say where it is, as in static:///10.0.0.7:50051"
        )

    @property
    def _has_registry(self) -> bool:
        return self._registry is not None or bool(self._config.registry)

    def _make(self, scheme: str, target: Target) -> Resolver:
        if scheme == "env":
            return self._environment
        if scheme == "dns":
            from weft.discovery.dns import DnsResolver  # noqa: PLC0415 - slow to import, and few use it

            nameserver = target.authority or self._config.dns.nameserver
            return DnsResolver(replace(self._config.dns, nameserver=nameserver), clock=self._clock)
        if scheme == "consul":
            from weft.discovery.consul import ConsulResolver  # noqa: PLC0415 - slow to import, and not all use it

            return ConsulResolver(self._consul(), datacenters=target.datacenters, clock=self._clock)
        return BoundResolver(self._registry_at(target.authority), self._watch_bound, clock=self._clock)

    def _consul(self) -> ConsulClient:
        if self._config.consul is None:
            raise _not_configured("consul:// is not configured: set CONSUL_HTTP_ADDR to the agent's address")
        if self._client is None:
            from weft.discovery.consul import ConsulClient  # noqa: PLC0415 - slow to import, and not all use it

            self._client = ConsulClient(self._config.consul)
        return self._client

    def _registry_at(self, authority: str) -> Resolver:
        if self._registry is not None and not authority:
            return self._registry
        written = authority or self._config.registry
        if not written:
            words = "weft:// is not configured: set WEFT_TARGET to the server's address, or write it"
            raise _not_configured(f"{words}, as in weft://127.0.0.1:7233/orders")
        server = parse_server(written)
        stream = RegistryStreamResolver(
            str(server),
            clock=self._clock,
            dial=self._dialler(server) if isinstance(server, Target) else None,
        )
        self._streams.add(stream)
        return stream

    def _dialler(self, server: Target) -> Callable[[], grpc.aio.Channel]:
        dial = self._dial
        if dial is None:
            raise _not_configured(f"the registry at {server} cannot be dialled here: give its host:port")
        return lambda: dial(server)

    def _watch_bound(self, target: Target) -> Watch:
        """Follow what a registered service points to: Consul or DNS, never the registry again."""
        if target.scheme not in {"consul", "dns"}:
            raise _not_configured(f"a registered service cannot point to {target}")
        return self.watch(target)


def _registry_server(text: str) -> None:
    """Check where the registry is said to be: nowhere that only the registry itself knows."""
    server = parse_server(text, "registry")
    if isinstance(server, Target) and server.scheme in {"weft", "env"}:
        words = f"{server.scheme}:// cannot say where the registry is; use host:port, consul:// or dns://"
        raise ValidationError([Violation("registry", words, Rule.ENDPOINT_SCHEME_UNSUPPORTED)])


def _not_configured(words: str) -> ValidationError:
    return ValidationError([Violation("target", words, Rule.ENDPOINT_SCHEME_UNSUPPORTED)])


def _attempt(faults: list[Violation], read: Callable[[], T], default: T) -> T:
    try:
        return read()
    except ValidationError as error:
        faults.extend(error.violations)
        return default
