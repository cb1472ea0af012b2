"""What every store promises of who works on an execution, and when."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.contract.store import samples
from tests.contract.store.samples import NOW, advanced, execution, first_events, key, output, workflow
from weft.core.errors import AlreadyExistsError
from weft.core.reasons import Reason
from weft.server.execution.history.model import Event, Execution, ExecutionCompleted, Parent, Waits
from weft.server.store.base import Command, KeyTakenError, SlotFullError, StaleWriteError, Store, WhenFull
from weft.server.workflow.model import WorkflowState

LATER = NOW + timedelta(minutes=5)


async def start(store: Store, **changes: object) -> Execution:
    made = execution(**changes)
    return await store.insert_execution(made, first_events(made))


def ended(of: Execution) -> Execution:
    """What has ended wants nothing any more."""
    return replace(samples.ended(of), due_time=None)


async def let_go(store: Store, made: Execution, **changes: Any) -> Execution:
    """Have an execution wait in the store, as nobody's."""
    waiting = replace(made, **changes)
    await store.append_events(waiting, (), made.last_event, release=True)
    return waiting


async def test_a_new_execution_is_owned(store: Store) -> None:
    """It can be appended to, and is not due for anybody else."""
    made = await start(store)
    assert await store.next_due() is None
    assert await store.claim_due(LATER, 10) == ()
    await store.append_events(advanced(made), [output(3)], 2)


async def test_what_was_let_go_of_is_refused_until_it_is_claimed(store: Store) -> None:
    """A write of one who does not own it leaves no trace."""
    made = await start(store)
    waiting = await let_go(store, made, waits=Waits.RETRY, due_time=LATER)
    with pytest.raises(StaleWriteError):
        await store.append_events(advanced(made), [output(3)], 2)
    assert await store.get_execution(made.id) == waiting
    claim = await store.claim_execution(made.id)
    assert claim is not None
    assert (claim.execution, claim.granted) == (waiting, True)
    await store.append_events(advanced(made), [output(3)], 2)
    assert len(await store.read_events(made.id)) == 3


async def test_a_claim_of_what_is_owned_here_is_granted(store: Store) -> None:
    """It was this server's before; one that is not there is none, and one that has ended is refused."""
    made = await start(store)
    claim = await store.claim_execution(made.id)
    assert claim is not None
    assert claim.granted
    assert await store.claim_execution("exe_00000000000000000000000000") is None
    await store.append_events(ended(made), [Event(3, NOW, ExecutionCompleted(result=b"{}"))], 2)
    claim = await store.claim_execution(made.id)
    assert claim is not None
    assert not claim.granted
    assert claim.execution == ended(made)


async def test_what_is_due_is_claimed_the_longest_due_first(store: Store) -> None:
    """Not before its time, not more than asked for, and only once."""
    made = [await start(store) for _ in range(4)]
    for minutes, each in zip((3, 1, 2, 9), made, strict=True):
        await let_go(store, each, waits=Waits.RETRY, due_time=NOW + timedelta(minutes=minutes))
    assert await store.next_due() == NOW + timedelta(minutes=1)
    assert await store.claim_due(NOW, 10) == ()
    first = await store.claim_due(NOW + timedelta(minutes=3), 2)
    assert [each.id for each in first] == [made[1].id, made[2].id]
    second = await store.claim_due(NOW + timedelta(minutes=3), 10)
    assert [each.id for each in second] == [made[0].id]
    assert await store.claim_due(NOW + timedelta(minutes=3), 10) == ()
    assert await store.next_due() == NOW + timedelta(minutes=9)
    await store.append_events(advanced(second[0]), [output(3)], 2)


async def test_what_waits_for_a_command_is_never_due(store: Store) -> None:
    """Nor is what has ended."""
    made = await start(store)
    await let_go(store, made, waits=Waits.INCIDENT, due_time=None)
    over = await start(store)
    await store.append_events(
        ended(
            over,
        ),
        [Event(3, NOW, ExecutionCompleted(result=b"{}"))],
        2,
    )
    assert await store.next_due() is None
    assert await store.claim_due(LATER, 10) == ()


async def test_concurrent_claims_never_share(store: Store) -> None:
    """Each due execution goes to one of those who ask at the same time."""
    made = [await start(store) for _ in range(20)]
    for each in made:
        await let_go(store, each, waits=Waits.RETRY, due_time=NOW)
    parts = await asyncio.gather(*(store.claim_due(NOW, 5) for _ in range(8)))
    ids = [each.id for part in parts for each in part]
    assert len(ids) == len(set(ids))
    rest = await store.claim_due(NOW, 100)
    assert {*ids, *(each.id for each in rest)} == {each.id for each in made}


async def test_as_many_run_of_a_slot_as_may(store: Store) -> None:
    """Also of those that are started at once; the others wait for it, owned by nobody."""
    made = [execution(slot="customer-7", slot_limit=3) for _ in range(10)]
    stored = await asyncio.gather(*(store.insert_execution(each, first_events(each)) for each in made))
    waiting = [each for each in stored if each.waits is Waits.SLOT]
    assert len(waiting) == 7
    assert all(each.due_time == each.expire_time for each in waiting)
    other = await start(store, slot="customer-8", slot_limit=1)
    assert not other.waits
    assert await store.grant_slots(NOW) == 0


async def test_nobody_passes_one_who_waits(store: Store) -> None:
    """A place that is free and not given yet belongs to the one that waits longest."""
    first, second = [await start(store, slot="s", slot_limit=1) for _ in range(2)]
    await store.append_events(ended(first), [Event(3, NOW, ExecutionCompleted(result=b"{}"))], 2)
    third = await start(store, slot="s", slot_limit=1)
    assert third.waits is Waits.SLOT
    assert await store.grant_slots(LATER) == 1
    assert [each.id for each in await store.claim_due(LATER, 9)] == [second.id]


async def test_where_a_slot_is_full_further_ones_can_be_refused(store: Store) -> None:
    """However many come at the same moment, as many are stored as may run; a repeat gets the first."""
    refuse = WhenFull(refuse=True)
    made = [execution(slot="s", slot_limit=2) for _ in range(8)]

    async def attempt(number: int, each: Execution) -> Execution:
        return await store.insert_execution(each, first_events(each), key(f"r-{number}"), when_full=refuse)

    tries = [attempt(number, each) for number, each in enumerate(made)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    stored = [number for number, each in enumerate(results) if isinstance(each, Execution)]
    refused = [each for each in results if isinstance(each, SlotFullError)]
    assert (len(stored), len(refused)) == (2, 6)
    again = execution(slot="s", slot_limit=2)
    assert await attempt(stored[0], again) == results[stored[0]]
    assert await store.get_execution(again.id) is None


async def test_where_a_slot_is_full_the_oldest_can_be_told_to_go(store: Store) -> None:
    """For each that comes another one is told, in the same transaction; a repeat tells nobody."""
    displace = WhenFull(order=("cancel", b'{"reason":"x"}'))

    async def come(request_id: str) -> Execution:
        made = execution(slot="s", slot_limit=2)
        return await store.insert_execution(made, first_events(made), key(request_id), when_full=displace)

    first, second = await come("a"), await come("b")
    assert await store.take_commands() == ()
    third = await come("c")
    assert third.waits is Waits.SLOT
    assert await store.take_commands() == (
        Command(execution_id=first.id, kind="cancel", body=b'{"reason":"x"}'),
    )
    assert await come("c") == third
    assert await store.take_commands() == ()
    fourth = await come("d")  # the first has not ended yet: two have to, for this one to run
    assert [command.execution_id for command in await store.take_commands()] == [first.id, second.id]
    for each in (first, second):
        await store.append_events(ended(each), [Event(3, NOW, ExecutionCompleted(result=b"{}"))], 2)
    assert await store.grant_slots(LATER) == 2
    assert {each.id for each in await store.claim_due(LATER, 9)} == {third.id, fourth.id}


async def test_a_free_slot_goes_to_the_one_that_waits_longest(store: Store) -> None:
    """It becomes due, and counts as running from then on."""
    ids = sorted(execution().id for _ in range(4))
    made = [await start(store, id=each, slot="s", slot_limit=1) for each in ids]
    assert [each.waits for each in made] == [Waits.NOTHING, Waits.SLOT, Waits.SLOT, Waits.SLOT]
    done = Event(3, NOW, ExecutionCompleted(result=b"{}"))
    await store.append_events(ended(made[0]), [done], 2)
    assert await store.grant_slots(LATER) == 1
    assert await store.grant_slots(LATER) == 0
    (granted,) = await store.claim_due(LATER, 10)
    assert (granted.id, granted.waits, granted.due_time) == (ids[1], Waits.NOTHING, LATER)
    late = await start(store, slot="s", slot_limit=1)
    assert late.waits is Waits.SLOT


async def test_a_key_belongs_to_one_open_execution(store: Store) -> None:
    """The others learn whose it is; of those started at once, one wins."""
    tries = [execution(key="order-7") for _ in range(10)]
    results = await asyncio.gather(
        *(store.insert_execution(each, first_events(each), reuse_key=True) for each in tries),
        return_exceptions=True,
    )
    (won,) = [each for each in results if isinstance(each, Execution)]
    lost = [each for each in results if isinstance(each, KeyTakenError)]
    assert len(lost) == 9
    assert {each.execution.id for each in lost} == {won.id}
    assert await store.get_execution_by_key("order-7") == won


async def test_a_key_is_free_again_where_that_is_wanted(store: Store) -> None:
    """When its execution has ended; the newest of a key is found by it."""
    older, newer = sorted(execution().id for _ in range(2))
    first = await start(store, key="k", id=older)
    await store.append_events(ended(first), [Event(3, NOW, ExecutionCompleted(result=b"{}"))], 2)
    second = execution(key="k", id=newer)
    with pytest.raises(KeyTakenError) as taken:
        await store.insert_execution(second, first_events(second))
    assert taken.value.execution == ended(first)
    await store.insert_execution(second, first_events(second), reuse_key=True)
    assert await store.get_execution_by_key("k") == second
    assert await store.get_execution_by_key("other") is None


async def test_a_repeat_comes_before_the_key(store: Store) -> None:
    """A request that started the execution of a key gets it again; another content is refused."""
    made = execution(key="k", slot="s", slot_limit=1)
    await store.insert_execution(made, first_events(made), key())
    again = execution(key="k", slot="s", slot_limit=1)
    assert await store.insert_execution(again, first_events(again), key()) == made
    with pytest.raises(AlreadyExistsError) as refused:
        await store.insert_execution(again, first_events(again), key(content=b"second"))
    assert refused.value.reason == Reason.REQUEST_ID_REUSED


async def test_commands_are_taken_once_in_their_order(store: Store) -> None:
    """Those for executions of this server, of nobody, and of none that is there."""
    mine = await start(store)
    free = await start(store)
    await let_go(store, free, waits=Waits.INCIDENT, due_time=None)
    left = [
        Command(execution_id=mine.id, kind="cancel", body=b'{"reason": "a"}'),
        Command(execution_id=free.id, kind="resolve"),
        Command(execution_id="exe_00000000000000000000000000", kind="cancel"),
        Command(execution_id=mine.id, kind="pause"),
    ]
    assert await store.take_commands() == ()
    for command in left:
        await store.post_command(command)
    assert await store.take_commands(3) == tuple(left[:3])
    assert await store.take_commands() == (left[3],)
    assert await store.take_commands() == ()


async def test_what_waits_for_its_workflow_is_woken(store: Store) -> None:
    """When that is not paused, or gone; what is paused is known."""
    paused = await store.insert_workflow(workflow("a", state=WorkflowState.PAUSED))
    active = await store.insert_workflow(workflow("b"))
    assert await store.paused_workflows() == {paused.id}
    for each in (paused, active):
        made = await start(store, workflow_id=each.id)
        await let_go(store, made, waits=Waits.WORKFLOW, due_time=made.expire_time)
    assert await store.wake_resumed(LATER) == 1
    assert await store.wake_resumed(LATER) == 0
    (woken,) = await store.claim_due(LATER, 10)
    assert (woken.workflow_id, woken.due_time) == (active.id, LATER)
    await store.delete_workflow(paused, paused.revision)
    assert await store.paused_workflows() == frozenset()
    assert await store.wake_resumed(LATER) == 1


async def test_children_of_those_that_have_ended_are_found(store: Store) -> None:
    """Open ones only, page by page; those of open parents, or of none, are not among them."""
    gone, here = await start(store), await start(store)
    lost = [await start(store, parent=Parent(execution_id=gone.id, step_id="c")) for _ in range(3)]
    await start(store, parent=Parent(execution_id=here.id, step_id="c"))
    await start(store)
    assert await store.orphans("", 10) == ()
    await store.append_events(ended(gone), [Event(3, NOW, ExecutionCompleted(result=b"{}"))], 2, release=True)
    await store.append_events(
        ended(lost[0]), [Event(3, NOW, ExecutionCompleted(result=b"{}"))], 2, release=True
    )
    ids = tuple(sorted(it.id for it in lost[1:]))
    assert await store.orphans("", 1) == ids[:1]
    assert await store.orphans(ids[0], 10) == ids[1:]
