"""The world in which workflows of the whole language run."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.execution.language import language_world
from tests.unit.execution.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with language_world() as made:
        yield made
