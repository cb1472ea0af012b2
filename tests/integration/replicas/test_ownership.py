"""Several stores on one database: who owns what, and what a lost lease means."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.store.samples import advanced, execution, first_events, key, output
from tests.integration.engine.processes import until
from tests.integration.replicas.conftest import OpenStore
from tests.support.postgres import PostgresServer
from weft.server.execution.history.model import Execution, Waits
from weft.server.store.base import (
    Command,
    KeyTakenError,
    SlotFullError,
    StaleWriteError,
    Store,
    StoreState,
    StoreUnavailableError,
    WhenFull,
)
from weft.server.store.step_shares import Permit

pytestmark = pytest.mark.integration


async def start(store: Store, **changes: object) -> Execution:
    made = execution(**changes)
    return await store.insert_execution(made, first_events(made))


async def test_what_one_owns_another_cannot_write_or_claim(open_store: OpenStore) -> None:
    """One of many in a commit fails alone; the others go on."""
    a, b = await open_store(), await open_store()
    theirs = await start(a)
    ours = [await start(b) for _ in range(20)]
    results = await asyncio.gather(
        *(b.append_events(advanced(each), [output(3)], 2) for each in (*ours[:10], theirs, *ours[10:])),
        return_exceptions=True,
    )
    assert [type(each) for each in results] == [type(None)] * 10 + [StaleWriteError] + [type(None)] * 10
    assert await a.get_execution(theirs.id) == theirs
    claim = await b.claim_execution(theirs.id)
    assert claim is not None
    assert not claim.granted
    assert await b.claim_due(datetime.now(UTC) + timedelta(days=9), 100) == ()


async def test_a_server_that_leaves_frees_what_it_has_at_once(open_store: OpenStore) -> None:
    """Its peers are told, and have it before any lease runs out."""
    a, b = await open_store(), await open_store()
    told: list[Sequence[str]] = []
    b.on_change(told.append)
    made = {(await start(a)).id for _ in range(5)}
    await a.close()
    await until(lambda: () in told)
    claimed = await b.claim_due(datetime.now(UTC) + timedelta(days=9), 100)
    assert {each.id for each in claimed} == made


async def test_a_server_without_a_session_is_dead_soon(
    open_store: OpenStore, postgres: PostgresServer
) -> None:
    """Long before its lease has run out; what it writes then is refused, and it begins anew."""
    a, b = await open_store(lease=3), await open_store(lease=3)
    made = await start(a)
    # Its process stands still, and its connection is gone.
    a._keeper._task.cancel()  # type: ignore[union-attr]
    a._keeper._connection.terminate()  # type: ignore[union-attr]
    told: list[Sequence[str]] = []
    b.on_change(told.append)
    await until(lambda: () in told, 2.5)
    claim = await b.claim_execution(made.id)
    assert claim is not None
    assert claim.granted
    with pytest.raises(StoreUnavailableError):
        await a.append_events(advanced(made), [output(3)], 2)
    assert a.state is StoreState.BROKEN
    assert await b.get_execution(made.id) == made


async def test_a_lease_that_ran_out_is_taken_and_fenced(open_store: OpenStore) -> None:
    """Who could not renew stops by itself; who tries all the same writes nothing, and has a new epoch."""
    a, b = await open_store(lease=0.6), await open_store(lease=0.6)
    states: list[StoreState] = []
    a.subscribe(states.append)
    made = await start(a)
    first = a.epoch
    async with a._keeper._using:  # no renewal gets through
        await until(lambda: a.state is StoreState.BROKEN, 2)
        with pytest.raises(StoreUnavailableError):
            await a.append_events(advanced(made), [output(3)], 2)
    await until(lambda: states == [StoreState.BROKEN, StoreState.HEALTHY], 5)
    assert a.epoch > first
    with pytest.raises(StaleWriteError):
        await a.append_events(advanced(made), [output(3)], 2)
    claims = [await b.claim_execution(made.id), await a.claim_execution(made.id)]
    assert [claim.granted for claim in claims if claim] == [True, False]
    await b.append_events(advanced(made), [output(3)], 2)


async def test_a_write_on_its_way_when_the_lease_ends_is_refused(
    open_store: OpenStore, url: str, postgres: PostgresServer
) -> None:
    """The fence is the database's, whatever the server believes."""
    a, b = await open_store(), await open_store()
    made = await start(a)
    await postgres.execute(
        "UPDATE weft.servers SET lease_until = clock_timestamp() - interval '1s' WHERE epoch = $1",
        a.epoch,
        url=url,
    )
    assert a.state is StoreState.HEALTHY
    with pytest.raises(StoreUnavailableError, match="lease"):
        await a.append_events(advanced(made), [output(3)], 2)
    for attempt in (a.check, lambda: a.claim_execution(made.id), lambda: start(a)):
        with pytest.raises(StoreUnavailableError):
            await attempt()
    assert await b.get_execution(made.id) == made
    assert len(await b.read_events(made.id)) == 2


async def test_starts_with_one_request_on_all_servers_are_one(open_store: OpenStore) -> None:
    """Thirty at once on three servers give one execution, with and without a slot."""
    stores = [await open_store() for _ in range(3)]
    for request, changes in (("plain", {}), ("slot", {"slot": "s", "slot_limit": 1})):
        tries = [execution(**changes) for _ in range(30)]
        results = await asyncio.gather(
            *(
                stores[n % 3].insert_execution(each, first_events(each), key(request))
                for n, each in enumerate(tries)
            )
        )
        assert len({each.id for each in results}) == 1


async def test_starts_with_one_key_on_all_servers_are_one(open_store: OpenStore) -> None:
    """The others learn whose it is."""
    stores = [await open_store() for _ in range(3)]
    tries = [execution(key="order-7") for _ in range(30)]
    results = await asyncio.gather(
        *(
            stores[n % 3].insert_execution(each, first_events(each), reuse_key=True)
            for n, each in enumerate(tries)
        ),
        return_exceptions=True,
    )
    kinds = Counter(type(each) for each in results)
    assert kinds == {Execution: 1, KeyTakenError: 29}


async def test_a_place_is_given_once_over_all_servers(open_store: OpenStore) -> None:
    """Where what is too many is refused: of thirty starts on three servers, as many are stored as may run."""
    stores = [await open_store() for _ in range(3)]
    refuse = WhenFull(refuse=True)
    tries = [execution(slot="s", slot_limit=2) for _ in range(30)]
    results = await asyncio.gather(
        *(
            stores[number % 3].insert_execution(each, first_events(each), when_full=refuse)
            for number, each in enumerate(tries)
        ),
        return_exceptions=True,
    )
    assert Counter(type(each) for each in results) == {Execution: 2, SlotFullError: 28}


async def test_the_server_that_has_the_oldest_is_told_to_end_it(open_store: OpenStore) -> None:
    """The command that a start at another server leaves reaches the owner, by a hint."""
    a, b = await open_store(), await open_store()
    first = await start(a, slot="s", slot_limit=1)
    told: list[str] = []
    a.on_change(told.extend)
    made = execution(slot="s", slot_limit=1)
    displace = WhenFull(order=("cancel", b"{}"))
    assert (await b.insert_execution(made, first_events(made), when_full=displace)).waits is Waits.SLOT
    await until(lambda: first.id in told)
    assert await b.take_commands() == ()
    assert await a.take_commands() == (Command(execution_id=first.id, kind="cancel"),)


async def test_a_limit_of_a_step_holds_over_all_servers(open_store: OpenStore) -> None:
    """However many ask and give back at the same moment; each turn is given once, and its owner is told."""
    stores = [await open_store() for _ in range(3)]
    told: list[str] = []
    made = [await start(stores[number % 3]) for number in range(24)]
    for store in stores:
        store.on_change(told.extend)
    now = datetime.now(UTC)
    asked = [Permit(scope="s", execution_id=each.id, path="a", concurrency=3) for each in made]

    async def ask(number: int) -> bool:
        return await stores[number % 3].acquire_permit(asked[number], now) is not None

    waiting, first = set(range(len(asked))), set[int]()
    while waiting:
        numbers = sorted(waiting)
        answers = await asyncio.gather(*map(ask, numbers))
        begun = {number for number, turn in zip(numbers, answers, strict=True) if turn}
        assert len(begun) == 3
        waiting, first = waiting - begun, first or begun
        # Given back at another server than that which asked.
        granted = await asyncio.gather(
            *(stores[(number + 1) % 3].release_permit(asked[number], now) for number in begun)
        )
        ids = [each for some in granted for each in some]
        assert len(ids) == len(set(ids)) == min(3, len(waiting))
    theirs = {each.id for number, each in enumerate(made) if number not in first}
    await until(lambda: theirs <= set(told))


async def test_slots_hold_over_all_servers(open_store: OpenStore) -> None:
    """Of those started, and of those granted, never more than may run."""
    stores = [await open_store() for _ in range(3)]
    tries = [execution(slot="s", slot_limit=4) for _ in range(30)]
    stored = await asyncio.gather(
        *(stores[n % 3].insert_execution(each, first_events(each)) for n, each in enumerate(tries))
    )
    assert sum(not each.waits for each in stored) == 4
    assert sum(await asyncio.gather(*(store.grant_slots(datetime.now(UTC)) for store in stores))) == 0
    n, first = next((n, each) for n, each in enumerate(stored) if not each.waits)
    await stores[n % 3].append_events(replace(advanced(first), waits=Waits.SLOT), [output(3)], 2)
    # As if it had ended: one place is free.
    assert sum(await asyncio.gather(*(store.grant_slots(datetime.now(UTC)) for store in stores))) == 1


async def test_due_executions_are_shared_out_once(open_store: OpenStore) -> None:
    """Whoever asks first has it; nobody waits for another."""
    stores = [await open_store() for _ in range(3)]
    made = [await start(stores[0]) for _ in range(60)]
    for each in made:
        await stores[0].append_events(replace(each, waits=Waits.RETRY), (), 2, release=True)
    parts = await asyncio.gather(*(store.claim_due(datetime.now(UTC), 7) for store in stores * 4))
    ids = [each.id for part in parts for each in part]
    assert len(ids) == len(set(ids)) == 60


async def test_a_command_reaches_the_owner_only(open_store: OpenStore) -> None:
    """At once; others cannot take it."""
    a, b = await open_store(), await open_store()
    made = await start(a)
    told: list[str] = []
    a.on_change(told.extend)
    command = Command(execution_id=made.id, kind="cancel")
    await b.post_command(command)
    await until(lambda: made.id in told)
    assert await b.take_commands() == ()
    assert await a.take_commands() == (command,)


async def test_others_are_told_what_happens(open_store: OpenStore) -> None:
    """With the ids of a commit together; a server hears nothing of its own."""
    a, b = await open_store(), await open_store()
    at_a: list[str] = []
    at_b: list[str] = []
    a.on_change(at_a.extend)
    b.on_change(at_b.extend)
    made = [await start(a) for _ in range(300)]
    await asyncio.gather(*(a.append_events(advanced(each), [output(3)], 2) for each in made))
    await until(lambda: set(at_b) >= {each.id for each in made})
    assert at_a == []
