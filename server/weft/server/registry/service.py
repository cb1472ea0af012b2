"""Use cases of services."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final

from weft.core.clock import Clock
from weft.core.errors import AlreadyExistsError, ConflictError, ResourceNotFoundError
from weft.core.names import SERVICE_PREFIX, new_id
from weft.core.reasons import Reason
from weft.server.registry.model import Service, ServiceState
from weft.server.registry.suggest import not_found
from weft.server.registry.versions import join, leave
from weft.server.store.base import Page, RegistryStore, RequestKey, Slice, StaleWriteError, StoreState
from weft.server.tasks import to_its_end

__all__ = ["Judge", "RegistryService"]

_log = logging.getLogger("weft.server.registry")

_PAGE: Final = 500

Complete = Callable[[Service], Awaitable[Service]]
"""Adds to a registration what it did not bring itself."""
Judge = Callable[[Service, Service], Awaitable[None]]
"""Looks at a service as it is and as it is to be, before that is written; raises to refuse it."""


class RegistryService:
    """Registers services, changes and finds them.

    Args:
        store: Where registrations are kept.
        clock: For times.
    """

    def __init__(self, store: RegistryStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._cache: dict[str, Service] = {}
        self._changed = asyncio.Event()
        self._removal_listeners: list[Callable[[str], None]] = []
        store.on_catalog_change(self._remember_change)

    def on_removal(self, listener: Callable[[str], None]) -> None:
        """Call back with the id of every service that was removed."""
        self._removal_listeners.append(listener)

    def store_changed(self, _: StoreState) -> None:
        """Read anew: a write to a store that breaks may be there or not."""
        self._remember_change()

    async def register(
        self,
        draft: Service,
        *,
        replace_existing: bool,
        key: RequestKey | None,
        complete: Complete | None = None,
        judge: Judge | None = None,
    ) -> Service:
        """Store a new service, or bring the existing one of that name up to date.

        Args:
            draft: What is registered.
            replace_existing: Whether to change a service of that name.
            key: Makes it idempotent.
            complete: Reads what the draft leaves to be read elsewhere; not asked for a repeat.
            judge: Is asked before a service of that name is changed.

        Raises:
            AlreadyExistsError: SERVICE_EXISTS, when it must not be replaced.
            ValidationError: Its API version would be one too many.
            WeftError: As ``complete`` and ``judge``.
        """
        if key is not None and (first := await self._store.recall_service(key)) is not None:
            return first
        if complete is not None:
            draft = await complete(draft)
        now = self._clock.now()
        fresh = replace(draft, id=new_id(SERVICE_PREFIX), create_time=now, update_time=now)
        try:
            return await to_its_end(self._store.insert_service(fresh, key), self._remember_change)
        except AlreadyExistsError as error:
            if not replace_existing or error.reason != Reason.SERVICE_EXISTS:
                raise
            return await self._replace(fresh, key, judge)

    async def _replace(self, draft: Service, key: RequestKey | None, judge: Judge | None) -> Service:
        removed: set[str] = set()

        def change(current: Service) -> Service:
            joined = join(current, draft)
            removed.clear()
            removed.update(_lost_actions(current, joined))
            return joined

        stored = await self._change(draft.name, "", change, key, judge)
        if removed:
            _log.warning(
                "service %s was registered again without its actions %s; steps that call them fail",
                stored.name,
                ", ".join(sorted(removed)),
            )
        return stored

    async def update(
        self,
        ref: str,
        etag: str,
        change: Callable[[Service], Service],
        key: RequestKey | None,
        judge: Judge | None = None,
    ) -> Service:
        """Change fields of a service.

        Args:
            ref: Id or name.
            etag: What the change is based on; empty: whatever is there.
            change: Gives the new form.
            key: Makes it idempotent.
            judge: Is asked before it is changed.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND.
            AlreadyExistsError: SERVICE_EXISTS: the new name is taken.
            ConflictError: ETAG_MISMATCH.
            WeftError: As ``judge``.
        """
        return await self._change(ref, etag, change, key, judge)

    async def set_state(self, ref: str, state: ServiceState, etag: str, key: RequestKey | None) -> Service:
        """Move a service to another state.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND.
            ConflictError: ETAG_MISMATCH.
        """
        return await self._change(ref, etag, lambda current: replace(current, state=state), key)

    async def _change(
        self,
        ref: str,
        etag: str,
        change: Callable[[Service], Service],
        key: RequestKey | None,
        judge: Judge | None = None,
    ) -> Service:
        """Read, change and write until nobody was faster, or the caller's etag says stop."""
        if key is not None and (first := await self._store.recall_service(key)) is not None:
            return first
        while True:
            current = await self.existing(ref)
            _check_etag(etag, current)
            new = change(current)
            if new != current:
                if judge is not None:
                    await judge(current, new)
                new = replace(new, revision=current.revision + 1, update_time=self._clock.now())
            elif key is None:
                return current  # with a key it is written as it is, so that the key is remembered
            try:
                return await to_its_end(
                    self._store.update_service(new, current.revision, key), self._remember_change
                )
            except StaleWriteError:
                continue

    async def deregister(self, ref: str, etag: str, key: RequestKey | None, version: str = "") -> None:
        """Remove a service and its instances, or only the actions of one API version.

        Without its last API version a service is removed as a whole.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND, SERVICE_VERSION_NOT_FOUND.
            ConflictError: ETAG_MISMATCH.
        """
        if key is not None and await self._store.recall_service(key) is not None:
            return
        while True:
            current = await self.existing(ref)
            _check_etag(etag, current)
            left = leave(current, version) if version else None
            try:
                await to_its_end(self._remove(current, left, key), self._remember_change)
            except StaleWriteError:
                continue
            return

    async def _remove(self, service: Service, left: Service | None, key: RequestKey | None) -> None:
        if left is not None:
            left = replace(left, revision=service.revision + 1, update_time=self._clock.now())
            await self._store.update_service(left, service.revision, key)
            return
        await self._store.delete_service(service, service.revision, key)
        for listener in self._removal_listeners:
            listener(service.id)

    async def get(self, ref: str) -> Service:
        """Return a service by id or name.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND.
        """
        service = await self.find(ref)
        if service is None:
            raise await self.not_found(ref)
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
        async for service in self.everything():
            yield service.name

    async def everything(self) -> AsyncIterator[Service]:
        """Yield all services, by name."""
        after = ""
        while True:
            page = await self._store.list_services(None, Page(size=_PAGE, after=after))
            for service in page.items:
                yield service
            if not page.more:
                return
            after = page.items[-1].name

    def next_change(self) -> asyncio.Event:
        """Return what is set at the next change of any service."""
        return self._changed

    async def existing(self, ref: str) -> Service:
        """Return a service as it is stored now.

        Raises:
            ResourceNotFoundError: SERVICE_NOT_FOUND.
        """
        service = await self._store.get_service(ref)
        if service is None:
            raise await self.not_found(ref)
        return service

    async def not_found(self, ref: str) -> ResourceNotFoundError:
        """Return the error that says that a service is not there, and which name may be meant."""
        return await not_found("service", ref, SERVICE_PREFIX, self._names_after)

    async def _names_after(self, after: str, size: int) -> Iterable[str]:
        page = await self._store.list_services(None, Page(size=size, after=after))
        return [service.name for service in page.items]

    def _remember_change(self) -> None:
        """Forget what was read, and wake who waits for a service to appear or go."""
        self._cache.clear()
        self._changed.set()
        self._changed = asyncio.Event()


def _lost_actions(before: Service, after: Service) -> set[str]:
    """Return the names of actions that no version has any more."""
    kept = {action.name for version in after.versions for action in version.actions}
    return {action.name for version in before.versions for action in version.actions} - kept


def _check_etag(etag: str, current: Service) -> None:
    if etag and etag != current.etag:
        raise ConflictError(
            f"service {current.name!r} changed since {etag!r} was read: it is {current.etag!r} now",
            metadata={"etag": etag, "current_etag": current.etag},
        )
