"""The known list: failures do not empty it, and what was removed is not called again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from weft.core.testing import ManualClock
from weft.discovery import Endpoint, KnownList, Snapshot

SETTLE = 10.0
ENDPOINTS = [Endpoint(host="10.0.0.1", port=port) for port in range(1, 5)]
CHANGED = [Endpoint(host="10.0.0.1", port=port, weight=2) for port in range(1, 5)]

_answers = st.lists(st.sampled_from(ENDPOINTS + CHANGED), max_size=4, unique_by=lambda it: it.key)


class KnownListMachine(RuleBasedStateMachine):
    """Says, fails and waits in any order, and compares with what may be believed."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.known = KnownList("s", self.clock, settle=timedelta(seconds=SETTLE))
        self.said: tuple[Endpoint, ...] | None = None
        self.broken = False
        self.named: set[str] = set()
        """Whom the source named since it last failed or was reset."""
        self.reported: Snapshot = self.known.snapshot

    def keys(self) -> set[str]:
        return {it.key for it in self.known.snapshot.endpoints}

    def told(self, snapshot: Snapshot | None) -> None:
        """Take what the list reports, as a watcher does."""
        if snapshot is not None:
            assert snapshot.version == self.reported.version + 1, "each change has the next number"
            self.reported = snapshot

    @rule(answer=_answers, reset=st.booleans())
    def answers(self, answer: list[Endpoint], *, reset: bool) -> None:
        before, seen = self.keys(), self.named
        if self.broken or reset:
            self.named = set()
        self.broken, self.said = False, tuple(answer)
        self.told(self.known.answered(answer, reset=reset))
        now = {it.key for it in answer}
        assert not self.keys() & (self.named - now), "what an unbroken watch saw leave is gone at once"
        if self.named == set():
            assert before <= self.keys(), "what is missing after a failure or a reset is kept"
        assert self.keys() or before <= seen, "only an unbroken watch that named them all empties a list"
        self.named = self.named | now

    @rule()
    def fails(self) -> None:
        before = self.known.snapshot.endpoints
        self.broken = True
        self.told(self.known.failed("no answer"))
        assert self.known.snapshot.endpoints == before, "a failure takes nothing away"
        assert self.known.snapshot.stale

    @rule(seconds=st.sampled_from([0.1, 3.0, SETTLE, 100.0]))
    def time_passes(self, seconds: float) -> None:
        asyncio.run(self.clock.advance(seconds))

    @rule()
    def looks_again(self) -> None:
        before, due = self.known.snapshot.endpoints, self.known.recheck_in
        self.told(self.known.recheck())
        if due is None or due > 0 or self.broken:
            assert self.known.snapshot.endpoints == before, "nothing changes before it is due"

    @rule()
    def waits_as_told(self) -> None:
        """Do what a resolver does: look again when the list says so."""
        if (due := self.known.recheck_in) is None or self.broken:
            return
        before = self.keys()
        asyncio.run(self.clock.advance(due))
        self.told(self.known.recheck())
        assert self.known.recheck_in is None, "one look settles it"
        assert self.keys() or not before, "time never empties a list"
        if self.said:
            assert self.known.snapshot.endpoints == self.said, "in the end the source is believed"
            assert not self.known.snapshot.stale

    @invariant()
    def every_change_was_reported(self) -> None:
        assert self.known.snapshot == self.reported

    @invariant()
    def what_is_said_is_known(self) -> None:
        """What the source names is in the list, as it says it now."""
        if self.said is not None and not self.broken:
            assert set(self.said) <= set(self.known.snapshot.endpoints)

    @invariant()
    def stale_when_it_differs(self) -> None:
        """A list that is not what the source says now is marked, and says why."""
        snapshot = self.known.snapshot
        differs = self.broken or (self.said is not None and snapshot.endpoints != self.said)
        if snapshot.version:
            assert snapshot.stale == bool(snapshot.problem)
            assert snapshot.stale or not differs

    @invariant()
    def nobody_twice(self) -> None:
        keys = [it.key for it in self.known.snapshot.endpoints]
        assert len(keys) == len(set(keys))


KnownListMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestKnownList = KnownListMachine.TestCase


async def test_a_removed_instance_does_not_come_back() -> None:
    """What an unbroken watch removed is gone, also when the source fails right after."""
    clock = ManualClock()
    known = KnownList("s", clock)
    known.answered(ENDPOINTS)
    known.answered(ENDPOINTS[:1])
    known.failed("no answer")
    known.answered([])
    assert known.snapshot.endpoints == (ENDPOINTS[0],)


async def test_a_removal_right_after_a_failure_is_believed() -> None:
    """A source that is back and removes what it named meanwhile has made that omission."""
    known = KnownList("s", ManualClock())
    known.answered(ENDPOINTS[:3])
    known.failed("no answer")
    known.answered(ENDPOINTS[:2])
    known.answered(ENDPOINTS[:1])
    assert known.snapshot.endpoints == (ENDPOINTS[0], ENDPOINTS[2])
    assert known.snapshot.stale


async def test_the_last_instance_leaves() -> None:
    """An unbroken watch may say that nobody is left; that is believed at once, and is not stale."""
    known = KnownList("s", ManualClock())
    known.answered(ENDPOINTS)
    known.answered([])
    assert (known.snapshot.endpoints, known.snapshot.stale) == ((), False)


async def test_a_list_that_came_back_empty_stays() -> None:
    """A source that lost everything is not believed however long it says so."""
    clock = ManualClock()
    known = KnownList("s", clock)
    known.answered(ENDPOINTS[:2])
    known.answered([], reset=True)
    await clock.advance(1_000)
    known.recheck()
    known.answered([])
    assert known.snapshot.endpoints == tuple(ENDPOINTS[:2])
    assert known.snapshot.stale
    known.answered(ENDPOINTS[2:3])
    await clock.advance(SETTLE)
    known.recheck()
    assert known.snapshot.endpoints == (ENDPOINTS[2],)
    assert not known.snapshot.stale


async def test_nothing_is_due_while_the_source_fails() -> None:
    """Only an answer can end doubts then: whoever looks again when it is due must not spin."""
    clock = ManualClock()
    known = KnownList("s", clock)
    known.answered(ENDPOINTS[:2])
    known.answered(ENDPOINTS[:1], reset=True)
    assert known.recheck_in == SETTLE
    known.failed("no answer")
    await clock.advance(SETTLE)
    due = [known.recheck_in]
    known.answered(ENDPOINTS[:1])
    assert [*due, known.recheck_in] == [None, SETTLE]
