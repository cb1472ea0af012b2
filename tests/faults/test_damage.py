"""Damaged files: what is missing is missed, and no flipped bit is served as history."""

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
from weft.server.execution.history.model import Event
from weft.server.store.base import ExecutionFilter, Page
from weft.server.store.sqlite import SqliteStore

pytestmark = pytest.mark.integration

SEED = 20_261_207
EXECUTIONS = 60
DAMAGES = 60
LEAST = 32 + 24
"""Bytes of a log that has anything to read."""

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


async def _read(path: Path, histories: Histories) -> Mapping[str, str]:
    """Open and read everything; return how each history is, in order, or nothing when it does not open.

    Fails on whatever is not what was written.
    """
    store = SqliteStore(path)
    try:
        await store.open()
        return {wanted: await _read_one(store, wanted, events) for wanted, events in histories.items()}
    except WeftError:
        return {}
    finally:
        await store.close()


async def _read_one(store: SqliteStore, wanted: str, events: tuple[Event, ...]) -> str:
    try:
        found = await store.read_events(wanted)
        summary = await store.get_execution(wanted)
    except WeftError:
        return "refused"
    assert found == events[: len(found)], "a history was served that nobody wrote"
    return "whole" if found == events and summary is not None else "missing"


def _is_prefix(found: Mapping[str, str]) -> bool:
    """Tell whether nothing is missing but what was acknowledged last."""
    return "missing whole" not in " ".join(found.values())


@pytest.mark.timeout(110)
@pytest.mark.parametrize("noted", [True, False], ids=["killed", "without power"])
async def test_a_torn_log_is_refused_or_opens_at_a_whole_commit(
    files: Files, tmp_path: Path, *, noted: bool
) -> None:
    """F10: what is there is a beginning of what was acknowledged; all of it, where it is known how much."""
    chance = random.Random(SEED)
    size = (files.folder / "weft.db-wal").stat().st_size
    for number in range(DAMAGES // 3):
        torn = _copied(files.folder, tmp_path / str(number), noted=noted)
        with (torn / "weft.db-wal").open("r+b") as log:
            log.truncate(chance.randrange(size))
        found = await _read(torn / "weft.db", files.histories)
        assert "refused" not in found.values()
        assert _is_prefix(found)
        # A log that is cut to less than a frame looks like one that was written back.
        assert not noted or not found or (torn / "weft.db-wal").stat().st_size < LEAST
        shutil.rmtree(torn)


@pytest.mark.timeout(110)
async def test_a_flipped_bit_in_the_database_is_never_served(files: Files, tmp_path: Path) -> None:
    """F10: a history is what was written, or refused; never anything else."""
    chance = random.Random(SEED)
    source = tmp_path / "checkpointed"  # with its log written back, so that the file itself is what is read
    shutil.copytree(files.folder, source)
    store = SqliteStore(source / "weft.db")
    await store.open()
    assert len((await store.list_executions(_ALL, Page(size=100))).items) == EXECUTIONS
    await store.close()
    total: Counter[str] = Counter()
    for number in range(DAMAGES):
        damaged = _copied(source, tmp_path / str(number))
        _flip(damaged / "weft.db", chance)
        total += Counter((await _read(damaged / "weft.db", files.histories)).values())
        shutil.rmtree(damaged)
    print(dict(total))  # noqa: T201 - what became of all reads


@pytest.mark.timeout(110)
@pytest.mark.parametrize("noted", [True, False], ids=["killed", "without power"])
async def test_a_flipped_bit_in_the_log_loses_nothing(files: Files, tmp_path: Path, *, noted: bool) -> None:
    """F10: nothing is missing without a word, but after a power cut the last commit, which may be torn."""
    chance = random.Random(SEED)
    refused = 0
    for number in range(DAMAGES):
        damaged = _copied(files.folder, tmp_path / str(number), noted=noted)
        _flip(damaged / "weft.db-wal", chance)
        found = list((await _read(damaged / "weft.db", files.histories)).values())
        assert found in ([], ["whole"] * (EXECUTIONS - 1) + ["missing"])
        assert not noted or not found
        refused += not found
        shutil.rmtree(damaged)
    assert refused > DAMAGES * 0.9


def _copied(source: Path, target: Path, *, noted: bool = True) -> Path:
    """Copy a folder; without the note of what was acknowledged, if the power cut took that."""
    shutil.copytree(source, target)
    if not noted:
        (target / "weft.db-acked").unlink()
    return target


def _flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content) * 8)
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
