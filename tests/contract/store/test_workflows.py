"""What every store promises of workflows and their versions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.contract.store.samples import NOW, definition, key, workflow
from weft.core.errors import AlreadyExistsError
from weft.core.reasons import Reason
from weft.server.store.base import Page, StaleWriteError, Store
from weft.server.workflow.model import Share, Workflow, WorkflowState

ALL = Page(size=100)
LATER = NOW + timedelta(days=1)


def next_version(of: Workflow, note: str) -> Workflow:
    return replace(
        of,
        version=of.version + 1,
        revision=of.revision + 1,
        definition=definition(note),
        version_create_time=of.version_create_time + timedelta(days=1),
        update_time=LATER,
    )


async def test_a_workflow_comes_back_as_it_was(store: Store) -> None:
    """Every field survives, and it is found by id and by name."""
    made = workflow()
    assert await store.insert_workflow(made) == made
    assert await store.get_workflow(made.id) == made
    assert await store.get_workflow(made.name) == made
    assert await store.get_workflow(made.name, 1) == made
    assert await store.get_workflow(made.name, 2) is None
    assert await store.get_workflow("nobody") is None


async def test_aliases_are_the_same_in_every_version(store: Store) -> None:
    """They survive, also in what a repeat returns; another version changes nothing of them."""
    first = await store.insert_workflow(workflow("a"))
    shares = (Share(version=1, percent=90), Share(version=2, percent=10))
    second = replace(next_version(first, "other"), aliases={"stable": shares})
    assert await store.update_workflow(second, 1, key()) == second
    assert await store.recall_workflow(key()) == second
    for version in (1, 2):
        found = await store.get_workflow("a", version)
        assert found is not None
        assert found.aliases == {"stable": shares}


async def test_workflows_are_found_by_labels(store: Store) -> None:
    """By all that are asked for, in the newest version, with or without a state; page by page."""
    labels = {"a": {"team": "x", "tier": "1"}, "b": {"team": "x"}, "c": {"team": "y"}, "d": {}}
    for name, given in labels.items():
        made = workflow(name)
        await store.insert_workflow(replace(made, definition=replace(made.definition, labels=given)))

    async def found(state: WorkflowState | None = None, **wanted: str) -> list[str]:
        return [it.name for it in (await store.list_workflows(state, ALL, wanted)).items]

    assert await found(team="x") == ["a", "b"]
    assert await found(team="x", tier="1") == ["a"]
    assert await found(team="x", tier="2") == await found(tea="x") == []
    assert await found(WorkflowState.PAUSED, team="x") == []
    assert await found(WorkflowState.ACTIVE, team="y") == ["c"]
    assert await found() == list(labels)
    page = await store.list_workflows(None, Page(size=1), {"team": "x"})
    assert ([it.name for it in page.items], page.more, page.total) == (["a"], True, 2)
    first = await store.get_workflow("a")
    assert first is not None
    await store.update_workflow(next_version(first, "without labels"), first.revision)
    assert await found(team="x") == ["b"]


async def test_a_name_is_taken_once(store: Store) -> None:
    """A second workflow of the name is refused, and nothing of it is stored."""
    await store.insert_workflow(workflow("a"))
    second = workflow("a")
    with pytest.raises(AlreadyExistsError) as refused:
        await store.insert_workflow(second)
    assert refused.value.reason == Reason.WORKFLOW_EXISTS
    assert refused.value.metadata["name"] == "a"
    assert await store.get_workflow(second.id) is None


async def test_a_repeated_insert_returns_the_first(store: Store) -> None:
    """With the same key nothing is written, also when the workflow has changed since."""
    first = await store.insert_workflow(workflow("a"), key())
    await store.update_workflow(next_version(first, "other"), 1)
    assert await store.insert_workflow(workflow("a"), key()) == first
    assert await store.recall_workflow(key()) == first
    assert (await store.list_workflows(None, ALL)).total == 1


async def test_a_key_with_other_content_is_refused(store: Store) -> None:
    """Every mutation and the recall refuse it, before anything else."""
    made = await store.insert_workflow(workflow("a"), key())
    reused = key(content=b"second")
    for attempt in (
        store.insert_workflow(workflow("b"), reused),
        store.update_workflow(replace(made, revision=2), 1, reused),
        store.delete_workflow(made, 1, reused),
        store.recall_workflow(reused),
    ):
        with pytest.raises(AlreadyExistsError) as refused:
            await attempt
        assert refused.value.reason == Reason.REQUEST_ID_REUSED
    assert await store.get_workflow("a") == made


async def test_versions_are_kept(store: Store) -> None:
    """Every version says what it did, and all share what is not versioned."""
    first = await store.insert_workflow(workflow("a"))
    second = next_version(first, "second")
    assert await store.update_workflow(second, 1) == second
    third = replace(next_version(second, "third"), name="b", state=WorkflowState.INACTIVE)
    await store.update_workflow(third, 2)
    assert await store.get_workflow("b") == third
    assert await store.get_workflow("a") is None
    for old in (first, second):
        assert await store.get_workflow(first.id, old.version) == replace(
            third,
            version=old.version,
            definition=old.definition,
            version_create_time=old.version_create_time,
        )


async def test_a_stored_version_never_changes(store: Store) -> None:
    """An update under the same version changes everything but what the version does."""
    made = await store.insert_workflow(workflow("a"))
    changed = replace(made, revision=2, description="new", definition=definition("smuggled"))
    expected = replace(changed, definition=made.definition)
    assert await store.update_workflow(changed, 1) == expected
    assert await store.get_workflow("a") == expected


async def test_an_update_needs_the_revision(store: Store) -> None:
    """What another has changed or deleted is not overwritten, and no version is added."""
    made = await store.insert_workflow(workflow("a"))
    with pytest.raises(StaleWriteError):
        await store.update_workflow(next_version(made, "x"), 2)
    assert await store.get_workflow(made.id, 2) is None
    await store.delete_workflow(made, 1)
    with pytest.raises(StaleWriteError):
        await store.update_workflow(next_version(made, "x"), 1)
    with pytest.raises(StaleWriteError):
        await store.update_workflow(workflow("unknown", revision=2), 1)


async def test_an_update_cannot_take_a_name(store: Store) -> None:
    """The name of another workflow is refused; that of a deleted one is free."""
    other = await store.insert_workflow(workflow("a"))
    made = await store.insert_workflow(workflow("b"))
    renamed = replace(made, name="a", revision=2)
    with pytest.raises(AlreadyExistsError) as refused:
        await store.update_workflow(renamed, 1)
    assert refused.value.reason == Reason.WORKFLOW_EXISTS
    await store.delete_workflow(other, 1)
    assert await store.update_workflow(renamed, 1) == renamed


async def test_of_concurrent_inserts_of_a_name_one_wins(store: Store) -> None:
    """All others learn that the name is taken."""
    results = await asyncio.gather(
        *(store.insert_workflow(workflow("a")) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(result, Workflow) for result in results) == 1
    assert sum(isinstance(result, AlreadyExistsError) for result in results) == 19


async def test_a_deleted_workflow_is_found_by_id_only(store: Store) -> None:
    """With the mark, in every version; its name is free for another."""
    first = await store.insert_workflow(workflow("a"))
    second = await store.update_workflow(next_version(first, "second"), 1)
    await store.delete_workflow(second, 2)
    assert await store.get_workflow("a") is None
    assert await store.get_workflow(first.id) == replace(second, deleted=True)
    old = await store.get_workflow(first.id, 1)
    assert old is not None
    assert (old.deleted, old.definition) == (True, first.definition)
    assert [each.version for each in (await store.list_workflow_versions(first.id, ALL)).items] == [2, 1]
    successor = await store.insert_workflow(workflow("a"))
    assert await store.get_workflow("a") == successor
    assert (await store.list_workflows(None, ALL)).items == (successor,)


async def test_a_delete_needs_the_revision(store: Store) -> None:
    """What another has changed or deleted is not deleted."""
    made = await store.insert_workflow(workflow("a"))
    with pytest.raises(StaleWriteError):
        await store.delete_workflow(made, 2)
    assert await store.get_workflow("a") == made
    await store.delete_workflow(made, 1)
    with pytest.raises(StaleWriteError):
        await store.delete_workflow(made, 1)


async def test_a_repeated_delete_does_nothing(store: Store) -> None:
    """The key recalls the workflow as it was; a new one of the name is not touched."""
    made = await store.insert_workflow(workflow("a"))
    await store.delete_workflow(made, 1, key())
    successor = await store.insert_workflow(workflow("a"))
    await store.delete_workflow(made, 1, key())
    assert await store.recall_workflow(key()) == made
    assert await store.get_workflow("a") == successor


async def test_a_repeated_update_returns_the_first(store: Store) -> None:
    """It is recalled although the revision has moved on, and writes nothing."""
    made = await store.insert_workflow(workflow("a"))
    second = await store.update_workflow(next_version(made, "2"), 1, key())
    third = await store.update_workflow(next_version(second, "3"), 2)
    assert await store.update_workflow(next_version(made, "2"), 1, key()) == second
    assert await store.get_workflow("a") == third


async def test_workflows_are_listed_by_name(store: Store) -> None:
    """In pages, in their latest version, without deleted ones, in one state if asked."""
    for name in ("d", "b", "a", "c"):
        state = WorkflowState.INACTIVE if name in "bd" else WorkflowState.ACTIVE
        await store.insert_workflow(workflow(name, state=state))
    gone = await store.insert_workflow(workflow("0"))
    await store.delete_workflow(gone, 1)
    first = await store.list_workflows(None, Page(size=3))
    assert ([each.name for each in first.items], first.more, first.total) == (["a", "b", "c"], True, 4)
    last = await store.list_workflows(None, Page(size=3, after="c"))
    assert ([each.name for each in last.items], last.more, last.total) == (["d"], False, 4)
    skipped = await store.list_workflows(None, Page(size=2, skip=1))
    assert ([each.name for each in skipped.items], skipped.more) == (["b", "c"], True)
    inactive = await store.list_workflows(WorkflowState.INACTIVE, Page(size=1, after="b"))
    assert ([each.name for each in inactive.items], inactive.more, inactive.total) == (["d"], False, 2)


async def test_versions_are_listed_newest_first(store: Store) -> None:
    """Eleven of them, so that the key is a number and no text."""
    latest = await store.insert_workflow(workflow("a"))
    for number in range(2, 12):
        latest = await store.update_workflow(next_version(latest, str(number)), number - 1)
    first = await store.list_workflow_versions(latest.id, Page(size=3))
    assert ([each.version for each in first.items], first.more, first.total) == ([11, 10, 9], True, 11)
    assert first.items[0] == latest
    rest = await store.list_workflow_versions(latest.id, Page(size=20, after="9"))
    assert [each.version for each in rest.items] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert (rest.more, rest.total) == (False, 11)
    skipped = await store.list_workflow_versions(latest.id, Page(size=1, skip=10))
    assert ([each.version for each in skipped.items], skipped.more) == ([1], False)
    unknown = await store.list_workflow_versions("wf_00000000000000000000000000", ALL)
    assert (unknown.items, unknown.total) == ((), 0)
