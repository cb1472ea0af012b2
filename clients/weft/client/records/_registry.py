"""Services, actions, instances and their health."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from weft.client.records._base import OMIT_EMPTY, Record
from weft.client.records._workflow import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Action(Record):
    """One typed operation of a service."""

    name: str
    """Unique in its service."""
    description: str = ""
    """For people."""
    input_schema: Mapping[str, Any] | None = None
    """JSON Schema of the input; None takes any object."""
    output_schema: Mapping[str, Any] | None = None
    """JSON Schema of the output; None takes any object."""
    idempotent: bool = False
    """Whether running it twice with one input has the effect of once."""
    timeout: timedelta | None = None
    """How long one call may take by default."""
    grpc_method: str = field(default="", metadata={OMIT_EMPTY: True})
    """The RPC behind it, such as ``shop.v1.Carts/GetCart``; empty: it is called as an action."""
    compensation: str = field(default="", metadata={OMIT_EMPTY: True})
    """The action of the same service that undoes what this one did; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceVersion(Record):
    """The actions of one API version of a service."""

    version: str
    """As it was registered, such as ``1.4.2``."""
    actions: tuple[Action, ...] = ()
    """What that version can do."""
    descriptor_set: bytes = field(default=b"", repr=False, metadata={OMIT_EMPTY: True})
    """Serialized descriptors of the RPCs behind the actions; read by ``get`` only."""
    update_time: datetime | None = None
    """When it was registered last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenWorkflow(Record):
    """A version of a workflow that was right before a service changed, and is not any more."""

    workflow: str
    """Its name."""
    version: int
    """Which version."""
    latest: bool = False
    """Whether new executions run it."""
    open_executions: int = 0
    """How many executions of it have not ended."""
    problems: tuple[Problem, ...] = ()
    """The errors that are new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Record):
    """A named set of typed actions."""

    id: str
    """Assigned by the server."""
    name: str
    """Unique among services."""
    description: str = ""
    """For people."""
    endpoint: str = ""
    """Where to call it when no instance is registered."""
    actions: tuple[Action, ...] = ()
    """What it can do."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Free JSON object."""
    state: str = ""
    """``ACTIVE``, ``INACTIVE`` or ``DEPRECATED``."""
    revision: int = 0
    """Grows by one with every change."""
    etag: str = ""
    """Send it with a change to refuse overwriting another's."""
    create_time: datetime | None = None
    """When it was registered."""
    update_time: datetime | None = None
    """When it last changed."""
    version: str = ""
    """Which version ``actions`` belongs to; empty: they hold for every version."""
    other_versions: tuple[ServiceVersion, ...] = field(default=(), metadata={OMIT_EMPTY: True})
    """The other API versions that live beside this one, newest first."""
    descriptor_set: bytes = field(default=b"", repr=False, metadata={OMIT_EMPTY: True})
    """Serialized descriptors of the RPCs behind ``actions``; read by ``get`` only."""
    broken: tuple[BrokenWorkflow, ...] = field(default=(), metadata={OMIT_EMPTY: True})
    """What the change has broken; only in the answer to one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance(Record):
    """One running copy of a service."""

    id: str
    """Chosen by the registrant or assigned."""
    service: str
    """Name of the service."""
    host: str
    """What callers dial."""
    port: int
    """1 to 65535."""
    protocol: str = "GRPC"
    """``GRPC`` or ``HTTP``."""
    weight: int = 1
    """Share of calls relative to other instances."""
    tags: tuple[str, ...] = ()
    """Such as ``production``."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Free values."""
    version: str = ""
    """Version of the software it runs."""
    zone: str = ""
    """Failure domain."""
    health: str = ""
    """``PASSING``, ``WARNING``, ``CRITICAL`` or ``DRAINING``."""
    health_note: str = ""
    """Why, when it is not passing."""
    ttl: timedelta | None = None
    """How long it counts as alive without a heartbeat."""
    register_time: datetime | None = None
    """When it was registered."""
    heartbeat_time: datetime | None = None
    """When it last said that it is alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceHealth(Record):
    """Health of one service, with every instance."""

    service_id: str
    """Id of the service."""
    service: str
    """Name of the service."""
    health: str
    """``HEALTHY``, ``DEGRADED`` or ``UNHEALTHY``."""
    instances: tuple[Instance, ...] = ()
    """Every known instance."""
    note: str = ""
    """Why, when it is not healthy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyHealth(Record):
    """Health of something that the platform stands on."""

    name: str
    """Such as ``store``."""
    health: str
    """``HEALTHY``, ``DEGRADED`` or ``UNHEALTHY``."""
    note: str = ""
    """Why, when it is not healthy."""
    latency: timedelta | None = None
    """How long the check took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrationHealth(Record):
    """Health of the whole platform."""

    health: str
    """``HEALTHY``, ``DEGRADED`` or ``UNHEALTHY``."""
    dependencies: tuple[DependencyHealth, ...] = ()
    """What the platform stands on."""
    services: tuple[ServiceHealth, ...] = ()
    """Every registered service that is not ``INACTIVE``."""
    server: Mapping[str, Any] = field(default_factory=dict)
    """What the server is: version, start time and the like."""
