"""How much of the database goes to the disk with a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.store.samples import advanced, execution, first_events, output
from weft.server.store.sqlite import SqliteStore
from weft.server.store.sqlite._log import INDEX_HEADER, read_index

pytestmark = pytest.mark.integration


def pages_written(path: Path) -> int:
    found = read_index(Path(f"{path}-shm").read_bytes()[:INDEX_HEADER])
    assert found is not None
    return found.frames


async def test_a_step_that_goes_on_writes_no_index(store: SqliteStore, path: Path) -> None:
    """Only the page of the summary and that of the history, where the store is told what it has."""
    made = execution()
    await store.insert_execution(made, first_events(made))
    begin = pages_written(path)
    await store.append_events(advanced(made), [output(3)], 2, before=made)
    assert pages_written(path) - begin == 2
