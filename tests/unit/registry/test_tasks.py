"""Jobs of the background do not end silently."""

from __future__ import annotations

import asyncio
import logging

import pytest

from weft.core.testing import ManualClock
from weft.server.tasks import supervise


async def test_a_job_that_fails_is_told_and_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    """With the failure's trace; a job that just ends is begun again as well; cancelling ends it."""
    clock, begun = ManualClock(), list[int]()

    async def job() -> None:
        begun.append(len(begun))
        if len(begun) == 1:
            raise RuntimeError("a defect")
        if len(begun) > 2:
            await asyncio.Event().wait()

    with caplog.at_level(logging.INFO, "weft.server"):
        task = asyncio.create_task(supervise("the job", job, clock))
        for count in (1, 2, 3, 3):
            await clock.advance(0)
            assert len(begun) == count
            await clock.advance(1)
    assert [record.getMessage() for record in caplog.records] == [
        "the job failed; it is begun again",
        "the job ended; it is begun again",
    ]
    assert caplog.records[0].exc_info is not None
    assert "a defect" in str(caplog.records[0].exc_info[1])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
