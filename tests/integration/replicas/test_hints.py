"""What one server changes, the others learn: at once by a hint, within a second without."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from tests.contract.store.samples import instance, service, workflow
from tests.integration.engine.processes import until
from tests.integration.replicas.conftest import OpenStore
from weft.discovery.model import Health
from weft.server.registry.model import Heartbeat
from weft.server.store.postgres import PostgresStore

pytestmark = pytest.mark.integration


class Ear:
    """Counts what a store tells."""

    def __init__(self, store: PostgresStore) -> None:
        self.catalog = 0
        self.instances = 0
        store.on_catalog_change(self._catalog)
        store.on_instances_change(self._instances)

    def _catalog(self) -> None:
        self.catalog += 1

    def _instances(self) -> None:
        self.instances += 1


async def test_changes_are_told_at_once(open_store: OpenStore) -> None:
    """Of services, workflows and instances."""
    a, b = await open_store(), await open_store()
    ear = Ear(b)
    made = await a.insert_service(service())
    await until(lambda: ear.catalog > 0, 0.5)
    seen = ear.catalog
    await a.insert_workflow(workflow())
    await until(lambda: ear.catalog > seen, 0.5)
    await a.put_instance(instance(made.id))
    await until(lambda: ear.instances > 0, 0.5)
    known = ear.instances
    await a.delete_service(made, made.revision)
    await until(lambda: ear.instances > known, 0.5)


async def test_without_a_hint_changes_are_found_within_a_second(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hint may be lost; the count is not."""
    a, b = await open_store(), await open_store()
    ear = Ear(b)
    monkeypatch.setattr(a._keeper, "tell", lambda _: None)
    made = await a.insert_service(service())
    await a.put_instance(instance(made.id))
    asked = time.monotonic()
    await until(lambda: ear.catalog > 0 and ear.instances > 0, 3)
    assert time.monotonic() - asked < 1.5


async def test_heartbeats_are_exchanged(open_store: OpenStore) -> None:
    """With what was said, and how long ago; the newest counts, and nobody hears of their own."""
    a, b = await open_store(), await open_store()
    made = await a.insert_service(service())
    for number in (1, 2):
        await a.put_instance(instance(made.id, f"ins-{number}"))

    def beat(number: int, age: float, **changes: str) -> Heartbeat:
        return Heartbeat(
            instance_id=f"ins-{number}",
            token="t",
            health=Health(changes.get("health", "PASSING")),
            note=changes.get("note", ""),
            age=timedelta(seconds=age),
        )

    unknown = beat(3, 0)
    assert await a.exchange_heartbeats([beat(1, 0.5), beat(2, 0), unknown]) == ()
    assert await a.exchange_heartbeats([]) == ()
    heard = {it.instance_id: it for it in await b.exchange_heartbeats([beat(1, 3, health="CRITICAL")])}
    assert heard.keys() == {"ins-1", "ins-2"}
    assert heard["ins-1"].health is Health.PASSING
    assert timedelta(seconds=0.5) <= heard["ins-1"].age < timedelta(seconds=3)
    await b.exchange_heartbeats([beat(1, 0, health="WARNING", note="hot")])
    (back,) = await a.exchange_heartbeats([])
    assert (back.instance_id, back.health, back.note, back.token) == ("ins-1", Health.WARNING, "hot", "t")
    await a.delete_instance("ins-1")
    assert await a.exchange_heartbeats([]) == ()


async def test_a_server_that_is_alone_relays_nothing(open_store: OpenStore) -> None:
    """There is nobody to tell."""
    a = await open_store()
    made = await a.insert_service(service())
    await a.put_instance(instance(made.id))
    beat = Heartbeat(instance_id="ins-1", token="", health=Health.PASSING, age=timedelta())
    assert await a.exchange_heartbeats([beat]) == ()
    b = await open_store()
    assert await b.exchange_heartbeats([]) == ()
