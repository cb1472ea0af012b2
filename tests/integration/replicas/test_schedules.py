"""Schedules of several servers on one database: one at a time has one, and the others take over."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.contract.store.samples import NOW
from tests.contract.store.schedules import run, schedule, turn
from tests.integration.engine.processes import until
from tests.integration.replicas.conftest import OpenStore
from weft.core.errors import AlreadyExistsError
from weft.server.store.base import Page, StaleWriteError

pytestmark = pytest.mark.integration


async def test_one_server_at_a_time_has_a_schedule(open_store: OpenStore) -> None:
    """However many ask at once; what it records is its own, and once it has, others may have it."""
    stores = [await open_store() for _ in range(3)]
    made = [await stores[0].insert_schedule(schedule(f"s{number}"), NOW) for number in range(20)]
    claimed = await asyncio.gather(*(store.claim_schedules(NOW, 9) for store in stores for _ in range(2)))
    by_store = [{it.id for it in (*claimed[place], *claimed[place + 1])} for place in (0, 2, 4)]
    for store, mine_already in zip(stores, by_store, strict=True):
        # Of two claims of one server at the same moment each may return what the other one took.
        mine_already |= {it.id for it in await store.claim_schedules(NOW, 20)}
    assert sum(map(len, by_store)) == len(made)
    assert set.union(*by_store) == {it.id for it in made}
    having = max(range(3), key=lambda place: len(by_store[place]))  # some may have come too late for any
    owner, other = stores[having], stores[having - 1]
    mine = next(it for it in made if it.id in by_store[having])
    with pytest.raises(StaleWriteError):
        await other.record_turn(turn(mine, run()), NOW)
    await owner.record_turn(turn(mine, run()), NOW)
    assert mine.id in {it.id for it in await other.claim_schedules(NOW + timedelta(days=1), 20)}


async def test_a_server_that_leaves_gives_back_its_schedules(open_store: OpenStore) -> None:
    """They are claimed by another, which records; the runs are there once."""
    a, b = await open_store(), await open_store()
    made = await a.insert_schedule(schedule(), NOW)
    assert await a.claim_schedules(NOW, 9) == (made,)
    assert await b.claim_schedules(NOW, 9) == ()
    await a.close()

    async def claimed() -> bool:
        return await b.claim_schedules(NOW, 9) == (made,)

    await until(claimed)
    await b.record_turn(turn(made, run()), NOW)
    assert (await b.list_schedule_runs(made.id, None, Page(size=9))).total == 1


async def test_a_name_is_given_once(open_store: OpenStore) -> None:
    """However many servers create it at the same moment."""
    stores = [await open_store() for _ in range(3)]
    made = await asyncio.gather(
        *(store.insert_schedule(schedule("same"), None) for store in stores for _ in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, AlreadyExistsError) for each in made) == 14
