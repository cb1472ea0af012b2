"""The store port of services and of the instances that were registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from weft.server.registry.model import Heartbeat, Instance, Service, ServiceState
from weft.server.store.values import Page, RequestKey, Slice

__all__ = ["RegistryStore"]


class RegistryStore(Protocol):
    """Services and the instances that were registered. Lists are by name, or by id for instances.

    Descriptor sets come back from ``get_service`` only: what is listed or
    recalled goes without them, and must not be written back.
    """

    async def recall_service(self, key: RequestKey) -> Service | None:
        """Return what the first request with this key returned.

        Raises:
            AlreadyExistsError: REQUEST_ID_REUSED: its content was another.
        """
        ...

    async def insert_service(self, service: Service, key: RequestKey | None = None) -> Service:
        """Store a new service.

        Raises:
            AlreadyExistsError: SERVICE_EXISTS, or REQUEST_ID_REUSED.
        """
        ...

    async def update_service(
        self, service: Service, expected_revision: int, key: RequestKey | None = None
    ) -> Service:
        """Replace a service that still has the expected revision.

        Raises:
            AlreadyExistsError: SERVICE_EXISTS: the new name is taken; or REQUEST_ID_REUSED.
            StaleWriteError: It has another revision, or is gone.
        """
        ...

    async def delete_service(
        self, service: Service, expected_revision: int, key: RequestKey | None = None
    ) -> None:
        """Remove a service that still has the expected revision, and its instances.

        The key recalls the service as it was.

        Raises:
            StaleWriteError: It has another revision, or is gone.
            AlreadyExistsError: REQUEST_ID_REUSED.
        """
        ...

    async def get_service(self, ref: str) -> Service | None:
        """Return a service by id or by name."""
        ...

    async def list_services(self, state: ServiceState | None, page: Page) -> Slice[Service]:
        """Return services by name; the paging key is the name."""
        ...

    async def put_instance(self, instance: Instance) -> None:
        """Store an instance, or replace the one with its id.

        Raises:
            StaleWriteError: Its service is gone.
        """
        ...

    async def delete_instance(self, instance_id: str) -> bool:
        """Remove an instance; tell whether it was there."""
        ...

    async def all_instances(self) -> tuple[Instance, ...]:
        """Return every instance, by id."""
        ...

    async def exchange_heartbeats(self, heard: Sequence[Heartbeat]) -> tuple[Heartbeat, ...]:
        """Tell other servers which instances were heard of here, and return what they heard of late.

        Not durable; an instance that is gone is left out.
        """
        ...

    def on_instances_change(self, listener: Callable[[], None]) -> None:
        """Call back in the event loop when another server may have added or removed instances.

        At the latest one second after it did.
        """
        ...

    def on_catalog_change(self, listener: Callable[[], None]) -> None:
        """Call back in the event loop when another server may have changed services or workflows.

        At the latest one second after it did.
        """
        ...
