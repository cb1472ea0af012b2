"""The live instances, in memory: who was heard of when, and who wants to know.

Registrations are durable, heartbeats are not: after a restart every instance
has one full ttl to be heard of again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from weft.core.clock import Clock
from weft.discovery.model import Health
from weft.server.registry.model import Heartbeat, Instance

__all__ = ["InstanceTable"]

_NO_TIME = timedelta()
_MISSED = "no heartbeat within the ttl"
_RELAY_SLACK = timedelta(seconds=2)
"""How late a heartbeat may come that another server heard."""
_REAP_AFTER = timedelta(minutes=5)
"""How long a silent instance stays listed as CRITICAL, at least; ten ttls when that is more."""


@dataclass(slots=True)
class _Entry:
    instance: Instance
    heard: float
    fresh: bool = False
    """Whether other servers have still to be told."""
    relayed: bool = False
    """Whether it was another server that heard of it last."""


class InstanceTable:
    """Keeps the instances of every service, and tells watchers of changes.

    Args:
        clock: For heartbeats.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._by_service: dict[str, dict[str, Instance]] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._version = 0

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._version

    def load(self, instances: Iterable[Instance]) -> None:
        """Take over what was stored."""
        for instance in instances:
            self.put(replace(instance, heartbeat_time=self._clock.now()))

    def put(self, instance: Instance) -> None:
        """Add an instance, or replace the one with its id."""
        self._entries[instance.id] = _Entry(instance, self._clock.monotonic())
        self._by_service.setdefault(instance.service_id, {})[instance.id] = instance
        self._notify(instance.service_id)

    def get(self, instance_id: str) -> Instance | None:
        """Return the instance of that id."""
        entry = self._entries.get(instance_id)
        return entry.instance if entry else None

    def of_service(self, service_id: str) -> tuple[Instance, ...]:
        """Return the instances of a service, by id."""
        found = self._by_service.get(service_id, {})
        return tuple(found[key] for key in sorted(found))

    def everything(self) -> tuple[Instance, ...]:
        """Return every instance, by id."""
        return tuple(self._entries[key].instance for key in sorted(self._entries))

    def heard(self, instance_id: str, health: Health, note: str) -> Instance | None:
        """Take note of a heartbeat; None when the instance is not known."""
        entry = self._entries.get(instance_id)
        if entry is None:
            return None
        entry.heard = self._clock.monotonic()
        entry.fresh, entry.relayed = True, False
        old = entry.instance
        new = replace(old, health=health, health_note=note, heartbeat_time=self._clock.now())
        self._replace(entry, new, notify=(old.health, old.health_note) != (health, note))
        return new

    def take_heard(self) -> tuple[Heartbeat, ...]:
        """Return who was heard of here since the last time."""
        now = self._clock.monotonic()
        fresh = [entry for entry in self._entries.values() if entry.fresh]
        for entry in fresh:
            entry.fresh = False
        return tuple(_heartbeat(entry.instance, now - entry.heard) for entry in fresh)

    def heard_elsewhere(self, heartbeat: Heartbeat) -> None:
        """Take note of what another server heard."""
        entry = self._entries.get(heartbeat.instance_id)
        heard = self._clock.monotonic() - heartbeat.age.total_seconds()
        if entry is None or entry.instance.token != heartbeat.token or heard <= entry.heard:
            return
        entry.heard, entry.relayed = heard, True
        old, said = entry.instance, (heartbeat.health, heartbeat.note)
        time = self._clock.now() - heartbeat.age
        new = replace(old, health=heartbeat.health, health_note=heartbeat.note, heartbeat_time=time)
        self._replace(entry, new, notify=(old.health, old.health_note) != said)

    def remove(self, instance_id: str) -> Instance | None:
        """Forget an instance; return it when it was known."""
        entry = self._entries.pop(instance_id, None)
        if entry is None:
            return None
        instance = entry.instance
        self._by_service.get(instance.service_id, {}).pop(instance_id, None)
        self._notify(instance.service_id)
        return instance

    def remove_service(self, service_id: str) -> None:
        """Forget every instance of a service."""
        for instance_id in list(self._by_service.pop(service_id, {})):
            del self._entries[instance_id]
        self._notify(service_id)

    def sweep(self, *, relays: bool = True) -> tuple[Instance, ...]:
        """Mark who missed its ttl as CRITICAL; return who was silent for so long that it can go.

        Args:
            relays: Whether what other servers hear is told here now; else nobody is given up of whom
                they would know.
        """
        now = self._clock.monotonic()
        gone: list[Instance] = []
        for entry in self._entries.values():
            if entry.relayed and not relays:
                continue
            silent = timedelta(seconds=now - entry.heard) - (_RELAY_SLACK if entry.relayed else _NO_TIME)
            instance = entry.instance
            if silent > max(instance.ttl * 10, _REAP_AFTER):
                gone.append(instance)
            elif silent > instance.ttl and instance.health is not Health.CRITICAL:
                new = replace(instance, health=Health.CRITICAL, health_note=_MISSED)
                self._replace(entry, new, notify=True)
        return tuple(gone)

    def next_change(self, service_id: str) -> asyncio.Event:
        """Return what is set at the next change of an instance of that service."""
        return self._changed.setdefault(service_id, asyncio.Event())

    def _replace(self, entry: _Entry, instance: Instance, *, notify: bool) -> None:
        entry.instance = instance
        self._by_service[instance.service_id][instance.id] = instance
        if notify:
            self._notify(instance.service_id)

    def _notify(self, service_id: str) -> None:
        self._version += 1
        changed = self._changed.pop(service_id, None)
        if changed is not None:
            changed.set()


def _heartbeat(instance: Instance, seconds: float) -> Heartbeat:
    return Heartbeat(
        instance_id=instance.id,
        token=instance.token,
        health=instance.health,
        note=instance.health_note,
        age=timedelta(seconds=max(0.0, seconds)),
    )
