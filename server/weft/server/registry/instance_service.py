"""Use cases of live instances: who is there, who is heard of, who is gone."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import AlreadyExistsError, PreconditionError, ResourceNotFoundError, WeftError
from weft.core.reasons import Reason
from weft.discovery.model import Health
from weft.server.registry.health import HealthReport, report_health
from weft.server.registry.instances import InstanceTable
from weft.server.registry.model import Instance, Service, ServiceState
from weft.server.registry.service import RegistryService
from weft.server.store.base import Page, RegistryStore, Slice, StaleWriteError, StoreState
from weft.server.tasks import to_its_end

__all__ = ["InstanceService"]

_log = logging.getLogger("weft.server.registry")

_SWEEP_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.1
_TOKEN_BYTES: Final = 16


class InstanceService:
    """Registers instances, hears their heartbeats, and answers who is alive where.

    Args:
        store: Where registrations are kept.
        clock: For times and heartbeats.
        services: What the instances are of.
    """

    def __init__(self, store: RegistryStore, clock: Clock, services: RegistryService) -> None:
        self._store = store
        self._clock = clock
        self._services = services
        self._table = InstanceTable(clock)
        self._arriving: dict[str, Instance] = {}
        """Registrations on their way to the disk, by id."""
        self._leaving: set[str] = set()
        """Ids that are gone from memory; their rows are not, for all we know."""
        self._compare = False
        """Whether memory and store may differ, as the store was broken."""
        self._poke = asyncio.Event()
        self._looked = float("-inf")
        services.on_removal(self._table.remove_service)
        store.on_instances_change(self._changed_elsewhere)

    @property
    def version(self) -> int:
        """Grows with every change of any instance."""
        return self._table.version

    async def load(self) -> None:
        """Take over the instances that were stored."""
        self._table.load(await self._store.all_instances())

    def store_changed(self, state: StoreState) -> None:
        """Take note that the store broke or healed: what was on its way to it may be there or not."""
        self._compare = self._compare or state is StoreState.HEALTHY

    async def run(self) -> None:
        """Watch over heartbeats until cancelled."""
        while True:
            await self._rest()
            for instance in self._table.sweep(relays=await self._relay()):
                _log.info("instance %s is gone: no heartbeat for long", instance.id)
                self._table.remove(instance.id)
                self._leaving.add(instance.id)
            for instance_id in sorted(self._leaving):
                with suppress(WeftError):  # else it is tried again
                    await self._delete(instance_id)
            if self._compare:
                with suppress(WeftError):
                    await self._follow_store()

    async def _rest(self) -> None:
        """Wait for the next round, or until another server has changed something."""
        self._poke.clear()
        rest = [
            asyncio.ensure_future(self._clock.sleep(_SWEEP_SECONDS)),
            asyncio.ensure_future(self._poke.wait()),
        ]
        try:
            await asyncio.wait(rest, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in rest:
                waiting.cancel()

    def _changed_elsewhere(self) -> None:
        self._compare = True
        self._poke.set()

    async def _relay(self) -> bool:
        """Tell other servers who was heard of here, and hear what they heard; tell whether that went well."""
        try:
            heard = await self._store.exchange_heartbeats(self._table.take_heard())
        except WeftError:
            return False
        for heartbeat in heard:
            self._table.heard_elsewhere(heartbeat)
        return True

    async def _follow_store(self) -> None:
        """Make memory the same as the store; when something changes meanwhile, later."""
        version, leaving = self._table.version, set(self._leaving)
        stored = {instance.id: instance for instance in await self._store.all_instances()}
        if version != self._table.version:
            return
        self._compare = False
        for known in self._table.everything():
            if known.id not in stored:
                self._table.remove(known.id)
        for instance in stored.values():
            here = self._table.get(instance.id)
            busy = instance.id in leaving or instance.id in self._arriving
            if not busy and (here is None or here.token != instance.token):
                self._table.load([instance])

    async def register(self, ref: str, draft: Instance) -> tuple[Service, Instance]:
        """Store a live instance, or replace the one with its id.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND.
            AlreadyExistsError: INSTANCE_EXISTS: the id belongs to another service.
        """
        service = await self._services.existing(ref)
        known = self._table.get(draft.id)
        if known is not None and known.service_id != service.id:
            raise AlreadyExistsError(
                f"instance {draft.id!r} belongs to another service",
                reason=Reason.INSTANCE_EXISTS,
                metadata={"instance_id": draft.id},
            )
        now = self._clock.now()
        instance = replace(
            draft,
            service_id=service.id,
            register_time=now,
            heartbeat_time=now,
            token=secrets.token_urlsafe(_TOKEN_BYTES),
        )
        try:
            await to_its_end(self._put(instance))
        except StaleWriteError:
            raise await self._services.not_found(ref) from None
        return service, instance

    async def _put(self, instance: Instance) -> None:
        self._arriving[instance.id] = instance
        self._leaving.discard(instance.id)
        try:
            await self._store.put_instance(instance)
            self._table.put(instance)
        finally:
            if self._arriving.get(instance.id) is instance:
                del self._arriving[instance.id]

    async def heard(self, instance_id: str, token: str, health: Health, note: str) -> datetime:
        """Take note of an instance as ``heartbeat`` does, also when it registered at another server just now.

        Raises:
            ResourceNotFoundError: INSTANCE_NOT_FOUND.
            PreconditionError: INSTANCE_REPLACED: the token is of an earlier registration.
        """
        await self._look_for(instance_id, token)
        return self.heartbeat(instance_id, token, health, note)

    async def _look_for(self, instance_id: str, token: str) -> None:
        """Read what is stored when a registration is not known here, but not all the time."""
        known = self._table.get(instance_id)
        if known is not None and (not token or not known.token or token == known.token):
            return
        now = self._clock.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked, self._compare = now, True
            with suppress(WeftError):
                await self._follow_store()

    def heartbeat(self, instance_id: str, token: str, health: Health, note: str) -> datetime:
        """Take note that an instance is alive; return until when it counts as alive.

        Raises:
            ResourceNotFoundError: INSTANCE_NOT_FOUND.
            PreconditionError: INSTANCE_REPLACED: the token is of an earlier registration.
        """
        self._require_current(instance_id, token)
        instance = self._table.heard(instance_id, health, note)
        if instance is None:
            raise ResourceNotFoundError("instance", instance_id)
        return instance.heartbeat_time + instance.ttl

    async def deregister(self, instance_id: str, token: str) -> None:
        """Remove an instance; no call starts there any more.

        Raises:
            ResourceNotFoundError: INSTANCE_NOT_FOUND.
            PreconditionError: INSTANCE_REPLACED: the token is of an earlier registration.
        """
        await self._look_for(instance_id, token)
        self._require_current(instance_id, token)
        if self._table.remove(instance_id) is None and instance_id not in self._leaving:
            raise ResourceNotFoundError("instance", instance_id)
        self._leaving.add(instance_id)
        await to_its_end(self._delete(instance_id))

    async def _delete(self, instance_id: str) -> None:
        """Remove the row of an instance that is gone, unless it was registered again meanwhile."""
        if instance_id in self._leaving:
            await self._store.delete_instance(instance_id)
            self._leaving.discard(instance_id)

    def _require_current(self, instance_id: str, token: str) -> None:
        current = self._arriving.get(instance_id) or self._table.get(instance_id)
        if current is not None and token and current.token and token != current.token:
            raise PreconditionError(
                f"instance {instance_id!r} was registered anew by somebody else",
                reason=Reason.INSTANCE_REPLACED,
                metadata={"instance_id": instance_id},
            )

    async def list(self, ref: str, health: Health | None, page: Page) -> Slice[tuple[Service, Instance]]:
        """Return instances of one service, or of all, by id.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND.
        """
        if ref:
            service = await self._services.get(ref)
            found, services = self._table.of_service(service.id), {service.id: service}
        else:
            found = self._table.everything()
            services = await self._find_all({instance.service_id for instance in found})
        wanted = [
            (services[i.service_id], i)
            for i in found
            if i.service_id in services and (health is None or i.health is health)
        ]
        rest = [item for item in wanted if item[1].id > page.after][page.skip :]
        return Slice(tuple(rest[: page.size]), len(rest) > page.size, len(wanted))

    async def _find_all(self, ids: set[str]) -> dict[str, Service]:
        """Return services by id, without those that went in the meantime."""
        found = {service_id: await self._services.find(service_id) for service_id in ids}
        return {service_id: service for service_id, service in found.items() if service is not None}

    async def watch(self, ref: str) -> AsyncIterator[tuple[Instance, ...]]:
        """Yield the instances of a service, now and after every change, until the caller leaves.

        A service that is not there has none. One that is registered again under
        the same name is followed on.
        """
        last: tuple[Service | None, tuple[Instance, ...]] | None = None
        while True:
            changed = self._services.next_change()
            service = await self._services.find(ref)
            instances = self._table.of_service(service.id) if service else ()
            table_changed = self._table.next_change(service.id) if service else None
            if last != (service, instances):
                last = (service, instances)
                yield instances
                continue
            await _first(changed, table_changed)

    async def health(self, ref: str) -> HealthReport:
        """Return how well a service is.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND.
        """
        return self._report(await self._services.get(ref))

    async def health_of_all(self) -> tuple[HealthReport, ...]:
        """Return how well every service is that is not INACTIVE."""
        services = [s async for s in self._services.everything() if s.state is not ServiceState.INACTIVE]
        return tuple(self._report(service) for service in services)

    def _report(self, service: Service) -> HealthReport:
        return report_health(service, self._table.of_service(service.id))


async def _first(*events: asyncio.Event | None) -> None:
    """Return when the first of the events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events if event is not None]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
