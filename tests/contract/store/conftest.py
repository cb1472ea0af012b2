"""The stores that every test of this folder runs over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.store.adapters import ADAPTERS, Place
from weft.core.testing import ManualClock
from weft.server.store.base import Store


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=sorted(ADAPTERS))
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, place: Place, clock: ManualClock
) -> AsyncIterator[Store]:
    opened = await ADAPTERS[request.param](tmp_path, place, clock)
    await opened.open()
    yield opened
    await opened.close()
