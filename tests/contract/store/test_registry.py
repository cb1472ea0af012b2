"""What every store promises of services and instances."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.contract.store.samples import instance, key, service, two_versions
from weft.core.errors import AlreadyExistsError
from weft.core.reasons import Reason
from weft.discovery.model import Health
from weft.server.registry.model import ServiceState
from weft.server.store.base import Page, StaleWriteError, Store

ALL = Page(size=100)


async def test_a_service_comes_back_as_it_was(store: Store) -> None:
    """Every field survives, and it is found by id and by name."""
    made = service()
    assert await store.insert_service(made) == made
    assert await store.get_service(made.id) == made
    assert await store.get_service(made.name) == made


async def test_versions_come_back_as_they_were(store: Store) -> None:
    """The actions of every API version survive, with the RPCs behind them."""
    made = two_versions()
    assert await store.insert_service(made) == made
    assert await store.get_service(made.id) == made
    changed = replace(made, revision=2, descriptor_set=b"newer", other_versions=made.other_versions[1:])
    assert await store.update_service(changed, 1) == changed
    assert await store.get_service(made.name) == changed


async def test_lists_have_no_descriptor_sets(store: Store) -> None:
    """They may be large, and are asked for one service at a time; everything else is there."""
    made = await store.insert_service(two_versions(), key())
    bare = replace(
        made,
        descriptor_set=b"",
        other_versions=tuple(replace(it, descriptor_set=b"") for it in made.other_versions),
    )
    assert (await store.list_services(None, ALL)).items == (bare,)
    assert (await store.list_services(ServiceState.ACTIVE, ALL)).items == (bare,)
    assert await store.recall_service(key()) == bare


async def test_an_unknown_service_is_none(store: Store) -> None:
    """Neither an id nor a name that nobody has is found."""
    assert await store.get_service("svc_00000000000000000000000000") is None
    assert await store.get_service("nobody") is None


async def test_nothing_is_found_by_a_name_that_nothing_can_have(store: Store) -> None:
    """A definition may name whatever it likes; that a database holds no U+0000 is no fault of the store."""
    for ref in ("a\0b", "\0"):
        assert await store.get_service(ref) is None
        assert await store.get_workflow(ref) is None
        assert await store.get_workflow(ref, 3) is None
        assert await store.get_schedule(ref) is None
        assert await store.get_batch(ref) is None
        assert await store.get_execution(ref) is None
        assert await store.get_execution_by_key(ref) is None


async def test_a_name_is_taken_once(store: Store) -> None:
    """A second service of the name is refused, and nothing of it is stored."""
    await store.insert_service(service("a"))
    second = service("a")
    with pytest.raises(AlreadyExistsError) as refused:
        await store.insert_service(second)
    assert refused.value.reason == Reason.SERVICE_EXISTS
    assert refused.value.metadata["name"] == "a"
    assert await store.get_service(second.id) is None


async def test_a_repeated_insert_returns_the_first(store: Store) -> None:
    """With the same key nothing is written, also when the service has changed since."""
    first = await store.insert_service(service("a"), key())
    await store.update_service(replace(first, revision=2, description="other"), 1)
    assert await store.insert_service(service("a"), key()) == first
    assert await store.recall_service(key()) == first
    assert (await store.list_services(None, ALL)).total == 1


async def test_a_key_with_other_content_is_refused(store: Store) -> None:
    """Every mutation and the recall refuse it, before anything else."""
    made = await store.insert_service(service("a"), key())
    reused = key(content=b"second")
    for attempt in (
        store.insert_service(service("b"), reused),
        store.update_service(replace(made, revision=2), 1, reused),
        store.delete_service(made, 1, reused),
        store.recall_service(reused),
    ):
        with pytest.raises(AlreadyExistsError) as refused:
            await attempt
        assert refused.value.reason == Reason.REQUEST_ID_REUSED
    assert await store.get_service("a") == made
    assert await store.get_service("b") is None


async def test_keys_of_methods_are_apart(store: Store) -> None:
    """The same request id means nothing to another method."""
    await store.insert_service(service("a"), key(method="one"))
    assert await store.recall_service(key(method="two")) is None
    await store.insert_service(service("b"), key(method="two"))


async def test_a_refused_insert_keeps_no_key(store: Store) -> None:
    """The caller may repeat the request under its key when the name is free."""
    taken = await store.insert_service(service("a"))
    with pytest.raises(AlreadyExistsError):
        await store.insert_service(service("a"), key())
    assert await store.recall_service(key()) is None
    await store.delete_service(taken, 1)
    await store.insert_service(service("a"), key())


async def test_an_update_replaces_everything(store: Store) -> None:
    """The new name finds it, the old one does not."""
    made = await store.insert_service(service("a"))
    changed = replace(made, name="b", state=ServiceState.INACTIVE, revision=2, actions=())
    assert await store.update_service(changed, 1) == changed
    assert await store.get_service("b") == changed
    assert await store.get_service("a") is None


async def test_an_update_needs_the_revision(store: Store) -> None:
    """What another has changed or removed is not overwritten."""
    made = await store.insert_service(service("a"))
    with pytest.raises(StaleWriteError):
        await store.update_service(replace(made, revision=3), 2)
    with pytest.raises(StaleWriteError):
        await store.update_service(service("b", revision=2), 1)
    assert await store.get_service("a") == made
    assert await store.get_service("b") is None


async def test_an_update_cannot_take_a_name(store: Store) -> None:
    """The name of another service is refused; its own is not."""
    await store.insert_service(service("a"))
    made = await store.insert_service(service("b"))
    with pytest.raises(AlreadyExistsError) as refused:
        await store.update_service(replace(made, name="a", revision=2), 1)
    assert refused.value.reason == Reason.SERVICE_EXISTS
    assert await store.get_service("b") == made


async def test_a_repeated_update_returns_the_first(store: Store) -> None:
    """It is recalled although the revision has moved on, and writes nothing."""
    made = await store.insert_service(service("a"))
    second = await store.update_service(replace(made, revision=2), 1, key())
    third = await store.update_service(replace(made, revision=3), 2)
    assert await store.update_service(replace(made, revision=2), 1, key()) == second
    assert await store.get_service("a") == third


async def test_of_concurrent_updates_one_wins(store: Store) -> None:
    """All others learn that they were late."""
    made = await store.insert_service(service("a"))
    tries = [store.update_service(replace(made, revision=2, endpoint=f"grpc://h:{n}"), 1) for n in range(20)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    won = [result for result in results if not isinstance(result, BaseException)]
    assert len(won) == 1
    assert sum(isinstance(result, StaleWriteError) for result in results) == 19
    assert await store.get_service("a") == won[0]


async def test_a_deleted_service_takes_its_instances_along(store: Store) -> None:
    """Those of other services stay."""
    gone, kept = await store.insert_service(service("a")), await store.insert_service(service("b"))
    await store.put_instance(instance(gone.id, "i-1"))
    await store.put_instance(instance(gone.id, "i-2"))
    await store.put_instance(instance(kept.id, "i-3"))
    await store.delete_service(gone, 1)
    assert await store.get_service("a") is None
    assert [each.id for each in await store.all_instances()] == ["i-3"]


async def test_a_delete_needs_the_revision(store: Store) -> None:
    """What another has changed or removed is not deleted."""
    made = await store.insert_service(service("a"))
    with pytest.raises(StaleWriteError):
        await store.delete_service(made, 2)
    assert await store.get_service("a") == made
    await store.delete_service(made, 1)
    with pytest.raises(StaleWriteError):
        await store.delete_service(made, 1)


async def test_a_repeated_delete_does_nothing(store: Store) -> None:
    """The key recalls the service as it was; a new one of the name is not touched."""
    made = await store.insert_service(service("a"))
    await store.delete_service(made, 1, key())
    successor = await store.insert_service(service("a"))
    await store.delete_service(made, 1, key())
    assert await store.recall_service(key()) == made
    assert await store.get_service("a") == successor


async def test_services_are_listed_by_name(store: Store) -> None:
    """In pages, by key or by number, with the total of all pages."""
    for name in ("d", "b", "a", "e", "c"):
        await store.insert_service(service(name))
    first = await store.list_services(None, Page(size=2))
    assert ([each.name for each in first.items], first.more, first.total) == (["a", "b"], True, 5)
    second = await store.list_services(None, Page(size=2, after="b"))
    assert ([each.name for each in second.items], second.more, second.total) == (["c", "d"], True, 5)
    last = await store.list_services(None, Page(size=2, after="d"))
    assert ([each.name for each in last.items], last.more, last.total) == (["e"], False, 5)
    skipped = await store.list_services(None, Page(size=2, skip=3))
    assert ([each.name for each in skipped.items], skipped.more, skipped.total) == (["d", "e"], False, 5)
    beyond = await store.list_services(None, Page(size=2, skip=9))
    assert (beyond.items, beyond.more, beyond.total) == ((), False, 5)


async def test_services_are_listed_by_state(store: Store) -> None:
    """Page and total count only those in the state."""
    await store.insert_service(service("a"))
    await store.insert_service(service("b", state=ServiceState.DEPRECATED))
    await store.insert_service(service("c", state=ServiceState.DEPRECATED))
    found = await store.list_services(ServiceState.DEPRECATED, Page(size=1))
    assert ([each.name for each in found.items], found.more, found.total) == (["b"], True, 2)
    rest = await store.list_services(ServiceState.DEPRECATED, Page(size=1, after="b"))
    assert ([each.name for each in rest.items], rest.more, rest.total) == (["c"], False, 2)
    assert (await store.list_services(ServiceState.INACTIVE, ALL)).items == ()


async def test_an_instance_comes_back_as_it_was(store: Store) -> None:
    """Every field survives; a second put replaces; the list is by id."""
    owner = await store.insert_service(service())
    first, second = instance(owner.id, "i-1"), instance(owner.id, "i-2", tags=(), metadata={})
    await store.put_instance(second)
    await store.put_instance(first)
    assert await store.all_instances() == (first, second)
    changed = replace(first, health=Health.CRITICAL, port=9)
    await store.put_instance(changed)
    assert await store.all_instances() == (changed, second)


async def test_an_instance_needs_its_service(store: Store) -> None:
    """One of a service that is gone is refused, new or known."""
    owner = await store.insert_service(service())
    await store.put_instance(instance(owner.id, "i-1"))
    with pytest.raises(StaleWriteError):
        await store.put_instance(instance("svc_00000000000000000000000000", "i-2"))
    with pytest.raises(StaleWriteError):
        await store.put_instance(instance("svc_00000000000000000000000000", "i-1"))
    assert await store.all_instances() == (instance(owner.id, "i-1"),)


async def test_deleting_an_instance_tells_whether_it_was_there(store: Store) -> None:
    """The first time it was, then it is not."""
    owner = await store.insert_service(service())
    await store.put_instance(instance(owner.id, "i-1"))
    assert await store.delete_instance("i-1") is True
    assert await store.delete_instance("i-1") is False
    assert await store.all_instances() == ()
