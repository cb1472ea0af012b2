"""Services and instances in PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, TypeVar

import asyncpg

from weft.core.errors import AlreadyExistsError, InternalError
from weft.core.reasons import Reason
from weft.discovery.model import Health
from weft.server.registry.model import Heartbeat, Instance, Service, ServiceState
from weft.server.store.base import Page, RequestKey, Slice, StaleWriteError
from weft.server.store.codec import decode_instance, decode_service, encode, encode_descriptors, to_micros
from weft.server.store.postgres._backend import Backend, affected, holds
from weft.server.store.postgres._batch import columns
from weft.server.store.postgres._connect import SQL, Connection
from weft.server.store.postgres._hints import Hint
from weft.server.store.postgres._locks import lock_number
from weft.server.store.postgres._pages import read_slice
from weft.server.store.postgres._requests import recall, record

__all__ = ["Catalog", "PostgresRegistry"]

T = TypeVar("T")

_MICROSECOND: Final = timedelta(microseconds=1)


class Catalog(Backend):
    """Changes of services and workflows: rare, so one after the other over all servers."""

    async def _change(self, change: Callable[[Connection], Awaitable[T]]) -> T:
        """Run a change with nobody else changing anything, and have it told to the other servers."""
        lock = lock_number(self._config.schema, "catalog")

        async def work(connection: Connection) -> T:
            await connection.execute(SQL["lock_transaction"], [lock])
            result = await change(connection)
            await connection.execute(SQL["registry_changed"])
            return result

        result = await self._write(work)
        self._keeper.tell(Hint("registry"))
        return result


class PostgresRegistry(Catalog):
    """The registry's part of the store; see ``RegistryStore`` for what each method promises."""

    async def recall_service(self, key: RequestKey) -> Service | None:
        """Return what the first request with this key returned."""
        document = await self._read(lambda connection: recall(connection, key))
        return decode_service(document) if document else None

    async def insert_service(self, service: Service, key: RequestKey | None = None) -> Service:
        """Store a new service."""
        document = encode(service)
        now = to_micros(self._clock.now())
        row = (service.name, service.state.value, service.revision, document, encode_descriptors(service))

        async def insert(connection: Connection) -> str | None:
            first = await recall(connection, key)
            if first is None:
                await _require_free_name(connection, service)
                await connection.execute(SQL["insert_service"], service.id, *row)
                await record(connection, key, document, now)
            return first

        first = await self._change(insert)
        return decode_service(first) if first else service

    async def update_service(
        self, service: Service, expected_revision: int, key: RequestKey | None = None
    ) -> Service:
        """Replace a service that still has the expected revision."""
        document = encode(service)
        now = to_micros(self._clock.now())
        row = (service.name, service.state.value, service.revision, document, encode_descriptors(service))

        async def update(connection: Connection) -> str | None:
            first = await recall(connection, key)
            if first is None:
                await _require_free_name(connection, service)
                status = await connection.execute(SQL["update_service"], *row, service.id, expected_revision)
                _require_change(status, service.id)
                await record(connection, key, document, now)
            return first

        first = await self._change(update)
        return decode_service(first) if first else service

    async def delete_service(
        self, service: Service, expected_revision: int, key: RequestKey | None = None
    ) -> None:
        """Remove a service that still has the expected revision, and its instances."""
        now = to_micros(self._clock.now())

        async def delete(connection: Connection) -> None:
            if await recall(connection, key) is not None:
                return
            stored = await connection.fetchrow(SQL["get_service"], service.id)
            status = await connection.execute(SQL["delete_service"], service.id, expected_revision)
            _require_change(status, service.id)
            assert stored is not None
            await connection.execute(SQL["instances_changed"])
            await record(connection, key, stored["document"], now)

        await self._change(delete)
        self._keeper.tell(Hint("instances"))

    async def get_service(self, ref: str) -> Service | None:
        """Return a service by id or by name."""
        rows = await self._fetch("get_service", ref) if holds(ref) else []
        return decode_service(rows[0]["document"], rows[0]["descriptors"]) if rows else None

    async def list_services(self, state: ServiceState | None, page: Page) -> Slice[Service]:
        """Return services by name; the paging key is the name."""
        what, where = ("services_by_state", (state.value,)) if state else ("services", ())
        return await self._read(
            lambda connection: read_slice(
                connection, what, where, page.after, page, lambda row: decode_service(row[0])
            )
        )

    async def put_instance(self, instance: Instance) -> None:
        """Store an instance, or replace the one with its id."""
        values = (instance.id, instance.service_id, encode(instance))

        async def put(connection: Connection) -> bool:
            status = await connection.execute(SQL["put_instance"], *values)
            await connection.execute(SQL["instances_changed"])
            return affected(status) == 1

        try:
            there = await self._write(put)
        except InternalError as error:
            # It went while the instance was on its way.
            there = not isinstance(error.__cause__, asyncpg.ForeignKeyViolationError)
            if there:
                raise
        if not there:
            raise StaleWriteError(f"service {instance.service_id} is gone")
        self._keeper.tell(Hint("instances", (instance.id,)))

    async def delete_instance(self, instance_id: str) -> bool:
        """Remove an instance; tell whether it was there."""

        async def delete(connection: Connection) -> bool:
            status = await connection.execute(SQL["delete_instance"], instance_id)
            await connection.execute(SQL["instances_changed"])
            return affected(status) == 1

        there = await self._write(delete)
        self._keeper.tell(Hint("instances", (instance_id,)))
        return there

    async def all_instances(self) -> tuple[Instance, ...]:
        """Return every instance, by id."""
        return tuple(decode_instance(row[0]) for row in await self._fetch("all_instances"))

    async def exchange_heartbeats(self, heard: Sequence[Heartbeat]) -> tuple[Heartbeat, ...]:
        """Tell other servers which instances were heard of here, and return what they heard of late."""
        if self._keeper.alone:
            return ()
        told = sorted(
            (it.instance_id, it.token, it.health.value, it.note, it.age // _MICROSECOND) for it in heard
        )
        rows = await self._run("exchange_heartbeats", self._keeper.epoch, *columns(told, 5))
        return tuple(
            Heartbeat(
                instance_id=row["instance_id"],
                token=row["token"],
                health=Health(row["health"]),
                note=row["note"],
                age=row["age"] * _MICROSECOND,
            )
            for row in rows
        )


async def _require_free_name(connection: Connection, service: Service) -> None:
    holder = await connection.fetchval(SQL["service_by_name"], service.name)
    if holder is not None and holder != service.id:
        raise AlreadyExistsError(
            f"a service named {service.name!r} exists",
            reason=Reason.SERVICE_EXISTS,
            metadata={"name": service.name},
        )


def _require_change(status: str, service_id: str) -> None:
    if affected(status) != 1:
        raise StaleWriteError(f"service {service_id} has another revision, or is gone")
