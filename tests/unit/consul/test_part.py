"""What a watch makes of Consul's word on health, in and after an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import pytest

from weft.core.errors import ServiceUnavailableError
from weft.core.testing import ManualClock
from weft.discovery.consul._pace import Pace
from weft.discovery.consul._part import Part
from weft.discovery.consul._turns import Turns
from weft.discovery.consul.client import Answer, ConsulClient
from weft.discovery.model import Health


class Script:
    """Answers queries with what a test says, when it says it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.turns = Turns(4, longest=timedelta(seconds=55), rotation=timedelta(seconds=10))
        self.pace = Pace()
        self.part = Part(cast("ConsulClient", self), "web", "", self.clock, asyncio.Event())
        self._index = 10
        self._told: asyncio.Queue[list[Any] | None] = asyncio.Queue()

    def name(self, service: str) -> str:
        return service

    async def look_up(self, service: str, *, datacenter: str = "") -> Answer:
        assert (service, datacenter) == ("web", "")
        entries = await self._told.get()
        if entries is None:
            raise ServiceUnavailableError("consul", "no answer")
        self._index += 1
        return Answer(self._index, entries)

    async def wait(self, service: str, index: int, *, datacenter: str = "") -> Answer:
        assert index == self._index
        return await self.look_up(service, datacenter=datacenter)

    async def tell(self, *checks: dict[str, str]) -> None:
        """Answer with one instance that has these checks."""
        node = {"Node": "n", "Address": "10.0.0.1"}
        self._told.put_nowait([{"Node": node, "Service": {"ID": "web", "Port": 80}, "Checks": list(checks)}])
        await self.clock.advance(2.0)

    async def fail(self) -> None:
        self._told.put_nowait(None)
        await self.clock.advance(3.0)

    @property
    def health(self) -> Health:
        return self.part.snapshot.endpoints[0].health


def check(status: str, output: str = "", kind: str = "ttl") -> dict[str, str]:
    return {"CheckID": "c", "Status": status, "Output": output, "Type": kind}


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with _followed() as made:
        await made.tell(check("passing"))
        yield made


@asynccontextmanager
async def _followed() -> AsyncIterator[Script]:
    made = Script()
    task = asyncio.create_task(made.part.follow())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("output", ["", "TTL expired"])
async def test_silence_after_an_outage_is_not_death_for_some_time(script: Script, output: str) -> None:
    """Who could not report keeps its health, stale, for ten seconds; then Consul's word holds."""
    await script.fail()
    await script.tell(check("passing"))
    await script.tell(check("critical", output))
    assert (script.health, script.part.problem) == (
        Health.PASSING,
        "Consul was away, and has not heard of every instance since",
    )
    await script.clock.advance(9.0)
    assert (script.health, script.part.problem) == (Health.CRITICAL, "")


async def test_a_report_after_an_outage_ends_the_doubt(script: Script) -> None:
    """Once the instance has reported, the list is fresh."""
    await script.fail()
    await script.tell(check("critical"))
    assert script.part.problem
    await script.tell(check("passing"))
    assert (script.health, script.part.problem) == (Health.PASSING, "")


@pytest.mark.parametrize("said", [check("critical", "disk full"), check("critical", "refused", "http")])
async def test_what_was_reported_or_found_is_believed_after_an_outage(
    script: Script, said: dict[str, str]
) -> None:
    """Only silence is doubted, once the source has vouched for an instance: no report, no other check."""
    await script.fail()
    await script.tell(check("passing"))
    await script.tell(said)
    assert script.health is Health.CRITICAL


@pytest.mark.parametrize("output", ["", "TTL expired"])
async def test_in_an_unbroken_watch_silence_is_death(script: Script, output: str) -> None:
    """A time to live that ran out, and a failure reported without a word, are believed at once."""
    await script.tell(check("critical", output))
    assert (script.health, script.part.problem) == (Health.CRITICAL, "")


async def test_what_was_critical_before_an_outage_stays_so(script: Script) -> None:
    """An outage makes nobody well."""
    await script.tell(check("critical", "TTL expired"))
    await script.fail()
    await script.tell(check("critical"))
    assert script.health is Health.CRITICAL


async def test_a_source_that_fails_again_leaves_doubts_to_its_next_answer(script: Script) -> None:
    """No decision falls while Consul is away: the list stays as it was, stale."""
    await script.fail()
    await script.tell(check("critical"))
    await script.fail()
    await script.clock.advance(60.0)
    assert script.health is Health.PASSING
    assert script.part.problem == "no answer"
