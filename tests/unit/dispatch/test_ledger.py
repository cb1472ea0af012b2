"""What a stream owes at the engine's end, however sending, answering, giving up and breaking interleave."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from weft.core.reasons import Reason
from weft.mesh.dispatch.ledger import Entry, Ledger
from weft.mesh.dispatch.limits import BATCH_BYTES, Window

WINDOW = Window(invocations=3, input_bytes=1_000)


def entries(ledger: Ledger[str], *sizes: int) -> list[Entry[str]]:
    made = [Entry(f"call {number}", size, f"token {number}") for number, size in enumerate(sizes)]
    for entry in made:
        ledger.add(entry)
    return made


def sent(ledger: Ledger[str]) -> list[str]:
    batch = ledger.take()
    return [] if batch is None else [entry.value for entry in batch.invocations]


def test_nothing_is_sent_before_the_provider_has_spoken() -> None:
    """Without a window nothing is open."""
    ledger: Ledger[str] = Ledger()
    entries(ledger, 10)
    assert ledger.take() is None
    ledger.window = WINDOW
    assert sent(ledger) == ["call 0"]


def test_all_that_waits_goes_at_once() -> None:
    """In the order in which it came."""
    ledger: Ledger[str] = Ledger()
    ledger.window = WINDOW
    entries(ledger, 10, 10, 10)
    assert sent(ledger) == ["call 0", "call 1", "call 2"]
    assert ledger.take() is None


def test_a_full_window_holds_back_until_there_is_an_answer() -> None:
    """By number and by bytes; what is larger than the window goes alone."""
    ledger: Ledger[str] = Ledger()
    ledger.window = WINDOW
    first, *_ = entries(ledger, 600, 600, 5_000, 1)
    assert sent(ledger) == ["call 0"]
    ledger.answer(first.id)
    assert sent(ledger) == ["call 1"]
    ledger.answer(2)
    assert sent(ledger) == ["call 2"]
    assert sent(ledger) == []
    ledger.answer(3)
    assert sent(ledger) == ["call 3"]


def test_a_batch_fits_into_a_message() -> None:
    """It ends before the entry that would make it too large."""
    ledger: Ledger[str] = Ledger()
    ledger.window = Window(invocations=100, input_bytes=100 * BATCH_BYTES)
    entries(ledger, BATCH_BYTES - 10, 10, 1, 2 * BATCH_BYTES)
    assert [sent(ledger) for _ in range(4)] == [["call 0", "call 1"], ["call 2"], ["call 3"], []]


def test_what_is_given_up_before_it_was_sent_never_goes() -> None:
    """Nor is the provider bothered with it."""
    ledger: Ledger[str] = Ledger()
    (entry,) = entries(ledger, 10)
    ledger.give_up(entry, Reason.CANCELLED)
    ledger.window = WINDOW
    assert ledger.take() is None


def test_what_is_given_up_later_stays_open_until_it_has_ended() -> None:
    """The provider is told once, and its late result is refused once."""
    ledger: Ledger[str] = Ledger()
    ledger.window = WINDOW
    (entry,) = entries(ledger, 10)
    ledger.take()
    ledger.give_up(entry, Reason.DEADLINE_EXCEEDED)
    ledger.give_up(entry, Reason.CANCELLED)
    batch = ledger.take()
    assert batch is not None
    assert (batch.invocations, batch.cancellations) == ([], [(1, Reason.DEADLINE_EXCEEDED)])
    assert ledger.open == 1
    assert ledger.answer(1) is entry
    assert ledger.answer(1) is None
    ledger.refuse(entry)
    batch = ledger.take()
    assert batch is not None
    assert [(it.id, it.token) for it in batch.refusals] == [(1, "token 0")]
    assert ledger.take() is None


class Streams(RuleBasedStateMachine):
    """An engine's ledger beside a provider that answers what it gets, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: Ledger[int] = Ledger()
        self.window = Window(invocations=4, input_bytes=2 * BATCH_BYTES)
        self.ledger.window = self.window
        self.added: list[Entry[int]] = []
        self.order: list[int] = []
        self.running: dict[int, Entry[int]] = {}
        self.ends: dict[int, str] = {}

    @rule(size=st.integers(1, BATCH_BYTES * 2))
    def add(self, size: int) -> None:
        entry = Entry(len(self.added), size)
        self.ledger.add(entry)
        self.added.append(entry)

    @rule()
    def send(self) -> None:
        batch = self.ledger.take()
        if batch is None:
            return
        size = sum(entry.size for entry in batch.invocations)
        assert size <= BATCH_BYTES or len(batch.invocations) == 1
        for entry in batch.invocations:
            assert entry.id not in self.order
            assert not entry.given_up
            self.order.append(entry.id)
            self.running[entry.id] = entry
        for number, _ in batch.cancellations:
            assert number in self.order

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.running)))
        entry = self.running.pop(number)
        assert self.ledger.answer(number) is entry
        self._end(entry, "late" if entry.given_up else "answered")

    @precondition(lambda self: self.added)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.added))
        self.ledger.give_up(entry, Reason.CANCELLED)
        if entry.id not in self.order:
            self.ends.setdefault(entry.id, "given up")

    @rule(number=st.integers(1, 20))
    def answer_what_is_not_open(self, number: int) -> None:
        if number not in self.running:
            assert self.ledger.answer(number) is None

    @rule(invocations=st.integers(0, 6))
    def change_the_window(self, invocations: int) -> None:
        self.window = Window(invocations=invocations, input_bytes=2 * BATCH_BYTES)
        self.ledger.window = self.window

    @rule()
    def break_off(self) -> None:
        for entry in self.ledger.withdraw():
            assert entry.id not in self.order, "what was sent may have run"
            self._end(entry, "unsent")
        for entry in self.ledger.close():
            assert self.running.pop(entry.id) is entry
            self._end(entry, "lost")
        for entry in self.running.values():
            assert entry.given_up
            self._end(entry, "late")
        self.running.clear()
        assert self.ledger.take() is None
        for entry in self.added:
            assert entry.id in self.ends, "nobody is left waiting"

    def _end(self, entry: Entry[int], how: str) -> None:
        assert self.ends.setdefault(entry.id, how) == how, "one end each"

    @invariant()
    def it_keeps_count(self) -> None:
        assert self.order == sorted(self.order), "first come, first sent"
        assert self.ledger.open == len(self.running)
        assert self.ledger.open_bytes == sum(entry.size for entry in self.running.values())
        assert len(self.running) <= 6
        assert self.ledger.open_bytes <= 2 * BATCH_BYTES or len(self.running) == 1


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
