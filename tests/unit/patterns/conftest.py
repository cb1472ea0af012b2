"""What the patterns are run with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.unit.execution.world import new_world
from tests.unit.patterns.playing import Play


@pytest.fixture
async def play() -> AsyncIterator[Callable[[int], Play]]:
    """Return what runs a pattern by its number."""
    async with new_world() as world:
        yield lambda number: Play(world, number)
