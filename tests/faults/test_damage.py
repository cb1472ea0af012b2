"""Damaged files: a torn log opens at its last whole commit, and no flipped bit is served as history."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.store.samples import execution, first_events
from weft.core.errors import WeftError
from weft.server.execution.model import Event
from weft.server.store.base import ExecutionFilter, Page
from weft.server.store.sqlite import SqliteStore

pytestmark = pytest.mark.integration

SEED = 20_261_207
EXECUTIONS = 60
DAMAGES = 60

_ALL = ExecutionFilter()

Histories = Mapping[str, tuple[Event, ...]]


@dataclass(frozen=True)
class Files:
    """A database as a power cut would leave it, and what was acknowledged."""

    folder: Path
    histories: Histories


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return asyncio.run(_write(tmp_path_factory.mktemp("damage")))


async def _write(folder: Path) -> Files:
    """Write histories, one commit each, and copy the files while their log is full."""
    store = SqliteStore(folder / "live" / "weft.db")
    await store.open()
    histories: dict[str, tuple[Event, ...]] = {}
    for number in range(EXECUTIONS):
        made = execution()
        events = tuple(first_events(made, b'{"n":%d}' % number))
        await store.insert_execution(made, events)
        histories[made.id] = events
    copied = folder / "copied"
    _copy(folder / "live", copied)
    await store.close()
    return Files(copied, histories)


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for path in source.glob("weft.db*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, target)


async def _read(path: Path, histories: Histories) -> Counter[str]:
    """Open and read everything; count how it went, and fail on whatever is not what was written."""
    store = SqliteStore(path)
    counted: Counter[str] = Counter()
    try:
        await store.open()
        for wanted, events in histories.items():
            counted[await _read_one(store, wanted, events)] += 1
    except WeftError:
        counted["refused to open"] += 1
    finally:
        await store.close()
    return counted


async def _read_one(store: SqliteStore, wanted: str, events: tuple[Event, ...]) -> str:
    try:
        found = await store.read_events(wanted)
        summary = await store.get_execution(wanted)
    except WeftError:
        return "refused"
    assert found == events[: len(found)], "a history was served that nobody wrote"
    return "whole" if found == events and summary is not None else "missing"


@pytest.mark.timeout(110)
async def test_a_torn_log_opens_at_its_last_whole_commit(files: Files, tmp_path: Path) -> None:
    """F10: whatever byte it ends at, what is there is a beginning of what was acknowledged, in that order."""
    chance = random.Random(SEED)
    size = (files.folder / "weft.db-wal").stat().st_size
    for number in range(DAMAGES // 3):
        torn = tmp_path / str(number)
        shutil.copytree(files.folder, torn)
        with (torn / "weft.db-wal").open("r+b") as log:
            log.truncate(chance.randrange(size))
        counted = await _read(torn / "weft.db", files.histories)
        assert counted["refused"] == 0
        shutil.rmtree(torn)


@pytest.mark.timeout(110)
@pytest.mark.parametrize("name", ["weft.db", "weft.db-wal"])
async def test_a_flipped_bit_is_never_served(name: str, files: Files, tmp_path: Path) -> None:
    """F10: a history is what was written, or refused; never anything else."""
    chance = random.Random(SEED)
    source = files.folder
    if name == "weft.db":  # with its log written back, so that the file itself is what is read
        source = tmp_path / "checkpointed"
        shutil.copytree(files.folder, source)
        store = SqliteStore(source / "weft.db")
        await store.open()
        assert len((await store.list_executions(_ALL, Page(size=100))).items) == EXECUTIONS
        await store.close()
    total: Counter[str] = Counter()
    for number in range(DAMAGES):
        damaged = tmp_path / str(number)
        shutil.copytree(source, damaged)
        _flip(damaged / name, chance)
        total += await _read(damaged / "weft.db", files.histories)
        shutil.rmtree(damaged)
    print(dict(total))  # noqa: T201 - what became of all reads


def _flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content) * 8)
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
