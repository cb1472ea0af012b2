"""One service followed: the newest list, its listeners, and sources that fail."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from weft.core.context import bind_log_context, current_deadline, current_log_context, set_deadline
from weft.core.testing import ManualClock
from weft.discovery import Endpoint, Snapshot
from weft.discovery.backoff import Backoff
from weft.discovery.watch import Watch

A, B, C = (Endpoint(host="10.0.0.1", port=port) for port in (1, 2, 3))


class Source:
    """Says and raises what a test tells it to."""

    def __init__(self) -> None:
        self.asked = 0
        self.open = 0
        self._words: asyncio.Queue[Snapshot | Exception | None] = asyncio.Queue()

    def say(self, *endpoints: Endpoint, problem: str = "") -> None:
        self._words.put_nowait(
            Snapshot(service="s", endpoints=endpoints, stale=bool(problem), problem=problem)
        )

    def fail(self, error: Exception | None) -> None:
        self._words.put_nowait(error)

    async def watch(self, service: str) -> AsyncIterator[Snapshot]:
        assert service == "s"
        self.asked += 1
        self.open += 1
        try:
            while True:
                word = await self._words.get()
                if word is None:
                    return
                if isinstance(word, Exception):
                    raise word
                yield word
        finally:
            self.open -= 1


@asynccontextmanager
async def watching(source: Source, clock: ManualClock) -> AsyncIterator[Watch]:
    watch = Watch(source, "s", clock=clock, backoff=Backoff())
    try:
        yield watch
    finally:
        await watch.close()


async def test_is_empty_until_the_source_answers() -> None:
    """A new watch has a list at once; its version says that it is no answer."""
    source, clock = Source(), ManualClock()
    async with watching(source, clock) as watch:
        assert (watch.snapshot.service, watch.snapshot.endpoints, watch.snapshot.version) == ("s", (), 0)
        source.say(A, B)
        await clock.advance(0)
        assert watch.snapshot.endpoints == (A, B)
        assert watch.snapshot.version == 1


async def test_it_does_not_run_as_part_of_the_call_that_began_it() -> None:
    """A watch outlives that call: it logs without the call's ids, and asks without its deadline."""
    seen: list[tuple[object, object]] = []

    class Asked(Source):
        def watch(self, service: str) -> AsyncIterator[Snapshot]:
            seen.append((dict(current_log_context()), current_deadline()))
            return super().watch(service)

    source = Asked()
    with bind_log_context(request_id="r-1"):
        set_deadline(1.0)
        try:
            async with watching(source, ManualClock()) as watch:
                source.say(A)
                await watch.moment(5)
        finally:
            set_deadline(None)
    assert seen == [({}, None)]


async def test_tells_listeners_every_change_and_nothing_twice() -> None:
    """A listener hears the newest list at once, then each change, until it leaves."""
    source, clock, heard = Source(), ManualClock(), list[tuple[Endpoint, ...]]()
    async with watching(source, clock) as watch:
        leave = watch.subscribe(lambda snapshot: heard.append(snapshot.endpoints))
        source.say(A)
        source.say(A)
        source.say()
        await clock.advance(0)
        assert heard == [(), (A,), ()]
        leave()
        leave()
        source.say(B)
        await clock.advance(0)
        assert heard == [(), (A,), ()]
        assert watch.snapshot.endpoints == (B,)


async def test_a_listener_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The others are told, the watch goes on, and the fault is logged."""
    source, clock, heard = Source(), ManualClock(), list[int]()

    def broken(snapshot: Snapshot) -> None:
        raise ZeroDivisionError

    async with watching(source, clock) as watch:
        watch.subscribe(broken)
        watch.subscribe(lambda snapshot: heard.append(len(snapshot.endpoints)))
        source.say(A)
        await clock.advance(0)
        source.say(A, B)
        await clock.advance(0)
    assert heard == [0, 1, 2]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError("no answer"), None], ids=["raises", "ends"])
async def test_keeps_the_list_of_a_source_that_fails(error: Exception | None) -> None:
    """The last list holds, stale and with the problem, until the source answers again."""
    source, clock = Source(), ManualClock()
    async with watching(source, clock) as watch:
        source.say(A, B)
        source.fail(error)
        await clock.advance(0)
        assert watch.snapshot.endpoints == (A, B)
        assert watch.snapshot.problem == (str(error) if error else "the source ended")
        source.say(A, B)
        await clock.advance(1)
        assert not watch.snapshot.stale
        assert source.asked == 2


async def test_doubts_what_is_missing_after_a_failure() -> None:
    """A source that is back may not know everybody yet; after some time it is believed."""
    source, clock = Source(), ManualClock()
    async with watching(source, clock) as watch:
        source.say(A, B)
        source.fail(RuntimeError("gone"))
        source.say(C)
        await clock.advance(1)
        assert set(watch.snapshot.endpoints) == {A, B, C}
        assert watch.snapshot.stale
        await clock.advance(20)
        assert watch.snapshot.endpoints == (C,)
        assert not watch.snapshot.stale


async def test_never_empties_by_a_failure() -> None:
    """A source that lost everything leaves the list as it was, until it names somebody."""
    source, clock = Source(), ManualClock()
    async with watching(source, clock) as watch:
        source.say(A)
        source.fail(RuntimeError("gone"))
        source.say()
        await clock.advance(100)
        assert (watch.snapshot.endpoints, watch.snapshot.stale) == ((A,), True)
        source.say(B)
        await clock.advance(100)
        assert (watch.snapshot.endpoints, watch.snapshot.stale) == ((B,), False)


async def test_asks_again_with_growing_pauses() -> None:
    """A source that goes on failing is asked less and less often, but at least every 5 s."""
    source, clock = Source(), ManualClock()
    for _ in range(1_000):
        source.fail(RuntimeError("no"))
    async with watching(source, clock):
        await clock.advance(1)
        first = source.asked
        assert 2 <= first <= 6
        await clock.advance(99)
        assert 20 <= source.asked - first <= 42


async def test_logs_each_outage_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line when the list becomes stale, whoever says so, and one when it is good again."""
    caplog.set_level(logging.INFO, "weft.discovery")
    source, clock = Source(), ManualClock()
    async with watching(source, clock):
        source.say(A)
        for _ in range(3):
            source.fail(RuntimeError("no answer"))
        source.say(A)
        await clock.advance(30)
        source.say(A, problem="500")
        source.say(A, problem="502")
        source.say(A)
        await clock.advance(30)
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO", "WARNING", "INFO"]
    assert "no answer" in caplog.text
    assert "500" in caplog.text


async def test_an_outage_of_everything_is_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Of many lists ten are named at level WARNING; once all are good again, the next outage is told anew."""
    sources = [Source() for _ in range(200)]
    clock = ManualClock()
    async with AsyncExitStack() as stack:
        for source in sources:
            await stack.enter_async_context(watching(source, clock))
        for _ in range(2):
            caplog.clear()
            with caplog.at_level(logging.INFO, "weft.discovery"):
                for problem in ("no answer", ""):
                    for source in sources:
                        source.say(A, problem=problem)
                    await clock.advance(1)
            levels = Counter(record.levelname for record in caplog.records)
            assert levels == {"WARNING": 11, "INFO": 11}


async def test_a_watch_that_is_closed_takes_no_place_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Lists that nobody follows any more do not keep others from being named."""
    clock = ManualClock()
    for _ in range(30):
        source = Source()
        async with watching(source, clock):
            source.say(A, problem="no answer")
            await clock.advance(1)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 30


async def test_a_moment_ends_with_a_change_or_with_time() -> None:
    """Whoever waits for instances wakes up at once when one comes, and in time when none does."""
    source, clock = Source(), ManualClock()
    async with watching(source, clock) as watch:
        await watch.moment(0.01)
        waits = [asyncio.create_task(watch.moment(30)) for _ in range(3)]
        await asyncio.sleep(0)
        source.say(A)
        async with asyncio.timeout(5):
            await asyncio.gather(*waits)


async def test_close_leaves_nothing_running() -> None:
    """The source's generator is closed and every task has ended, also in the middle of doubts."""
    source, clock, before = Source(), ManualClock(), len(asyncio.all_tasks())
    async with watching(source, clock):
        source.say(A)
        source.fail(RuntimeError("gone"))
        source.say(B)
        await clock.advance(1)
        assert source.open == 1
    assert source.open == 0
    assert len(asyncio.all_tasks()) == before
