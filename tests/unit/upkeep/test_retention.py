"""Retention: what policies say, and what is deleted when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.contract.store.samples import ended, execution, first_events, output, workflow
from weft.core.errors import InternalError, ValidationError, WeftError
from weft.core.names import EXECUTION_PREFIX, new_id
from weft.core.reasons import Reason
from weft.core.testing import ManualClock
from weft.server.execution.history.model import Event, Execution, ExecutionCompleted, ExecutionState
from weft.server.forms import NewerReleaseError
from weft.server.retention import Retention, policy_faults, read_policy
from weft.server.retention_runner import RetentionRunner
from weft.server.store.base import ExecutionFilter, Page, StoreFullError
from weft.server.store.sqlite import SqliteStore
from weft.server.workflow.model import Workflow

DAY = timedelta(days=1)
DONE, FAILED = ExecutionState.COMPLETED, ExecutionState.FAILED


def test_a_policy_is_read() -> None:
    """By state, with a rest; what is not named is kept."""
    found = Retention.parse("COMPLETED=30d, FAILED=12w,")
    assert found.states == {DONE: 30 * DAY, FAILED: 84 * DAY}
    rest = Retention.parse("*=36h,TIMED_OUT=10m").states
    assert rest[ExecutionState.TIMED_OUT] == timedelta(minutes=10)
    assert {rest[DONE], rest[FAILED], rest[ExecutionState.CANCELLED]} == {timedelta(hours=36)}
    assert Retention.parse("").states == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RUNNING=1d", "'RUNNING' is no final state"),
        ("COMPLETE=1d", "did you mean 'COMPLETED'?"),
        ("COMPLETED=30", "'30' is not a time such as 30d"),
        ("COMPLETED", "'' is not a time"),
        ("COMPLETED=-1d", "'-1d' is not a time"),
        ("COMPLETED=1d,COMPLETED=2d", "twice"),
    ],
)
def test_a_wrong_policy_is_refused(text: str, words: str) -> None:
    """With what is wrong, and what is meant."""
    with pytest.raises(ValidationError, match=words.replace("?", r"\?")):
        Retention.parse(text)


def test_a_policy_in_metadata_is_checked() -> None:
    """Every fault has its path; what is wrong is left out where it is read all the same."""
    given = {"COMPLETED": "7d", "DONE": "1d", "FAILED": 3}
    paths = [fault.field for fault in policy_faults(given, "metadata.retention")]
    assert paths == ["metadata.retention", "metadata.retention.FAILED"]
    assert [fault.field for fault in policy_faults("7d", "x")] == ["x"]
    assert read_policy(given).states == {DONE: 7 * DAY}
    assert read_policy("7d").states == {}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(None, clock)
    await opened.open()
    yield opened
    await opened.close()


async def add(
    store: SqliteStore,
    clock: ManualClock,
    of: Workflow,
    age: timedelta,
    state: ExecutionState | None = DONE,
    events: int = 3,
    retention: timedelta | None = None,
) -> Execution:
    at = clock.now() - age
    made = execution(
        id=new_id(EXECUTION_PREFIX, at),
        workflow_id=of.id,
        create_time=at,
        expire_time=None,
        retention=retention,
    )
    stored = await store.insert_execution(made, first_events(made))
    if state is None:
        return stored
    bodies: list[Any] = [output(number) for number in range(3, events)]
    last = replace(ended(stored, state), last_event=events, end_time=at)
    await store.append_events(last, [*bodies, Event(events, at, ExecutionCompleted(result=b"{}"))], 2)
    return last


async def test_what_says_itself_how_long_it_is_kept_goes_then(store: SqliteStore, clock: ManualClock) -> None:
    """Whatever the server and the metadata say, longer or shorter; it says so from its start on."""
    of = workflow("plain", metadata={"retention": {"COMPLETED": "2d"}})
    await store.insert_workflow(of)
    goes = [
        await add(store, clock, of, 4 * DAY, FAILED, retention=3 * DAY),
        await add(store, clock, of, DAY, retention=timedelta(hours=1)),
    ]
    stays = [
        await add(store, clock, of, 9 * DAY, retention=10 * DAY),
        await add(store, clock, of, 9 * DAY, None, retention=DAY),
    ]
    assert await passed(RetentionRunner(store, Retention.parse("*=1d"), clock), clock) == len(goes)
    assert await left(store) == {each.id for each in stays}


async def test_outputs_of_steps_go_when_their_time_is_over(store: SqliteStore, clock: ManualClock) -> None:
    """All of them, in small steps; they are no executions, and not counted as such."""
    for number in range(1_200):
        await store.cache_output(f"k{number}", b"{}", clock.now() + (number % 2) * DAY)
    assert await passed(RetentionRunner(store, Retention.parse(""), clock), clock) == 0
    assert await store.sweep_shares(clock.now(), 9) == 0
    assert await store.sweep_shares(clock.now() + 2 * DAY, 9_999) == 600


async def passed(runner: RetentionRunner, clock: ManualClock) -> int:
    task = asyncio.create_task(runner.one_pass())
    while not task.done():
        await clock.advance(0.05)
        await asyncio.sleep(0)
    return await task


async def left(store: SqliteStore) -> set[str]:
    found = await store.list_executions(ExecutionFilter(), Page(size=1_000))
    return {each.id for each in found.items}


@pytest.mark.parametrize(
    "trouble",
    [
        NewerReleaseError("step kind 'dance'"),
        InternalError("the disk has changed it", reason=Reason.DATA_CORRUPTED),
    ],
    ids=["newer", "damaged"],
)
async def test_workflows_that_cannot_be_read_hold_nobody_up(
    store: SqliteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, trouble: WeftError
) -> None:
    """What they say is not known here, so theirs stay, such as for a newer server; those of others go."""
    newer, ours = workflow("a-newer"), workflow("b-ours")
    for each in (newer, ours):
        await store.insert_workflow(each)
    known = store.get_workflow

    async def get_workflow(ref: str) -> Workflow | None:
        if ref == newer.id:
            raise trouble
        return await known(ref)

    monkeypatch.setattr(store, "get_workflow", get_workflow)
    stays = await add(store, clock, newer, 9 * DAY)
    await add(store, clock, ours, 9 * DAY)
    assert await passed(RetentionRunner(store, Retention.parse("*=1d"), clock), clock) == 1
    assert await left(store) == {stays.id}


async def test_what_was_kept_long_enough_goes(store: SqliteStore, clock: ManualClock) -> None:
    """By the policy of the server, or of the workflow where it has one; open ones never."""
    plain, own = (
        workflow("plain"),
        workflow("own", metadata={"retention": {"COMPLETED": "2d", "FAILED": "9d"}}),
    )
    gone_workflow = workflow("deleted")
    for each in (plain, own, gone_workflow):
        await store.insert_workflow(each)
    await store.delete_workflow(gone_workflow, gone_workflow.revision)
    goes = [
        await add(store, clock, plain, 31 * DAY),
        await add(store, clock, gone_workflow, 31 * DAY),
        await add(store, clock, own, 3 * DAY),
        await add(store, clock, own, 10 * DAY, FAILED),
    ]
    stays = [
        await add(store, clock, plain, 29 * DAY),
        await add(store, clock, plain, 400 * DAY, FAILED),
        await add(store, clock, plain, 400 * DAY, None),
        await add(store, clock, own, DAY),
        await add(store, clock, own, 8 * DAY, FAILED),
        await add(store, clock, own, 400 * DAY, None),
    ]
    runner = RetentionRunner(store, Retention.parse("COMPLETED=30d"), clock)
    assert await passed(runner, clock) == len(goes)
    assert await left(store) == {each.id for each in stays}
    for gone in goes:
        assert await store.read_events(gone.id) == ()
    assert await passed(runner, clock) == 0


async def test_it_goes_in_small_steps(
    store: SqliteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No transaction takes more than so many executions or events, and there is a pause between two."""
    only = workflow("only")
    await store.insert_workflow(only)
    for _ in range(120):
        await add(store, clock, only, 2 * DAY, events=20)
    steps: list[int] = []
    discard, empty = store.discard_executions, store.empty_trash

    async def counted_discard(*args: Any) -> int:
        steps.append(await discard(*args))
        assert steps[-1] <= 50
        return steps[-1]

    async def counted_empty(limit: int) -> int:
        before = sum([len(await store.read_events(each)) for each in ids])
        done = await empty(limit)
        after = sum([len(await store.read_events(each)) for each in ids])
        assert before - after <= 500
        return done

    ids = sorted(await left(store))
    monkeypatch.setattr(store, "discard_executions", counted_discard)
    monkeypatch.setattr(store, "empty_trash", counted_empty)
    started = clock.monotonic()
    assert await passed(RetentionRunner(store, Retention.parse("*=1d"), clock), clock) == 120
    assert steps[:3] == [50, 50, 20]
    assert clock.monotonic() - started > 0.1
    assert await left(store) == set()


async def test_a_full_disk_is_waited_for(clock: ManualClock) -> None:
    """The removal goes on with its next pass; it does not end, which would be logged as a defect."""

    class FullStore(SqliteStore):
        asked = 0

        async def discard_kept(self, now: datetime, limit: int) -> int:
            self.asked += 1
            raise StoreFullError(f"no space left to remove {limit} at {now}")

    store = FullStore(None, clock)
    await store.open()
    running = asyncio.create_task(RetentionRunner(store, Retention.parse(""), clock).run())
    for _ in range(2):
        await clock.advance(60)
    assert not running.done()
    assert store.asked > 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await store.close()
