"""Use cases of the registry."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import AlreadyExistsError, ConflictError, ResourceNotFoundError
from weft.core.names import SERVICE_PREFIX, new_id
from weft.core.reasons import Reason
from weft.discovery.model import Health
from weft.server.registry.instances import InstanceTable
from weft.server.registry.model import Instance, Service, ServiceState
from weft.server.registry.suggest import not_found
from weft.server.store.base import (
    Page,
    RegistryStore,
    RequestKey,
    Slice,
    StaleWriteError,
    StoreFullError,
    StoreUnavailableError,
)

__all__ = ["HealthReport", "RegistryService"]

_log = logging.getLogger("weft.server.registry")

_SWEEP_SECONDS: Final = 0.5
_PAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """How well a service is, with every instance."""

    service: Service
    """Which service."""
    instances: tuple[Instance, ...]
    """All of them."""
    healthy: bool
    """Somebody passes and nobody is critical."""
    callable: bool
    """Somebody can be called."""
    note: str
    """Why, when it is not healthy."""


class RegistryService:
    """Registers services and instances, and answers who is alive where.

    Args:
        store: Where registrations are kept.
        clock: For times and heartbeats.
    """

    def __init__(self, store: RegistryStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._instances = InstanceTable(clock)
        self._cache: dict[str, Service] = {}
        self._changed = asyncio.Event()

    async def load(self) -> None:
        """Take over the instances that were stored."""
        self._instances.load(await self._store.all_instances())

    async def run(self) -> None:
        """Watch over heartbeats until cancelled."""
        while True:
            await self._clock.sleep(_SWEEP_SECONDS)
            for instance in self._instances.sweep():
                _log.info("instance %s is gone: no heartbeat for long", instance.id)
                self._instances.remove(instance.id)
                with contextlib.suppress(StoreUnavailableError, StoreFullError):
                    await self._store.delete_instance(instance.id)  # else it goes after a restart

    # ---- services

    async def register(self, draft: Service, *, replace_existing: bool, key: RequestKey | None) -> Service:
        """Store a new service, or bring the existing one of that name up to date.

        Raises:
            AlreadyExistsError: SERVICE_EXISTS, when it must not be replaced.
        """
        if key is not None and (first := await self._store.recall_service(key)) is not None:
            return first
        now = self._clock.now()
        fresh = replace(draft, id=new_id(SERVICE_PREFIX), create_time=now, update_time=now)
        try:
            stored = await self._store.insert_service(fresh, key)
        except AlreadyExistsError as error:
            if not replace_existing or error.reason != Reason.SERVICE_EXISTS:
                raise
            return await self._replace(draft, key)
        self._remember_change()
        return stored

    async def _replace(self, draft: Service, key: RequestKey | None) -> Service:
        removed: list[str] = []

        def change(current: Service) -> Service:
            removed[:] = [action.name for action in current.actions if draft.action(action.name) is None]
            return replace(
                current,
                description=draft.description,
                endpoint=draft.endpoint,
                actions=draft.actions,
                metadata=draft.metadata,
            )

        stored = await self._change(draft.name, "", change, key)
        if removed:
            _log.warning(
                "service %s was registered again without its actions %s; steps that call them fail",
                stored.name,
                ", ".join(sorted(removed)),
            )
        return stored

    async def update(
        self, ref: str, etag: str, change: Callable[[Service], Service], key: RequestKey | None
    ) -> Service:
        """Change fields of a service.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND.
            AlreadyExistsError: SERVICE_EXISTS: the new name is taken.
            ConflictError: ETAG_MISMATCH.
        """
        return await self._change(ref, etag, change, key)

    async def set_state(self, ref: str, state: ServiceState, etag: str, key: RequestKey | None) -> Service:
        """Move a service to another state.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND.
            ConflictError: ETAG_MISMATCH.
        """
        return await self._change(ref, etag, lambda current: replace(current, state=state), key)

    async def _change(
        self, ref: str, etag: str, change: Callable[[Service], Service], key: RequestKey | None
    ) -> Service:
        """Read, change and write until nobody was faster, or the caller's etag says stop."""
        if key is not None and (first := await self._store.recall_service(key)) is not None:
            return first
        while True:
            current = await self._existing(ref)
            _check_etag(etag, current)
            new = change(current)
            if new != current:
                new = replace(new, revision=current.revision + 1, update_time=self._clock.now())
            elif key is None:
                return current  # with a key it is written as it is, so that the key is remembered
            try:
                stored = await self._store.update_service(new, current.revision, key)
            except StaleWriteError:
                continue
            self._remember_change()
            return stored

    async def deregister(self, ref: str, etag: str, key: RequestKey | None) -> None:
        """Remove a service and its instances.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND.
            ConflictError: ETAG_MISMATCH.
        """
        if key is not None and await self._store.recall_service(key) is not None:
            return
        while True:
            current = await self._existing(ref)
            _check_etag(etag, current)
            try:
                await self._store.delete_service(current, current.revision, key)
            except StaleWriteError:
                continue
            self._instances.remove_service(current.id)
            self._remember_change()
            return

    async def get(self, ref: str) -> Service:
        """Return a service by id or name.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND.
        """
        service = await self.find(ref)
        if service is None:
            raise await self._not_found(ref)
        return service

    async def find(self, ref: str) -> Service | None:
        """Return a service by id or name, or None; what was read once is kept until a change."""
        known = self._cache.get(ref)
        if known is not None:
            return known
        changed = self._changed
        service = await self._store.get_service(ref)
        if service is not None and not changed.is_set():
            self._cache[ref] = service
        return service

    async def list(self, state: ServiceState | None, page: Page) -> Slice[Service]:
        """Return services by name."""
        return await self._store.list_services(state, page)

    async def names(self) -> AsyncIterator[str]:
        """Yield the names of all services, in their order."""
        after = ""
        while True:
            page = await self._store.list_services(None, Page(size=_PAGE, after=after))
            for service in page.items:
                yield service.name
            if not page.more:
                return
            after = page.items[-1].name

    async def _existing(self, ref: str) -> Service:
        service = await self._store.get_service(ref)
        if service is None:
            raise await self._not_found(ref)
        return service

    async def _not_found(self, ref: str) -> ResourceNotFoundError:
        """Say that a service is not there, and which name may be meant."""
        return await not_found("service", ref, SERVICE_PREFIX, self._names_after)

    async def _names_after(self, after: str, size: int) -> Iterable[str]:
        page = await self._store.list_services(None, Page(size=size, after=after))
        return [service.name for service in page.items]

    def _remember_change(self) -> None:
        """Forget what was read, and wake who waits for a service to appear or go."""
        self._cache.clear()
        self._changed.set()
        self._changed = asyncio.Event()

    # ---- instances

    @property
    def instances_version(self) -> int:
        """Grows with every change of any instance."""
        return self._instances.version

    async def register_instance(self, ref: str, draft: Instance) -> tuple[Service, Instance]:
        """Store a live instance, or replace the one with its id.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND.
            AlreadyExistsError: INSTANCE_EXISTS: the id belongs to another service.
        """
        service = await self._existing(ref)
        known = self._instances.get(draft.id)
        if known is not None and known.service_id != service.id:
            raise AlreadyExistsError(
                f"instance {draft.id!r} belongs to another service",
                reason=Reason.INSTANCE_EXISTS,
                metadata={"instance_id": draft.id},
            )
        now = self._clock.now()
        instance = replace(draft, service_id=service.id, register_time=now, heartbeat_time=now)
        try:
            await self._store.put_instance(instance)
        except StaleWriteError:
            raise await self._not_found(ref) from None
        self._instances.put(instance)
        return service, instance

    def heartbeat(self, instance_id: str, health: Health, note: str) -> datetime:
        """Take note that an instance is alive; return until when it counts as alive.

        Raises:
            ResourceNotFoundError: INSTANCE_NOT_FOUND.
        """
        instance = self._instances.heard(instance_id, health, note)
        if instance is None:
            raise ResourceNotFoundError("instance", instance_id)
        return instance.heartbeat_time + instance.ttl

    async def deregister_instance(self, instance_id: str) -> None:
        """Remove an instance; no call starts there any more.

        Raises:
            ResourceNotFoundError: INSTANCE_NOT_FOUND.
        """
        if self._instances.remove(instance_id) is None:
            raise ResourceNotFoundError("instance", instance_id)
        await self._store.delete_instance(instance_id)

    async def list_instances(
        self, ref: str, health: Health | None, page: Page
    ) -> Slice[tuple[Service, Instance]]:
        """Return instances of one service, or of all, by id.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND.
        """
        if ref:
            service = await self.get(ref)
            found, services = self._instances.of_service(service.id), {service.id: service}
        else:
            found = self._instances.everything()
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
        found = {service_id: await self.find(service_id) for service_id in ids}
        return {service_id: service for service_id, service in found.items() if service is not None}

    async def watch_instances(self, ref: str) -> AsyncIterator[tuple[Instance, ...]]:
        """Yield the instances of a service, now and after every change, until the caller leaves.

        A service that is not there has none. One that is registered again under
        the same name is followed on.
        """
        last: tuple[Service | None, tuple[Instance, ...]] | None = None
        while True:
            changed = self._changed
            service = await self.find(ref)
            instances = self._instances.of_service(service.id) if service else ()
            table_changed = self._instances.next_change(service.id) if service else None
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
        return self._report(await self.get(ref))

    async def health_of_all(self) -> tuple[HealthReport, ...]:
        """Return how well every service is that is not INACTIVE."""
        reports: list[HealthReport] = []
        after = ""
        while True:
            page = await self._store.list_services(None, Page(size=_PAGE, after=after))
            reports += [self._report(s) for s in page.items if s.state is not ServiceState.INACTIVE]
            if not page.more:
                return tuple(reports)
            after = page.items[-1].name

    def _report(self, service: Service) -> HealthReport:
        instances = self._instances.of_service(service.id)
        usable = [i for i in instances if i.health in {Health.PASSING, Health.WARNING}]
        passing = [i for i in instances if i.health is Health.PASSING]
        critical = [i for i in instances if i.health is Health.CRITICAL]
        endpoint_only = not instances and bool(service.endpoint)
        note = ""
        if not instances and not endpoint_only:
            note = "no instance and no endpoint"
        elif len(passing) < len(instances):
            note = f"{len(passing)} of {len(instances)} instances pass"
        return HealthReport(
            service=service,
            instances=instances,
            healthy=endpoint_only or (bool(passing) and not critical),
            callable=endpoint_only or bool(usable),
            note=note,
        )


def _check_etag(etag: str, current: Service) -> None:
    if etag and etag != current.etag:
        raise ConflictError(
            f"service {current.name!r} changed since {etag!r} was read: it is {current.etag!r} now",
            metadata={"etag": etag, "current_etag": current.etag},
        )


async def _first(*events: asyncio.Event | None) -> None:
    """Return when the first of the events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events if event is not None]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
