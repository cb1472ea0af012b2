"""How a service is hosted."""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypedDict

from weft.core.clock import Clock, SystemClock
from weft.core.errors import ValidationError, Violation
from weft.core.names import INSTANCE_ID, check_name, closest
from weft.core.reasons import Rule
from weft.discovery.consul import ConsulConfig, consul_config
from weft.discovery.endpoint import is_dialable
from weft.discovery.target import SCHEMES, parse_target
from weft.mesh.policies.retry import RandomSource
from weft.mesh.tracing.settings import TracingSettings, TracingSettingsError

__all__ = ["Address", "HostConfig", "HostOptions", "host_config", "parse_address", "span", "with_environment"]


class HostOptions(TypedDict, total=False):
    """Keyword arguments of ``Service.run``, ``serve`` and ``hosted``; all have defaults.

    Durations may also be given in seconds.

    Keys:
        server: ``host:port`` of the registry, such as ``127.0.0.1:7420``, or a
            target under which its servers are found: ``consul://weft-registry``
            (with ``consul``), ``dns:///…``, ``static:///a:7420,b:7420``. None,
            the default, hosts without registering.
        listen: ``host:port`` to serve on, loopback only. ``127.0.0.1:0``, the
            default, takes a free port.
        advertise: ``host:port`` that callers dial. By default the one that is
            served on.
        instance_id: Id of the instance. By default the service's name and a
            random part.
        ttl: How long the instance counts as alive without a heartbeat, 1 s to
            10 min; a heartbeat is sent every third of it. 10 s by default.
        consul: How to reach the Consul agent where the instance is registered,
            beside or instead of the registry. None, the default, does not;
            ``run`` takes it from ``CONSUL_HTTP_ADDR`` and the like.
        environment: Such as ``production``; told to Consul. Empty by default;
            ``run`` takes it from ``WEFT_ENVIRONMENT``.
        linger: How long calls are still taken after the instance was
            deregistered, for callers that hear of it late and do not try
            another instance by themselves. 0 by default: Weft's own callers do.
        drain: How long running calls may take to finish when the host stops.
            10 s by default.
        threads: The most plain functions that run at once. 16 by default.
        clock: Times the heartbeats; for tests.
        chance: Spreads the retries; for tests.
    """

    server: str | None
    listen: str
    advertise: str
    instance_id: str
    ttl: timedelta | float
    consul: ConsulConfig | None
    environment: str
    linger: timedelta | float
    drain: timedelta | float
    threads: int
    clock: Clock
    chance: RandomSource


class Address(NamedTuple):
    """Where something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """The options of one host.

    Raises:
        ValueError: Some of them are not allowed; each is named.
    """

    server: str | None = None
    """``host:port`` of the registry, or a target; none hosts without registering."""
    listen: str = "127.0.0.1:0"
    """``host:port`` to serve on, loopback only; port 0 takes a free one."""
    advertise: str = ""
    """``host:port`` that callers dial; empty for the one that is served on."""
    instance_id: str = ""
    """Id of the instance; empty for the service's name and a random part."""
    ttl: timedelta = timedelta(seconds=10)
    """How long the instance counts as alive without a heartbeat; 1 s to 10 min."""
    consul: ConsulConfig | None = None
    """Where it is registered besides; none for nowhere."""
    environment: str = ""
    """Such as ``production``; told to Consul."""
    linger: timedelta = timedelta()
    """How long calls are still taken after the instance was deregistered."""
    drain: timedelta = timedelta(seconds=10)
    """How long running calls may take to finish when the host stops."""
    threads: int = 16
    """The most plain functions that run at once."""
    clock: Clock = field(default_factory=SystemClock)
    """Times the heartbeats."""
    chance: RandomSource = field(default_factory=random.Random)
    """Spreads the retries."""

    def __post_init__(self) -> None:
        if faults := [*self._address_faults(), *self._other_faults()]:
            raise ValueError("; ".join(faults))

    def _address_faults(self) -> Iterator[str]:
        yield from _fault_of(lambda: _check_loopback(parse_address(self.listen, "listen"), self.listen))
        if (server := self.server) is not None:
            yield from _fault_of(lambda: _check_server(server, self.consul))
        if self.advertise:
            yield from _fault_of(lambda: _check_advertised(self.advertise))

    def _other_faults(self) -> Iterator[str]:
        if self.instance_id:
            yield from map(str, check_name("instance_id", self.instance_id, INSTANCE_ID))
        if not timedelta(seconds=1) <= self.ttl <= timedelta(minutes=10):
            yield f"ttl: {self.ttl} is not between 1 s and 10 min"
        for name in ("linger", "drain"):
            if getattr(self, name) < timedelta():
                yield f"{name}: {getattr(self, name)} is negative"
        if self.environment and _ENVIRONMENT.fullmatch(self.environment) is None:
            words = "it has letters, digits, '.', '_' and '-', at most 63"
            yield f"environment: {self.environment[:80]!r} is not allowed: {words}"
        if self.threads < 1:
            yield f"threads: {self.threads} is less than 1"


def _fault_of(check: Callable[[], None]) -> Iterator[str]:
    try:
        check()
    except (ValueError, ValidationError) as error:
        yield str(error)


def host_config(options: HostOptions, function: str) -> HostConfig:
    """Return the config of options that were given to a function.

    Args:
        options: Keyword arguments.
        function: Which function's they are.

    Raises:
        TypeError: An option is unknown, or of another type.
        ValueError: The value of one is not allowed.
    """
    known = HostOptions.__annotations__
    for name in options:
        if name not in known:
            hint = closest(name, list(known))
            raise TypeError(f"{function}() has no option {name!r}; {hint}")
    given: dict[str, Any] = dict(options)
    for name in _DURATIONS & given.keys():
        given[name] = span(given[name], name)
    return HostConfig(**given)


def with_environment(options: HostOptions, environ: Mapping[str, str]) -> HostOptions:
    """Add what the environment says and the options do not.

    Raises:
        ValidationError: Every variable with a wrong value, also those of tracing.
    """
    known: HostOptions = {"environment": environ.get("WEFT_ENVIRONMENT", "")}
    faults: list[Violation] = []
    if "consul" not in options:
        try:
            known["consul"] = consul_config(environ)
        except ValidationError as error:
            faults += error.violations
    try:
        TracingSettings.from_environment(environ)
    except TracingSettingsError as error:
        faults += [Violation("environment", text, Rule.INVALID) for text in error.faults]
    if faults:
        raise ValidationError(faults)
    return {**known, **options}


_DURATIONS: Final = {"ttl", "linger", "drain"}
_ENVIRONMENT: Final = re.compile(r"[A-Za-z0-9._-]{1,63}")


def span(value: timedelta | float, name: str) -> timedelta:
    """Take a duration, or its seconds.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: {value!r} is neither a timedelta nor a number of seconds")
    return timedelta(seconds=value)


def parse_address(text: str, field_name: str) -> Address:
    """Split ``host:port``; an IPv6 address stands in brackets.

    Raises:
        ValueError: It has another form.
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host != bare
    if not colon or not bare or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{field_name}: {text!r} is not host:port")
    if bracketed != (":" in bare):
        raise ValueError(f"{field_name}: {text!r} is not host:port; write IPv6 as [::1]:7420")
    return Address(bare, int(port))


def _check_server(text: str, consul: ConsulConfig | None) -> None:
    scheme, found, _ = text.partition("://")
    if not found or scheme not in SCHEMES:
        _check_port(parse_address(text, "server"), "server")
        return
    if scheme in {"weft", "env"}:
        raise ValueError(f"server: {scheme}:// cannot say where the registry is")
    if scheme == "consul" and consul is None:
        raise ValueError(
            f"server: {text!r} needs to know Consul: give consul=, or set CONSUL_HTTP_ADDR for run"
        )
    parse_target(text, "server")


def _check_advertised(text: str) -> None:
    address = parse_address(text, "advertise")
    _check_port(address, "advertise")
    if not is_dialable(address.host):
        raise ValueError(f"advertise: {text!r} is nobody's address, so that no caller can dial it")


def _check_port(address: Address, field_name: str) -> None:
    if address.port == 0:
        raise ValueError(f"{field_name}: port 0 cannot be dialled")


def _check_loopback(address: Address, text: str) -> None:
    try:
        loopback = ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        loopback = address.host == "localhost"
    if not loopback:
        raise ValueError(
            f"listen: {text!r} is not a loopback address; calls are neither encrypted nor authenticated, "
            "so only this machine may make them"
        )
