"""Two releases on one store: what only the newer one knows, the older one leaves alone (ADR 0022)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contract.store.samples import NOW, advanced, execution, first_events, output, workflow
from tests.support.newer import LaterWaits, Noted, Prior, forget, know, write_as_newer
from weft.core.errors import InternalError, ServiceUnavailableError
from weft.core.reasons import Reason
from weft.server.execution.history.model import Event, Execution, StepScheduled
from weft.server.forms import NewerReleaseError
from weft.server.store.base import Command, Page, Store
from weft.server.workflow.kinds import Wait
from weft.server.workflow.model import Definition, Step

MOON = Step(id="moon", does=Wait(duration="1s"))
NOTED = Noted(step_id="a", type="note", data=b"{}")


async def start(store: Store) -> Execution:
    made = execution()
    return await store.insert_execution(made, first_events(made))


async def let_go(store: Store, made: Execution, **changes: Any) -> None:
    await store.append_events(replace(made, **changes), (), made.last_event, release=True)


async def test_what_waits_for_something_unknown_is_not_taken(store: Store) -> None:
    """Neither as due nor by its id; others are, and nobody looks for it again and again."""
    newer, ours = await start(store), await start(store)
    await let_go(store, newer, waits=LaterWaits.MOON, due_time=NOW)
    assert await store.next_due() is None
    with pytest.raises(NewerReleaseError) as refused:
        await store.claim_execution(newer.id)
    assert (refused.value.reason, refused.value.retryable) == (Reason.NEWER_RELEASE, True)
    await let_go(store, ours, due_time=NOW)
    assert [each.id for each in await store.claim_due(NOW, 10)] == [ours.id]
    with pytest.raises(NewerReleaseError, match="MOON"):
        await store.get_execution(newer.id)


async def test_an_unknown_kind_of_event_is_refused_and_not_taken_for_damage(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do about it; a release that knows it reads the same history."""
    made = await start(store)
    write_as_newer(monkeypatch)
    await store.append_events(advanced(made), [Event(3, NOW, NOTED)], 2)
    with pytest.raises(ServiceUnavailableError, match="newer release of Weft"):
        await store.read_events(made.id)
    know(monkeypatch)
    assert (await store.read_events(made.id))[2] == Event(3, NOW, NOTED)


async def test_an_unknown_member_that_says_nothing_is_passed_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer release writes every member it has; one that says something is not guessed at."""
    made = await start(store)
    write_as_newer(monkeypatch)
    moved = advanced(made)
    await store.append_events(moved, [Event(3, NOW, Prior(step_id="b"))], 2)
    assert (await store.read_events(made.id))[2].body == StepScheduled(step_id="b")
    await store.append_events(advanced(moved), [Event(4, NOW, Prior(step_id="c", priority="high"))], 3)
    with pytest.raises(NewerReleaseError, match=r"StepScheduled\.priority"):
        await store.read_events(made.id)


async def test_a_changed_event_is_damage_and_not_news(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seal is looked at first: what it does not fit is nobody's release."""
    made = await start(store)
    write_as_newer(monkeypatch)
    await store.append_events(advanced(made), [output(3)], 2)
    monkeypatch.setattr("weft.server.store.seal._sum", lambda *_: 1)
    with pytest.raises(InternalError) as refused:
        await store.read_events(made.id)
    assert refused.value.reason == Reason.DATA_CORRUPTED


async def test_workflows_that_are_newer_are_named_in_their_list(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are there, whichever page they are on; one that is asked for by itself is refused."""
    for name in ("a", "c", "d", "f"):
        await store.insert_workflow(workflow(name))
    for name in ("b", "e"):
        await store.insert_workflow(replace(workflow(name), definition=Definition(steps=(MOON,))))
    forget(monkeypatch)
    with pytest.raises(NewerReleaseError, match="wait"):
        await store.get_workflow("b")
    whole = await store.list_workflows(None, Page(size=10))
    assert ([it.name for it in whole.items], whole.unread, whole.total) == (
        ["a", "c", "d", "f"],
        ("b", "e"),
        6,
    )
    seen: list[str] = []
    unread: list[str] = []
    after, pages = "", 0
    while True:
        page = await store.list_workflows(None, Page(size=1, after=after))
        seen += [it.name for it in page.items]
        unread += page.unread
        pages += 1
        if not page.more:
            break
        after = page.next_after or page.items[-1].name
    assert (seen, unread, pages) == (["a", "c", "d", "f"], ["b", "e"], 6)


async def test_commands_of_other_kinds_stay(store: Store) -> None:
    """For a server that can carry them out, in their order."""
    made = await start(store)
    left = [Command(execution_id=made.id, kind=kind, body=b"{}") for kind in ("halt", "cancel", "halt")]
    for each in left:
        await store.post_command(each)
    assert await store.take_commands(kinds=("pause", "cancel")) == (left[1],)
    assert await store.take_commands(kinds=("pause", "cancel")) == ()
    assert await store.take_commands() == (left[0], left[2])
