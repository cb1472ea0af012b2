"""Heartbeats that another server heard keep an instance alive here."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.contract.store.samples import instance
from weft.core.testing import ManualClock
from weft.discovery.model import Health
from weft.server.registry.instances import InstanceTable
from weft.server.registry.model import Heartbeat

TTL = timedelta(seconds=10)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def table(clock: ManualClock) -> InstanceTable:
    made = InstanceTable(clock)
    made.put(instance("svc", ttl=TTL, token="t", health=Health.PASSING, health_note=""))
    return made


def beat(age: float = 0.0, **changes: object) -> Heartbeat:
    made = Heartbeat(instance_id="ins-1", token="t", health=Health.PASSING, age=timedelta(seconds=age))
    return replace(made, **changes)  # type: ignore[arg-type] # fields of the model


def health(table: InstanceTable) -> Health:
    found = table.get("ins-1")
    assert found is not None
    return found.health


async def test_what_is_heard_here_is_told_once(table: InstanceTable, clock: ManualClock) -> None:
    """With its age."""
    assert table.take_heard() == ()
    table.heard("ins-1", Health.WARNING, "hot")
    await clock.advance(2)
    (told,) = table.take_heard()
    assert told == beat(2, health=Health.WARNING, note="hot")
    assert table.take_heard() == ()


async def test_heard_elsewhere_is_alive_here(table: InstanceTable, clock: ManualClock) -> None:
    """For its ttl and what a relay may take; what was relayed is not told on."""
    await clock.advance(9)
    table.heard_elsewhere(beat(1))
    await clock.advance(10.5)
    assert table.sweep() == ()
    assert health(table) is Health.PASSING
    assert table.take_heard() == ()
    await clock.advance(1)
    table.sweep()
    assert health(table) is Health.CRITICAL


async def test_what_it_says_of_itself_is_known_here(table: InstanceTable, clock: ManualClock) -> None:
    """And wakes whoever watches its service."""
    await clock.advance(1)
    changed = table.next_change("svc")
    table.heard_elsewhere(beat(health=Health.WARNING, note="hot"))
    assert changed.is_set()
    assert health(table) is Health.WARNING


async def test_old_news_and_those_of_another_registration_are_dropped(
    table: InstanceTable, clock: ManualClock
) -> None:
    """As are those of an instance that is not known."""
    await clock.advance(5)
    table.heard("ins-1", Health.WARNING, "")
    table.heard_elsewhere(beat(1))
    table.heard_elsewhere(beat(token="other"))
    table.heard_elsewhere(beat(instance_id="ins-2"))
    assert health(table) is Health.WARNING
    assert table.get("ins-2") is None


async def test_without_relays_nobody_is_given_up_of_whom_others_know(
    table: InstanceTable, clock: ManualClock
) -> None:
    """Who was heard of here last is."""
    await clock.advance(1)
    table.heard_elsewhere(beat())
    await clock.advance(60)
    table.sweep(relays=False)
    assert health(table) is Health.PASSING
    table.heard("ins-1", Health.PASSING, "")
    await clock.advance(11)
    table.sweep(relays=False)
    assert health(table) is Health.CRITICAL
