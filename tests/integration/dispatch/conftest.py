from __future__ import annotations

import pytest

from tests.support.hosting import Probe


@pytest.fixture
def probe() -> Probe:
    return Probe()
