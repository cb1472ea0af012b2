"""Batches: a fixed set of items, and what came of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.contract.store.samples import FAILURE, NOW, key
from weft.core.errors import AlreadyExistsError
from weft.core.names import BATCH_PREFIX, new_id
from weft.server.batch.model import Batch, BatchItem, BatchItemState, BatchOperation, BatchState, Progress
from weft.server.store.base import Page, StaleWriteError, Store

LATER = NOW + timedelta(seconds=9)


def batch(total: int = 3, **changes: Any) -> Batch:
    made = Batch(
        id=new_id(BATCH_PREFIX),
        operation=BatchOperation.CANCEL,
        filter='attributes.customer = "Zoë"',
        reason="wrong price",
        total=total,
        create_time=NOW,
    )
    return replace(made, **changes)


async def begin(store: Store, total: int = 3) -> Batch:
    made = batch(total)
    await store.insert_batch(made, [f"exe_{number}" for number in range(total)])
    claimed = await store.claim_batch()
    assert claimed == made
    return made


def outcome(number: int, state: BatchItemState, **changes: Any) -> BatchItem:
    return BatchItem(number=number, execution_id=f"exe_{number - 1}", state=state, **changes)


DONE, SKIPPED, FAILED = BatchItemState.SUCCEEDED, BatchItemState.SKIPPED, BatchItemState.FAILED


async def test_a_batch_and_its_items_are_stored_together(store: Store) -> None:
    """In the order of the ids, all of them pending."""
    made = batch(1_200)
    ids = [f"exe_{number}" for number in range(1_200)]
    assert await store.insert_batch(made, ids) == made
    assert await store.get_batch(made.id) == made
    assert await store.get_batch("bat_none") is None
    found = await store.list_batch_items(made.id, None, Page(size=1_000))
    rest = await store.list_batch_items(made.id, None, Page(size=1_000, after=str(found.items[-1].number)))
    assert [item.execution_id for item in (*found.items, *rest.items)] == ids
    assert (found.total, found.more, rest.more) == (1_200, True, False)
    assert {item.state for item in found.items} == {BatchItemState.PENDING}


async def test_a_repeat_starts_no_second_batch(store: Store) -> None:
    """It returns the first as it stands; the same id with another content is refused."""
    made = await store.insert_batch(batch(1), ["exe_0"], key())
    await store.claim_batch()
    ended = await store.record_batch_items(made.id, [outcome(1, DONE)], LATER)
    assert await store.insert_batch(batch(2), ["exe_1", "exe_2"], key()) == ended
    assert await store.recall_batch(key()) == ended
    assert await store.recall_batch(key("another")) is None
    assert (await store.list_batches(Page(size=9))).items == (ended,)
    with pytest.raises(AlreadyExistsError):
        await store.insert_batch(batch(1), ["exe_9"], key(content=b"other"))


async def test_outcomes_are_counted_and_the_last_one_ends_it(store: Store) -> None:
    """With what each item said."""
    made = await begin(store)
    items = [outcome(2, SKIPPED, failure=FAILURE), outcome(1, DONE, result_id="exe_new")]
    found = await store.record_batch_items(made.id, items, NOW)
    assert found == replace(made, progress=Progress(succeeded=1, skipped=1))
    last = outcome(3, FAILED, failure=FAILURE)
    found = await store.record_batch_items(made.id, [last], LATER)
    progress = Progress(succeeded=1, skipped=1, failed=1)
    assert found == replace(made, progress=progress, state=BatchState.COMPLETED, end_time=LATER)
    assert await store.get_batch(made.id) == found
    stored = await store.list_batch_items(made.id, None, Page(size=9))
    assert stored.items == (items[1], items[0], last)
    failed = await store.list_batch_items(made.id, FAILED, Page(size=9))
    assert (failed.items, failed.total) == ((last,), 1)


async def test_an_item_is_counted_once(store: Store) -> None:
    """What is recorded again, as after a crash, changes nothing."""
    made = await begin(store)
    await store.record_batch_items(made.id, [outcome(1, DONE)], NOW)
    again = await store.record_batch_items(made.id, [outcome(1, FAILED, failure=FAILURE)], NOW)
    assert again.progress == Progress(succeeded=1)
    found = await store.list_batch_items(made.id, BatchItemState.PENDING, Page(size=9))
    assert [item.number for item in found.items] == [2, 3]


async def test_a_cancelled_batch_ends_at_once_and_takes_what_was_under_way(store: Store) -> None:
    """What was done is no pending item, also when it was done in that moment; all else stays as it is."""
    made = await begin(store)
    await store.record_batch_items(made.id, [outcome(1, DONE)], NOW)
    cancelled = await store.cancel_batch(made.id, LATER)
    assert cancelled is not None
    assert cancelled == replace(
        made, state=BatchState.CANCELLED, end_time=LATER, progress=Progress(succeeded=1)
    )
    later = LATER + timedelta(seconds=1)
    under_way = [outcome(2, DONE), outcome(3, BatchItemState.FAILED)]
    recorded = await store.record_batch_items(made.id, under_way, later)
    assert recorded == replace(cancelled, progress=Progress(succeeded=2, failed=1))
    assert await store.record_batch_items(made.id, under_way, later) == recorded
    assert await store.cancel_batch(made.id, later) == recorded
    assert (await store.list_batch_items(made.id, DONE, Page(size=9))).total == 2
    assert await store.cancel_batch("bat_none", LATER) is None
    assert await store.claim_batch() is None


async def test_a_completed_batch_takes_no_more_outcomes(store: Store) -> None:
    """There is nothing pending in it."""
    made = await begin(store, 1)
    await store.record_batch_items(made.id, [outcome(1, DONE)], NOW)
    with pytest.raises(StaleWriteError):
        await store.record_batch_items(made.id, [outcome(1, DONE)], LATER)


async def test_only_its_owner_records(store: Store) -> None:
    """And each open batch has one owner."""
    first = batch()
    await store.insert_batch(first, ["exe_0", "exe_1", "exe_2"])
    with pytest.raises(StaleWriteError):
        await store.record_batch_items(first.id, [outcome(1, DONE)], NOW)
    second = batch()
    await store.insert_batch(second, ["exe_0", "exe_1", "exe_2"])
    assert await store.claim_batch() == first
    assert await store.claim_batch() == second
    assert await store.claim_batch() is None


async def test_batches_are_listed_newest_first(store: Store) -> None:
    """In pages."""
    made = [batch(0, state=BatchState.COMPLETED, end_time=NOW) for _ in range(3)]
    for each in made:
        await store.insert_batch(each, [])
    expected = tuple(sorted(made, key=lambda each: each.id, reverse=True))
    first = await store.list_batches(Page(size=2))
    assert (first.items, first.more, first.total) == (expected[:2], True, 3)
    rest = await store.list_batches(Page(size=2, after=first.items[-1].id))
    assert (rest.items, rest.more) == (expected[2:], False)


async def test_old_batches_are_forgotten_in_small_steps(store: Store) -> None:
    """Never an open one, and never more rows than asked for."""
    old, kept = await begin(store, 5), await begin(store, 1)
    await store.cancel_batch(old.id, NOW)
    steps = []
    while deleted := await store.forget_batches(LATER, 2):
        steps.append(deleted)
    assert await store.get_batch(old.id) is None
    assert (await store.list_batch_items(old.id, None, Page(size=9))).total == 0
    assert max(steps) <= 3
    assert await store.get_batch(kept.id) == kept
