"""Services and instances in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from weft.core.errors import AlreadyExistsError
from weft.core.reasons import Reason
from weft.server.registry.model import Heartbeat, Instance, Service, ServiceState
from weft.server.store.base import Page, RequestKey, Slice, StaleWriteError
from weft.server.store.codec import decode_instance, decode_service, encode, encode_descriptors, to_micros
from weft.server.store.sqlite._backend import Backend
from weft.server.store.sqlite._database import SQL
from weft.server.store.sqlite._pages import read_slice
from weft.server.store.sqlite._requests import recall, record

__all__ = ["SqliteRegistry"]


class SqliteRegistry(Backend):
    """The registry's part of the store; see ``RegistryStore`` for what each method promises."""

    async def recall_service(self, key: RequestKey) -> Service | None:
        """Return what the first request with this key returned."""
        document = await self._read(lambda connection: recall(connection, key))
        return decode_service(document) if document else None

    async def insert_service(self, service: Service, key: RequestKey | None = None) -> Service:
        """Store a new service."""
        document = encode(service)
        now = to_micros(self._clock.now())
        values = (
            service.id,
            service.name,
            service.state,
            service.revision,
            document,
            encode_descriptors(service),
        )

        def insert(connection: sqlite3.Connection) -> str | None:
            first = recall(connection, key)
            if first is None:
                _require_free_name(connection, service)
                connection.execute(SQL["insert_service"], values)
                record(connection, key, document, now)
            return first

        first = await self._write(insert)
        return decode_service(first) if first else service

    async def update_service(
        self, service: Service, expected_revision: int, key: RequestKey | None = None
    ) -> Service:
        """Replace a service that still has the expected revision."""
        document = encode(service)
        now = to_micros(self._clock.now())
        values = (
            service.name,
            service.state,
            service.revision,
            document,
            encode_descriptors(service),
            service.id,
            expected_revision,
        )

        def update(connection: sqlite3.Connection) -> str | None:
            first = recall(connection, key)
            if first is None:
                _require_free_name(connection, service)
                _require_change(connection.execute(SQL["update_service"], values), service.id)
                record(connection, key, document, now)
            return first

        first = await self._write(update)
        return decode_service(first) if first else service

    async def delete_service(
        self, service: Service, expected_revision: int, key: RequestKey | None = None
    ) -> None:
        """Remove a service that still has the expected revision, and its instances."""
        now = to_micros(self._clock.now())

        def delete(connection: sqlite3.Connection) -> None:
            if recall(connection, key) is not None:
                return
            row = connection.execute(SQL["get_service"], (service.id,)).fetchone()
            _require_change(
                connection.execute(SQL["delete_service"], (service.id, expected_revision)), service.id
            )
            record(connection, key, row[0], now)

        await self._write(delete)

    async def get_service(self, ref: str) -> Service | None:
        """Return a service by id or by name."""
        row = await self._read(lambda connection: connection.execute(SQL["get_service"], (ref,)).fetchone())
        return decode_service(*row) if row else None

    async def list_services(self, state: ServiceState | None, page: Page) -> Slice[Service]:
        """Return services by name; the paging key is the name."""
        what, where = ("services_by_state", (state,)) if state else ("services", ())
        return await self._read(
            lambda connection: read_slice(connection, what, where, page.after, page, decode_service)
        )

    async def put_instance(self, instance: Instance) -> None:
        """Store an instance, or replace the one with its id."""
        values = (instance.id, instance.service_id, encode(instance))

        def put(connection: sqlite3.Connection) -> None:
            if connection.execute(SQL["put_instance"], values).rowcount != 1:
                raise StaleWriteError(f"service {instance.service_id} is gone")

        await self._write(put)

    async def delete_instance(self, instance_id: str) -> bool:
        """Remove an instance; tell whether it was there."""

        def delete(connection: sqlite3.Connection) -> bool:
            return connection.execute(SQL["delete_instance"], (instance_id,)).rowcount == 1

        return await self._write(delete)

    async def all_instances(self) -> tuple[Instance, ...]:
        """Return every instance, by id."""
        rows = await self._read(lambda connection: connection.execute(SQL["all_instances"]).fetchall())
        return tuple(decode_instance(document) for (document,) in rows)

    async def exchange_heartbeats(self, heard: Sequence[Heartbeat]) -> tuple[Heartbeat, ...]:
        """Return nothing: there is no other server."""
        del heard
        return ()

    def on_instances_change(self, listener: Callable[[], None]) -> None:
        """Nobody else writes here, so nobody ever calls back."""

    def on_catalog_change(self, listener: Callable[[], None]) -> None:
        """Nobody else writes here, so nobody ever calls back."""


def _require_free_name(connection: sqlite3.Connection, service: Service) -> None:
    holder = connection.execute(SQL["service_by_name"], (service.name,)).fetchone()
    if holder is not None and holder[0] != service.id:
        raise AlreadyExistsError(
            f"a service named {service.name!r} exists",
            reason=Reason.SERVICE_EXISTS,
            metadata={"name": service.name},
        )


def _require_change(cursor: sqlite3.Cursor, service_id: str) -> None:
    if cursor.rowcount != 1:
        raise StaleWriteError(f"service {service_id} has another revision, or is gone")
