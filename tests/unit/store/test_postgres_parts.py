"""The parts of the PostgreSQL adapter that need no database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import asyncpg
import pytest

from tests.contract.store.samples import advanced, execution, first_events, key, output
from weft.core.errors import InternalError
from weft.core.testing import ManualClock
from weft.server.store.base import StoreFullError, StoreUnavailableError
from weft.server.store.database import DatabaseConfig
from weft.server.store.postgres._batch import Append, Insert, arguments
from weft.server.store.postgres._deadline import Deadline
from weft.server.store.postgres._faults import fault_of, is_retryable, unit_error
from weft.server.store.postgres._hints import Hint, Hints
from weft.server.store.postgres._keeper import Keeper
from weft.server.store.postgres._locks import lock_class, lock_number, session_class
from weft.server.store.postgres._reaper import Reaper


async def test_a_deadline_counts_from_when_the_renewal_was_asked_for() -> None:
    """It has passed from the very moment on, whether anybody was called or not."""
    now = [100.0]
    called: list[None] = []
    deadline = Deadline(timedelta(seconds=6), lambda: called.append(None), lambda: now[0])

    def at(moment: float) -> tuple[bool, float]:
        now[0] = moment
        return deadline.passed, deadline.left

    assert at(100.0) == (True, 0.0)
    deadline.extend(99.0)
    assert at(100.0) == (False, 5.0)
    assert at(104.5) == (False, 0.5)
    assert at(105.0) == (True, 0.0)
    deadline.extend(104.0)
    assert at(105.0) == (False, 5.0)
    deadline.stop()
    assert at(105.0) == (True, 0.0)
    assert called == []


def test_who_has_no_session_for_long_is_dead() -> None:
    """One who has a new one in time is not, and begins anew."""
    reaper = Reaper(timedelta(seconds=2))
    assert reaper.dead([7, 8], 10.0) == []
    assert reaper.dead([7], 11.9) == []
    assert reaper.dead([7, 8], 12.0) == [7]
    assert reaper.dead([], 13.0) == []
    assert reaper.dead([7, 8], 14.0) == []


@pytest.mark.parametrize("hint", [Hint("freed"), Hint("executions", ("exe_1", "exe_2"))])
def test_a_hint_is_read_as_it_was_written(hint: Hint) -> None:
    """With whose it is."""
    assert Hint.read(hint.write(17)) == (17, hint)


def test_what_no_server_wrote_is_no_hint() -> None:
    """It is nobody's, and of a kind that is not known."""
    assert Hint.read("hello") == (0, Hint(""))


async def test_hints_are_sent_together() -> None:
    """Each id once, in notifications that are not too long."""
    sent: list[Hint] = []

    async def send(hints: Sequence[Hint]) -> None:
        sent.extend(hints)

    hints = Hints(send)
    for number in range(450):
        hints.add(Hint("executions", (f"exe_{number % 410:026}",)))
    hints.add(Hint("freed"))
    assert sent == []
    async with asyncio.timeout(5):
        while len(sent) < 4:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
    assert [len(hint.ids) for hint in sent] == [200, 200, 10, 0]
    assert max(len(hint.write(2**62)) for hint in sent) < 8_000
    await hints.close()


def test_locks_of_two_schemas_are_not_the_same() -> None:
    """Nor are those of two kinds or names; they fit what PostgreSQL takes."""
    numbers = {
        lock_number(schema, kind, name)
        for schema in ("a", "b")
        for kind in ("key", "slot")
        for name in ("", "x", "\ud800")
    }
    assert len(numbers) == 12
    assert all(-(2**63) <= number < 2**63 for number in numbers)
    assert len({lock_class("a"), lock_class("b"), session_class("a"), session_class("b")}) == 4


def failure(state: str) -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"C": state, "M": f"failure {state}"})


@pytest.mark.parametrize("state", ["08006", "57P01", "57P03", "58030", "53300", "25006", "XX000", "28P01"])
def test_what_speaks_of_the_server_breaks_the_store(state: str) -> None:
    """It is shut down, full of connections, a standby, or damaged."""
    fault = fault_of(failure(state), "there")
    assert fault is not None
    assert isinstance(fault.error(), StoreUnavailableError)
    assert "there" in fault.message


def test_a_full_disk_is_told_as_such() -> None:
    """Nothing was written then."""
    fault = fault_of(failure("53100"), "there")
    assert fault is not None
    assert isinstance(fault.error(), StoreFullError)


@pytest.mark.parametrize(
    "error",
    [OSError("refused"), TimeoutError(), asyncpg.InterfaceError("closed"), StoreUnavailableError("x")],
)
def test_what_speaks_of_the_way_there_breaks_the_store(error: Exception) -> None:
    """Whatever class it has."""
    assert fault_of(error, "there") is not None


@pytest.mark.parametrize(
    ("state", "again"), [("23505", False), ("22021", False), ("40P01", True), ("40001", True)]
)
def test_what_speaks_of_a_statement_breaks_nothing(state: str, *, again: bool) -> None:
    """Its caller is told, in a type of ours; after a deadlock it is tried again."""
    error = failure(state)
    assert fault_of(error, "there") is None
    assert is_retryable(error) is again
    assert isinstance(unit_error(error), InternalError)


async def test_a_batch_has_one_array_for_each_column() -> None:
    """As the statement has parameters, whatever is in it."""
    one, two = execution(attributes={"a": "x", "b": 1.0}), execution()
    writes = [
        Insert.of(one, first_events(one), key("z")),
        Append.of(advanced(two), [output(3)], 2, release=False),
        Insert.of(two, first_events(two), key("a")),
    ]
    for batch in (writes, writes[:1], writes[1:2], []):
        assert len(arguments(7, batch)) == 42
    values = arguments(7, writes)
    assert values[0] == 7
    assert [list(values[at]) for at in (1, 17)] == [[two.id], [two.id, one.id]]
    assert list(values[33]) == [two.id, two.id, two.id, one.id, one.id]
    assert list(values[39]) == [one.id, one.id]


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        ConnectionResetError(),
    ],
)
async def test_a_hint_over_a_connection_that_is_cut_is_lost_and_no_more(error: Exception) -> None:
    """Hints only save time: whoever hears none looks by itself. Found by the fault rig, seed 20261211."""
    keeper = Keeper(
        DatabaseConfig(url="postgresql://weft@127.0.0.1/weft"),
        ManualClock(),
        lambda _: None,
        lambda _: None,
        lambda **_: None,
    )

    class Cut:
        async def execute(self, *_: object) -> None:
            raise error

    keeper._connection = Cut()  # type: ignore[assignment] # what of it is used
    keeper.alone = False
    keeper.tell(Hint("registry"))
    sending = keeper._hints._task
    assert sending is not None
    await asyncio.wait_for(sending, 5)
    assert keeper._hints._task is None
