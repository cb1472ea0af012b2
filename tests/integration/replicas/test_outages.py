"""A database that stops, stands still or cuts connections: what is told, and how it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from tests.contract.store.samples import NOW, advanced, execution, first_events, output
from tests.integration.engine.processes import until
from tests.support.postgres import PostgresServer, started_postgres
from weft.server.store.base import StaleWriteError, StoreState, StoreUnavailableError
from weft.server.store.database import DatabaseConfig
from weft.server.store.postgres import PostgresStore
from weft.server.store.postgres._connect import connect

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def harmed() -> Iterator[PostgresServer]:
    """A server of its own, which tests kill and hold."""
    with started_postgres() as server:
        yield server


@pytest.fixture
async def store(harmed: PostgresServer) -> AsyncIterator[PostgresStore]:
    made = PostgresStore(DatabaseConfig(url=await harmed.prepared(), lease=timedelta(seconds=1.5)))
    await made.open()
    yield made
    await made.close()


class States:
    """What a store told of its state."""

    def __init__(self, store: PostgresStore) -> None:
        self.told: list[StoreState] = []
        store.subscribe(self.told.append)

    @property
    def healed(self) -> bool:
        return self.told[-2:] == [StoreState.BROKEN, StoreState.HEALTHY]


async def test_a_killed_database_is_unavailable_until_it_is_back(
    store: PostgresStore, harmed: PostgresServer
) -> None:
    """What was acknowledged is there; what belonged to the lease before is nobody's."""
    states = States(store)
    made = execution()
    await store.insert_execution(made, first_events(made))
    epoch = store.epoch
    await asyncio.to_thread(harmed.kill)
    with pytest.raises(StoreUnavailableError):
        await store.append_events(advanced(made), [output(3)], 2)
    assert store.state is StoreState.BROKEN
    with pytest.raises(StoreUnavailableError):
        await store.check()
    with pytest.raises(StoreUnavailableError):
        await store.get_execution(made.id)
    await asyncio.to_thread(harmed.start)
    await until(lambda: states.healed)
    assert store.epoch > epoch
    assert await store.get_execution(made.id) == made
    with pytest.raises(StaleWriteError):
        await store.append_events(advanced(made), [output(3)], 2)
    claim = await store.claim_execution(made.id)
    assert claim is not None
    assert claim.granted
    await store.append_events(advanced(made), [output(3)], 2)
    await store.check()


async def test_a_database_that_stands_still_is_given_up_with_the_lease(
    store: PostgresStore, harmed: PostgresServer
) -> None:
    """A write on its way fails when the lease is over, with an unknown outcome; nobody waits for ever."""
    states = States(store)
    made = execution()
    await store.insert_execution(made, first_events(made))
    harmed.pause()
    try:
        async with asyncio.timeout(4):
            with pytest.raises(StoreUnavailableError):
                await store.append_events(advanced(made), [output(3)], 2)
        assert states.told == [StoreState.BROKEN]
    finally:
        harmed.resume()
    await until(lambda: states.healed, 20)
    found = await store.get_execution(made.id)
    assert found in [made, advanced(made)]
    assert found is not None
    assert len(await store.read_events(made.id)) == found.last_event


async def test_a_cut_connection_costs_no_lease(store: PostgresStore, harmed: PostgresServer) -> None:
    """An administrator ends all sessions while nothing is written: all goes on as it was."""
    states = States(store)
    made = execution()
    await store.insert_execution(made, first_events(made))
    await store.get_execution(made.id)
    epoch = store.epoch
    await harmed.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'weft' AND backend_type = 'client backend'"
    )
    await until(lambda: store._keeper._connection is not None and not store._keeper._connection.is_closed())
    assert await store.get_execution(made.id) == made
    await store.append_events(advanced(made), [output(3)], 2)
    await asyncio.sleep(2)
    assert (states.told, store.epoch) == ([], epoch)


async def test_a_server_comes_back_after_a_newer_release_has_migrated(
    store: PostgresStore, harmed: PostgresServer
) -> None:
    """As in the middle of a rolling upgrade; only a start is refused."""
    states = States(store)
    url = store._config.url
    await harmed.execute("INSERT INTO weft.schema_migrations VALUES (9999, 'later', 'x', 0)", url=url)
    await harmed.execute("ALTER TABLE weft.executions ADD COLUMN later text", url=url)
    await asyncio.to_thread(harmed.kill)
    await asyncio.to_thread(harmed.start)
    with suppress(StoreUnavailableError):
        await store.check()
    await until(lambda: not states.told or states.healed)
    made = execution()
    await store.insert_execution(made, first_events(made))
    await store.append_events(advanced(made), [output(3)], 2)
    with pytest.raises(StoreUnavailableError, match="newer release"):
        await PostgresStore(store._config).open()


async def test_an_idle_server_notices_that_its_database_is_gone(
    store: PostgresStore, harmed: PostgresServer
) -> None:
    """Within its lease, without anybody asking for anything."""
    states = States(store)
    await asyncio.to_thread(harmed.kill)
    await until(lambda: states.told == [StoreState.BROKEN], 3)
    await asyncio.to_thread(harmed.start)
    await until(lambda: states.healed)


async def test_a_transaction_of_one_who_stands_still_is_ended(
    store: PostgresStore, harmed: PostgresServer
) -> None:
    """It holds up those who take over for a few seconds only."""
    peer = PostgresStore(store._config)
    await peer.open()
    made = execution()
    await store.insert_execution(made, first_events(made))
    standing = await connect(store._config)
    await standing.execute("BEGIN")
    await standing.execute("SELECT 1 FROM servers WHERE epoch = $1 FOR KEY SHARE", store.epoch)
    assert store._keeper._task is not None
    store._keeper._task.cancel()  # it renews no more
    told: list[Sequence[str]] = []
    peer.on_change(told.append)
    await until(lambda: () in told, 10)
    claim = await peer.claim_execution(made.id)
    assert claim is not None
    assert claim.granted
    standing.terminate()
    await peer.close()


async def test_a_connection_that_is_cut_amid_a_statement(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every one is when the lease is lost: that is an outage, also where asyncpg trips over it itself."""
    connections: Any = asyncpg.Connection
    prepare = connections._get_statement

    async def cut(connection: Any, *args: Any, **more: Any) -> Any:
        statement = await prepare(connection, *args, **more)
        connection.terminate()
        return statement

    with monkeypatch.context() as patched:
        patched.setattr(connections, "_get_statement", cut)
        with pytest.raises(StoreUnavailableError):
            await store.get_execution("exe_00000000000000000000000000")
        with pytest.raises(StoreUnavailableError):
            await store.forget_requests(NOW)
    await until(lambda: store.state is StoreState.HEALTHY)
    assert await store.get_execution("exe_00000000000000000000000000") is None
