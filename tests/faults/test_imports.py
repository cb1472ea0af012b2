"""Imports under kill -9: one that is repeated gives the same execution, once, and nobody sees half of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.rig.child import until
from tests.faults.rig.cluster import Cluster, running
from tests.faults.rig.postgres import PostgresStoreAdapter
from tests.faults.rig.run import _prepare
from tests.faults.rig.stores import SqliteStoreAdapter, StoreAdapter
from weft.client import NO_RETRY, Client, RetryPolicies, WeftError, connect
from weft.core.errors import Code
from weft.core.names import EXECUTION_PREFIX, new_id
from weft.server.archive.lines import read_archive, write_archive

pytestmark = [pytest.mark.integration, pytest.mark.long]

SEED = 20_261_220
ARCHIVES = 50
KILLS = 10
FEWEST = 3
"""How many imports that kills interrupt make a run that proves something."""
_ONCE = RetryPolicies(**dict.fromkeys(("create", "update", "delete", "read", "watch"), NO_RETRY))
_PASSING = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED})
_ITEMS = 40
_PADDING = 300_000

STORES: dict[str, Callable[[Path], StoreAdapter]] = {
    "sqlite": lambda folder: SqliteStoreAdapter(folder / "data"),
    "postgres": lambda _: PostgresStoreAdapter(),
}


@dataclass
class Found:
    """What came of a run."""

    created: Counter[str] = field(default_factory=Counter)
    """How often callers were told that they had created an execution."""
    interrupted: int = 0
    """How many attempts were not answered."""
    begun: int = 0
    """How many archives somebody imports, or has imported."""
    kills: int = 0
    """How many have begun."""
    wrong: list[str] = field(default_factory=list)


async def _sources(weft: Client) -> list[bytes]:
    """Run what is exported: one with many events, one with much in each."""
    items = [{"n": n, "seconds": 0.0} for n in range(_ITEMS)]
    inputs: dict[str, dict[str, Any]] = {"bodies": {"items": items}, "chain-5": {"padding": "x" * _PADDING}}
    archives = []
    for workflow, more in inputs.items():
        execution = await weft.executions.execute(
            workflow, {"token": workflow, "seconds": 0.0, **more}, attributes={"kind": workflow}
        )
        archives.append(b"".join([piece async for piece in weft.archives.export_execution(execution.id)]))
    return archives


def _copies(archives: Sequence[bytes]) -> dict[str, bytes]:
    """Return archives of executions that are nowhere yet, by their ids."""
    copies = {}
    for number in range(ARCHIVES):
        archive = read_archive(archives[number % len(archives)])
        execution = replace(archive.execution, id=new_id(EXECUTION_PREFIX, archive.execution.create_time))
        copies[execution.id] = b"".join(write_archive(replace(archive, execution=execution)))
    return copies


async def _bring(weft: Client, execution_id: str, data: bytes, found: Found) -> None:
    """Import until that is answered."""
    while True:
        try:
            answer = await weft.archives.import_execution(data)
        except WeftError as error:
            if error.code not in _PASSING:
                found.wrong.append(f"{execution_id}: {error.reason}: {error}")
                return
            found.interrupted += 1
            await asyncio.sleep(0.1)
        else:
            found.created[execution_id] += answer.created
            return


async def _bring_all(clients: Sequence[Client], copies: dict[str, bytes], found: Found) -> None:
    """Import everything, each at two servers at the same time, and a share of it beside each kill."""
    waiting = iter(copies.items())

    async def some(number: int) -> None:
        for execution_id, data in waiting:
            await until(partial(_is_its_turn, found), 60)
            if found.wrong:
                return  # that is enough
            found.begun += 1
            pair = (clients[(number + more) % len(clients)] for more in range(2))
            await asyncio.gather(*(_bring(weft, execution_id, data, found) for weft in pair))

    await asyncio.gather(*(some(number) for number in range(3)))


def _is_its_turn(found: Found) -> bool:
    return bool(found.wrong) or found.begun <= found.kills * ARCHIVES // KILLS


async def _look(weft: Client, copies: dict[str, bytes], found: Found) -> None:
    """Read all the while: what is there is there as a whole."""
    chance = random.Random(SEED)
    while True:
        execution_id = chance.choice(list(copies))
        try:
            await _compare(weft, execution_id, copies[execution_id], found)
        except WeftError as error:
            if error.code not in {*_PASSING, Code.NOT_FOUND}:
                found.wrong.append(f"{execution_id} cannot be read: {error.reason}")
        await asyncio.sleep(0.02)


async def _compare(weft: Client, execution_id: str, data: bytes, found: Found) -> None:
    exported = b"".join([piece async for piece in weft.archives.export_execution(execution_id)])
    if exported != data:
        found.wrong.append(f"{execution_id} is there with {len(exported)} bytes of {len(data)}")


def _is_amid(found: Found, number: int) -> bool:
    return bool(found.wrong) or found.begun > number * ARCHIVES // KILLS


async def _kill(cluster: Cluster, found: Found) -> None:
    """Kill one process after the other, and in their midst the database, each amid its share of imports."""
    chance = random.Random(SEED)
    for number in range(KILLS):
        await until(partial(_is_amid, found, number), 60)
        if found.wrong:
            return
        await asyncio.sleep(chance.uniform(0.0, 0.1))
        if number == KILLS // 2 and cluster.store.replicas > 1:
            found.kills += 1
            await cluster.store.kill(0.3)
        else:
            server = chance.choice(cluster.servers)
            server.kill()
            found.kills += 1
            await asyncio.sleep(0.3)  # it is gone for certain, and started again
            await server.up()


async def _run(store: StoreAdapter, folder: Path, bug: str = "") -> Found:
    found = Found()
    cluster = Cluster(store, folder, 3, bug)
    async with running(cluster):
        await _prepare(cluster)
        async with connect(cluster.servers[0].address) as weft:
            copies = _copies(await _sources(weft))
        clients = [
            await connect(server.address, retry=_ONCE, timeout=timedelta(seconds=5)).__aenter__()
            for server in cluster.servers
        ]
        beside = [asyncio.create_task(_look(weft, copies, found)) for weft in clients]
        await asyncio.gather(_bring_all(clients, copies, found), _kill(cluster, found))
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if not found.wrong:
            await _check(cluster, copies, found)
        for weft in clients:
            await weft.close()
        await cluster.stop()
        found.wrong += [*await store.verify(), *cluster.log_faults()]
    return found


async def _check(cluster: Cluster, copies: dict[str, bytes], found: Found) -> None:
    """Read everything at each server, and count."""
    for server in cluster.servers:
        await server.up()
        async with connect(server.address) as weft:
            for execution_id, data in copies.items():
                await _compare(weft, execution_id, data, found)
            for kind in ("bodies", "chain-5"):
                listed = await weft.executions.list(filter=f"attributes.kind = {kind}", page_size=1_000)
                there = Counter(execution.id for execution in listed.items)
                if len(there) != ARCHIVES // 2 + 1 or max(there.values()) > 1:
                    found.wrong.append(f"{server.name} lists {len(there)} of {kind}: {there}")
    found.wrong += [f"{one} was created {count} times" for one, count in found.created.items() if count > 1]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", sorted(STORES))
async def test_imports_outlive_kills(name: str, tmp_path: Path) -> None:
    """W1, W2, W6 of what comes from elsewhere: a repeat finds the same, none is there twice or half."""
    found = await _run(STORES[name](tmp_path), tmp_path / "run")
    print(found.kills, found.interrupted, found.created.total())  # noqa: T201 - the figures are the point
    assert found.wrong == []
    assert found.kills == KILLS
    assert found.interrupted >= FEWEST


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", sorted(STORES))
async def test_an_import_in_halves_is_caught(name: str, tmp_path: Path) -> None:
    """The control: somebody sees half of it, or a kill leaves it."""
    found = await _run(STORES[name](tmp_path), tmp_path / "run", "import_in_halves")
    assert found.wrong
