"""The control-flow patterns about branches and joins: each file does what its pattern says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.execution.world import eventually, quiet
from tests.unit.patterns.playing import Play
from weft.core.payload import JsonObject

Player = Callable[[int], Play]


async def test_01_sequence(play: Player) -> None:
    """A step is called when the one before it is done, and not earlier."""
    it = play(1)
    it.hold("receive", "check", "file")
    await it.start()
    for action in ("receive", "check", "file"):
        (held,) = await it.running(1)
        assert held.call.action == action
        held.complete()
    await it.done()


async def test_02_parallel_split(play: Player) -> None:
    """Both branches run at the same time."""
    it = play(2)
    it.hold("send-patrol", "call-owner")
    await it.start()
    for held in await it.running(2):
        held.complete()
    await it.done()


async def test_03_synchronization(play: Player) -> None:
    """Nothing goes on before the last branch is done; then once."""
    it = play(3)
    it.hold("write-invoice", "pack-goods")
    await it.start()
    await it.running(2)
    (await it.one("pack-goods")).complete()
    await it.running(1)
    assert "ship" not in it.called()
    (await it.one("write-invoice")).complete()
    await it.done()
    assert it.called().count("ship") == 1


@pytest.mark.parametrize(("kg", "way"), [(40, "by-truck"), (5, "by-parcel"), (1, "by-letter")])
async def test_04_exclusive_choice(play: Player, kg: int, way: str) -> None:
    """Exactly one way is taken."""
    it = play(4)
    await it.start({"kg": kg})
    await it.done()
    assert it.called() == [way]


@pytest.mark.parametrize("cash", [True, False])
async def test_05_simple_merge(play: Player, *, cash: bool) -> None:
    """Whichever way was taken, what follows runs once."""
    it = play(5)
    await it.start({"cash": cash})
    await it.done()
    assert it.called() == ["take-cash" if cash else "charge-card", "receipt"]


CHOICES = [
    ({"crime": True, "burns": True, "hurt": 1}, ["send-ambulance", "send-fire-engine", "send-police"]),
    ({"crime": False, "burns": True, "hurt": 2}, ["send-ambulance", "send-fire-engine"]),
    ({"crime": False, "burns": False, "hurt": 0}, []),
]


@pytest.mark.parametrize(("value", "sent"), CHOICES)
async def test_06_multi_choice(play: Player, value: JsonObject, sent: list[str]) -> None:
    """Each branch is taken or not by its own condition, and those that are run at the same time."""
    it = play(6)
    it.hold("send-police", "send-fire-engine", "send-ambulance")
    await it.start(value)
    held = await it.running(len(sent))
    assert it.names() == sent
    for each in held:
        each.complete()
    await it.done()


@pytest.mark.parametrize("hurt", [0, 3])
async def test_07_structured_synchronizing_merge(play: Player, hurt: int) -> None:
    """What follows waits for the branches that were taken, and for no other; and runs once."""
    it = play(7)
    it.hold("send-police", "send-ambulance")
    await it.start({"crime": True, "hurt": hurt})
    held = await it.running(2 if hurt else 1)
    for each in held:
        assert "transfer-patients" not in it.called()
        each.complete()
        await quiet()
    await it.done()
    assert it.called().count("transfer-patients") == 1


async def test_08_multi_merge(play: Player) -> None:
    """The step behind the merge runs once for each branch, also at the same time, and waits for no other."""
    it = play(8)
    it.hold("lay-foundations", "order-materials", "book-labourers", "review")
    await it.start()
    await it.running(3)
    (await it.one("order-materials")).complete()
    await it.one("review")
    (await it.one("book-labourers")).complete()
    await eventually(lambda: it.names() == ["lay-foundations", "review", "review"])
    (await it.one("lay-foundations")).complete()
    await eventually(lambda: it.names() == ["review"] * 3)
    for each in await it.running(3):
        each.complete()
    await it.done()
    assert sorted(each["of"] for each in it.inputs("review")) == ["foundations", "labourers", "materials"]


async def test_09_structured_discriminator(play: Player) -> None:
    """The first branch lets the flow go on, once; the other is not stopped, and its end changes nothing."""
    it = play(9)
    it.hold("measure")
    await it.start()
    first, second = await it.running(2)
    first.complete()
    await it.done()
    await quiet()
    assert it.world.provider.held == [second]
    second.complete()
    other = await it.world.ended(second.call.execution_id)
    assert other.execution.state.name == "COMPLETED"
    await quiet()
    assert it.called() == ["measure", "measure", "triage"]
    assert it.cancelled() == []


async def test_29_cancelling_discriminator(play: Player) -> None:
    """The first branch lets the flow go on, once; the others are stopped."""
    it = play(29)
    it.hold("lab-a", "lab-b", "lab-c")
    await it.start()
    await it.running(3)
    (await it.one("lab-b")).complete()
    await it.done()
    await eventually(lambda: it.cancelled() == ["lab-a", "lab-c"])
    assert it.called().count("review") == 1


async def test_30_structured_partial_join(play: Player) -> None:
    """The second of three lets the flow go on, once; the third is not stopped, and changes nothing."""
    it = play(30)
    it.hold("ask")
    await it.start()
    first, second, third = await it.running(3)
    second.complete()
    await it.running(2)
    assert "decide" not in it.called()
    third.complete()
    await it.done()
    await quiet()
    assert it.world.provider.held == [first]
    first.complete()
    await it.world.ended(first.call.execution_id)
    await quiet()
    assert it.called().count("decide") == 1
    assert it.cancelled() == []


async def test_32_cancelling_partial_join(play: Player) -> None:
    """The second of three lets the flow go on, once; the third is stopped."""
    it = play(32)
    it.hold("tender-a", "tender-b", "tender-c")
    await it.start()
    await it.running(3)
    (await it.one("tender-c")).complete()
    await it.running(2)
    (await it.one("tender-a")).complete()
    await it.done()
    await eventually(lambda: it.cancelled() == ["tender-b"])
    assert it.called().count("choose") == 1


async def test_41_thread_merge(play: Player) -> None:
    """So many threads of one branch become one: what follows runs once, when the last has come."""
    it = play(41)
    it.hold("repair")
    await it.start({"cars": 3})
    for held in await it.running(3):
        assert "register" not in it.called()
        held.complete()
        await quiet()
    await it.done()
    assert it.called().count("register") == 1


async def test_42_thread_split(play: Player) -> None:
    """So many threads go through the same steps, each at its own pace."""
    it = play(42)
    it.hold("sign", "stamp")
    await it.start()
    first, *_ = await it.running(3)
    first.complete()
    await eventually(lambda: it.names() == ["sign", "sign", "stamp"])
    it.world.provider.hold.clear()
    for held in await it.running(3):
        held.complete()
    await it.done()
    assert sorted(each["copy"] for each in it.inputs("stamp")) == [0, 1, 2]
