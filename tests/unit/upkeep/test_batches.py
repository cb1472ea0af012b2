"""Batches: a fixed set, every item tried once, at a bounded rate, also after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.contract.store.samples import NOW, execution, first_events, key, workflow
from weft.core.errors import (
    AlreadyExistsError,
    InternalError,
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
)
from weft.core.reasons import Reason
from weft.core.testing import ManualClock
from weft.server.batch.model import Batch, BatchItemState, BatchOperation, BatchState, Progress
from weft.server.batch.runner import BatchRunner, Operate
from weft.server.batch.service import BatchService
from weft.server.execution.filters import read_where
from weft.server.execution.lists import ExecutionLists
from weft.server.store.base import Page
from weft.server.store.sqlite import SqliteStore
from weft.server.workflow.service import WorkflowService

CANCEL = BatchOperation.CANCEL


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(clock: ManualClock, tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "weft.db", clock)
    await opened.open()
    yield opened
    await opened.close()


async def no_service(ref: str) -> None:
    return None


def service(store: SqliteStore, clock: ManualClock, max_items: int = 1_000) -> BatchService:
    lists = ExecutionLists(store, WorkflowService(store, no_service, clock), clock)
    return BatchService(store, lists, clock, max_items=max_items)


async def add(store: SqliteStore, count: int, customer: str = "acme") -> list[str]:
    made = [execution(attributes={"customer": customer}) for _ in range(count)]
    await asyncio.gather(*(store.insert_execution(each, first_events(each)) for each in made))
    return sorted((each.id for each in made), reverse=True)


async def begin(batches: BatchService, text: str = "attributes.customer = acme") -> Batch:
    where = read_where(text, NOW)
    assert where is not None
    return await batches.start(where, text, CANCEL, "wrong price", key())


async def until(done: Callable[[], Awaitable[bool]], clock: ManualClock) -> None:
    while not await done():
        await clock.advance(0.1)


async def finished(batches: BatchService, batch: Batch, runner: BatchRunner, clock: ManualClock) -> Batch:
    """Run until a batch has ended."""
    task = asyncio.create_task(runner.run())

    async def ended() -> bool:
        return (await batches.get(batch.id)).end_time is not None

    try:
        await until(ended, clock)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return await batches.get(batch.id)


class Actions:
    """Records what was done, and fails where it is told to."""

    def __init__(self, faults: dict[str, Exception] | None = None) -> None:
        self.done: list[str] = []
        self.faults = faults or {}
        self.most = 0
        self._now = 0

    async def __call__(self, _: Batch, execution_id: str) -> str:
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        if execution_id in self.faults:
            raise self.faults[execution_id]
        self.done.append(execution_id)
        return ""


def runner(store: SqliteStore, clock: ManualClock, operate: Operate) -> BatchRunner:
    return BatchRunner(store, {CANCEL: operate}, clock)


async def test_every_item_is_tried_once(store: SqliteStore, clock: ManualClock) -> None:
    """Those that were selected when it was started, twenty at a time, ten times a second at most."""
    ids = await add(store, 50)
    await add(store, 3, "other")
    batches, actions = service(store, clock), Actions()
    batch = await begin(batches)
    assert (batch.total, batch.state) == (50, BatchState.RUNNING)
    late = await add(store, 5)
    started = clock.monotonic()
    ended = await finished(batches, batch, runner(store, clock, actions), clock)
    assert (ended.state, ended.progress) == (BatchState.COMPLETED, Progress(succeeded=50))
    assert sorted(actions.done, reverse=True) == ids
    assert not set(late) & set(actions.done)
    assert actions.most <= 20
    assert clock.monotonic() - started >= 0.2


async def test_an_item_says_why_it_was_not_done(store: SqliteStore, clock: ManualClock) -> None:
    """Skipped where there is nothing to do, failed otherwise; the others are done."""
    ids = await add(store, 4)
    faults: dict[str, Exception] = {
        ids[0]: PreconditionError("it is COMPLETED already", reason=Reason.EXECUTION_ENDED),
        ids[1]: ResourceNotFoundError("execution", ids[1]),
        ids[2]: InternalError("a defect"),
    }
    batches = service(store, clock)
    batch = await begin(batches)
    ended = await finished(batches, batch, runner(store, clock, Actions(faults)), clock)
    assert ended.progress == Progress(succeeded=1, skipped=2, failed=1)
    items = (await batches.items(batch.id, None, Page(size=9))).items
    assert [(item.execution_id, item.failure and item.failure.reason) for item in items] == [
        (ids[0], "EXECUTION_ENDED"),
        (ids[1], "EXECUTION_NOT_FOUND"),
        (ids[2], "INTERNAL"),
        (ids[3], None),
    ]
    failed = await batches.items(batch.id, BatchItemState.FAILED, Page(size=9))
    assert [item.execution_id for item in failed.items] == [ids[2]]


async def test_what_cannot_be_done_now_stays_pending(store: SqliteStore, clock: ManualClock) -> None:
    """It is tried again; what was done in the same chunk is recorded."""
    ids = await add(store, 3)
    faults: dict[str, Exception] = {ids[1]: ServiceUnavailableError("engine")}
    batches, actions = service(store, clock), Actions(faults)
    batch = await begin(batches)
    task = asyncio.create_task(runner(store, clock, actions).run())

    async def two_are_done() -> bool:
        return (await batches.get(batch.id)).progress.done == 2

    await until(two_are_done, clock)
    faults.clear()

    async def ended() -> bool:
        return (await batches.get(batch.id)).end_time is not None

    await until(ended, clock)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sorted(actions.done) == sorted(ids)


async def test_a_cancelled_batch_stops(store: SqliteStore, clock: ManualClock) -> None:
    """What is pending stays as it is."""
    await add(store, 400)
    batches, actions = service(store, clock), Actions()
    batch = await begin(batches)
    task = asyncio.create_task(runner(store, clock, actions).run())

    async def some_are_done() -> bool:
        return (await batches.get(batch.id)).progress.done >= 20

    await until(some_are_done, clock)
    stopped = await batches.cancel(batch.id)
    assert stopped.state is BatchState.CANCELLED

    async def all_is_recorded() -> bool:
        return (await batches.get(batch.id)).progress.done == len(actions.done)

    for _ in range(20):
        await clock.advance(1)
    await until(all_is_recorded, clock)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    ended = await batches.get(batch.id)
    assert (ended.state, ended.end_time) == (stopped.state, stopped.end_time)
    assert len(actions.done) == ended.progress.done <= stopped.progress.done + 20 < 400


async def test_what_is_done_while_a_batch_is_cancelled_is_told(
    store: SqliteStore, clock: ManualClock
) -> None:
    """Items that were under way are no pending ones, and no further one is begun."""
    await add(store, 60)
    batches, done = service(store, clock), []
    batch = await begin(batches)

    async def cancelled_amid(batch: Batch, execution_id: str) -> str:
        done.append(execution_id)
        await batches.cancel(batch.id)
        return ""

    task = asyncio.create_task(runner(store, clock, cancelled_amid).run())
    for _ in range(20):
        await clock.advance(1)
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    ended = await batches.get(batch.id)
    assert (ended.state, ended.progress) == (BatchState.CANCELLED, Progress(succeeded=20))
    pending = await batches.items(batch.id, BatchItemState.PENDING, Page(size=99))
    assert {item.execution_id for item in pending.items}.isdisjoint(done)
    assert len(done) == 20


async def test_a_batch_that_is_cancelled_between_two_parts_begins_no_other(
    store: SqliteStore, clock: ManualClock
) -> None:
    """The answer has promised it."""
    await add(store, 60)
    batches, actions = service(store, clock), Actions()
    batch = await begin(batches)
    task = asyncio.create_task(runner(store, clock, actions).run())
    for _ in range(400):
        if (await batches.get(batch.id)).progress.done == 20:
            break
        await asyncio.sleep(0.005)
    await batches.cancel(batch.id)
    for _ in range(20):
        await clock.advance(1)
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(actions.done) == 20


async def test_a_batch_goes_on_after_a_restart(clock: ManualClock, tmp_path: Path) -> None:
    """Where it stopped."""
    first = SqliteStore(tmp_path / "weft.db", clock)
    await first.open()
    await add(first, 50)
    batches, before = service(first, clock), Actions()
    batch = await begin(batches)
    task = asyncio.create_task(runner(first, clock, before).run())

    async def some_are_done() -> bool:
        return (await batches.get(batch.id)).progress.done >= 20

    await until(some_are_done, clock)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await first.close()
    second = SqliteStore(tmp_path / "weft.db", clock)
    await second.open()
    after = Actions()
    ended = await finished(service(second, clock), batch, runner(second, clock, after), clock)
    await second.close()
    assert ended.progress == Progress(succeeded=50)
    assert len(set(before.done) | set(after.done)) == 50
    assert len(after.done) <= 30


async def test_a_batch_is_started_once(store: SqliteStore, clock: ManualClock) -> None:
    """A repeat returns it, also when the filter selects something else by now."""
    await add(store, 2)
    batches = service(store, clock)
    batch = await begin(batches)
    await add(store, 1)
    assert await begin(batches) == batch
    where = read_where("id:*", NOW)
    assert where is not None
    with pytest.raises(AlreadyExistsError):
        await batches.start(where, "id:*", CANCEL, "", key(content=b"another"))


async def test_a_batch_has_a_largest_size(store: SqliteStore, clock: ManualClock) -> None:
    """One that selects nothing has ended at once."""
    await add(store, 4)
    with pytest.raises(PreconditionError) as caught:
        await begin(service(store, clock, max_items=3))
    assert caught.value.reason == Reason.BATCH_TOO_LARGE
    batches = service(store, clock)
    empty = await begin(batches, "attributes.customer = nobody")
    assert (empty.state, empty.total) == (BatchState.COMPLETED, 0)
    assert await store.claim_batch() is None


async def test_a_workflow_is_named_or_its_id_given(store: SqliteStore, clock: ManualClock) -> None:
    """A name that is not there is refused rather than selecting nothing."""
    made = workflow("orders")
    await store.insert_workflow(made)
    for each in (execution(workflow_id=made.id), execution()):
        await store.insert_execution(each, first_events(each))
    batches = service(store, clock)
    assert (await begin(batches, "NOT (workflow = orders)")).total == 1
    unknown = read_where("workflow = order", NOW)
    assert unknown is not None
    with pytest.raises(ResourceNotFoundError):
        await batches.start(unknown, "", CANCEL, "", None)
