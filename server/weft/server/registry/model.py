"""What the registry knows: services, their actions, and their live instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, unique

from weft.core.payload import JsonObject
from weft.discovery.model import Endpoint, Health, Protocol

__all__ = ["Action", "Heartbeat", "Instance", "Service", "ServiceState", "ServiceVersion"]


@unique
class ServiceState(StrEnum):
    """Whether a service takes calls."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    DEPRECATED = "DEPRECATED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One typed operation of a service."""

    name: str
    """Unique in its service."""
    description: str = ""
    """For people."""
    input_schema: JsonObject | None = None
    """JSON Schema of the input; none takes any object."""
    output_schema: JsonObject | None = None
    """JSON Schema of the output; none takes any object."""
    idempotent: bool = False
    """Whether running it twice has the effect of once."""
    timeout: timedelta | None = None
    """How long one call may take by default."""
    grpc_method: str = ""
    """The RPC behind it, such as ``shop.v1.Carts/GetCart``; empty: it is called as an action."""
    compensation: str = ""
    """The action of the same service that undoes what this one did; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceVersion:
    """The actions of one API version of a service."""

    version: str
    """As it was registered, such as ``1.4.2``; empty: whichever."""
    actions: tuple[Action, ...] = ()
    """In the order they were registered; names are unique."""
    descriptor_set: bytes = b""
    """A FileDescriptorSet with the RPCs behind the actions; empty when there are none."""
    update_time: datetime
    """When it was registered last."""

    def action(self, name: str) -> Action | None:
        """Return the action of that name."""
        return next((action for action in self.actions if action.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A named set of typed actions."""

    id: str
    """``svc_`` and 26 characters."""
    name: str
    """Unique among services."""
    description: str = ""
    """For people."""
    endpoint: str = ""
    """Where to call it when it has no instances."""
    actions: tuple[Action, ...] = ()
    """In the order they were registered; names are unique."""
    metadata: JsonObject = field(default_factory=dict)
    """Free values."""
    state: ServiceState = ServiceState.ACTIVE
    """Whether it takes calls."""
    version: str = ""
    """Which version ``actions`` belongs to; empty: they hold for every version."""
    other_versions: tuple[ServiceVersion, ...] = ()
    """The other API versions that live beside this one, newest first."""
    descriptor_set: bytes = b""
    """A FileDescriptorSet with the RPCs behind ``actions``; empty when there are none."""
    revision: int = 1
    """Grows by one with every change."""
    create_time: datetime
    """When it was registered."""
    update_time: datetime
    """When it last changed."""

    @property
    def etag(self) -> str:
        """What a change is based on."""
        return f"r{self.revision}"

    @property
    def versions(self) -> tuple[ServiceVersion, ...]:
        """Every API version, the service's own first: newest first."""
        own = ServiceVersion(
            version=self.version,
            actions=self.actions,
            descriptor_set=self.descriptor_set,
            update_time=self.update_time,
        )
        return own, *self.other_versions

    def action(self, name: str) -> Action | None:
        """Return the action of that name."""
        return next((action for action in self.actions if action.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One running copy of a service."""

    id: str
    """Chosen by the registrant or assigned."""
    service_id: str
    """The service it serves."""
    host: str
    """What callers dial."""
    port: int
    """1 to 65535."""
    protocol: Protocol = Protocol.GRPC
    """What it speaks."""
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
    health: Health = Health.PASSING
    """As last reported, or CRITICAL after a missed heartbeat."""
    health_note: str = ""
    """Why, when it is not PASSING."""
    ttl: timedelta
    """How long it counts as alive without a heartbeat."""
    register_time: datetime
    """When it was registered."""
    heartbeat_time: datetime
    """When it last said that it is alive; not durable."""
    token: str = ""
    """Names this registration; whoever shows another one was replaced."""

    def endpoint(self) -> Endpoint:
        """Return what a caller needs to know of it."""
        return Endpoint(
            instance_id=self.id,
            host=self.host,
            port=self.port,
            protocol=self.protocol,
            path=self.metadata.get("path", "").rstrip("/") if self.protocol is Protocol.HTTP else "",
            weight=self.weight,
            tags=self.tags,
            metadata=self.metadata,
            version=self.version,
            zone=self.zone,
            health=self.health,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """That an instance was heard of, as one server tells it to another."""

    instance_id: str
    """Which instance."""
    token: str
    """Which registration of it."""
    health: Health
    """What it said of itself."""
    note: str = ""
    """Why."""
    age: timedelta
    """How long ago that was."""
