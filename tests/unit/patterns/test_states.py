"""The control-flow patterns about state, triggers, cycles and ends: each file does what its pattern says."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from tests.unit.execution.world import eventually, quiet
from tests.unit.patterns.playing import Play
from weft.server.execution.history.model import ExecutionState

Player = Callable[[int], Play]


async def test_11_implicit_termination(play: Player) -> None:
    """It ends when the last branch has nothing left to do, and not before."""
    it = play(11)
    it.hold("clean")
    await it.start()
    (held,) = await it.running(1)
    assert it.called() == ["tell", "repair", "clean"]
    assert await it.world.state(it.id) is ExecutionState.RUNNING
    held.complete()
    await it.done()


@pytest.mark.parametrize(
    ("first", "other", "way"), [("accept", "decline", "book"), ("decline", "accept", "refund")]
)
async def test_16_deferred_choice_by_messages(play: Player, first: str, other: str, way: str) -> None:
    """The first message chooses; from then on the other one means nothing."""
    it = play(16)
    it.hold(way)
    await it.start()
    await it.asleep()
    await it.signal(first)
    (held,) = await it.running(1)
    await it.signal(other)
    await quiet()
    held.complete()
    await it.done()
    assert it.called() == [way]


async def test_16_deferred_choice_by_time(play: Player) -> None:
    """Nothing chose before the time was over."""
    it = play(16)
    await it.start()
    await it.asleep()
    await it.world.clock.advance(2 * 86_400 + 1)
    await it.done()
    assert it.called() == ["remind"]


@pytest.mark.parametrize("order", [["pick", "pack", "invoice"], ["pick", "invoice", "pack"]])
async def test_17_interleaved_parallel_routing(play: Player, order: list[str]) -> None:
    """Each once, packing behind picking, and never two at the same time; the rest is left to the moment."""
    it = play(17)
    it.hold("work")
    await it.start()
    seen = []
    for _ in range(3):
        (held,) = await it.running(1)
        seen.append(orjson.loads(held.call.input)["task"])
        held.complete()
    await it.done()
    assert sorted(seen) == ["invoice", "pack", "pick"]
    assert seen.index("pick") < seen.index("pack")
    assert it.called().count("send") == 1


async def test_18_milestone(play: Player) -> None:
    """Who asks before the opening waits for it, then is enrolled; who asks after the closing is not, ever."""
    it = play(18)
    it.hold("prepare", "timetable")
    await it.start()
    await it.one("prepare")
    await it.signal("student", name="early")
    await quiet()
    await it.world.clock.advance(120)
    assert "enrol" not in it.called()
    (await it.one("prepare")).complete()
    await quiet()
    await it.world.clock.advance(60)
    await eventually(lambda: "enrol" in it.called())
    await it.signal("student", name="in time")
    await eventually(lambda: it.called().count("enrol") == 2)
    assert "timetable" not in it.called()
    await it.signal("close")
    timetable = await it.one("timetable")
    await it.signal("student", name="late")
    await quiet()
    timetable.complete()
    await it.done()
    assert [each["name"] for each in it.inputs("enrol")] == ["early", "in time"]


async def test_19_cancel_activity(play: Player) -> None:
    """It is stopped while it runs, and the flow goes on."""
    it = play(19)
    it.hold("assess-damage")
    await it.start()
    await it.running(1)
    await it.signal("withdraw")
    await it.done()
    await eventually(lambda: it.cancelled() == ["assess-damage"])
    assert it.inputs("close") == [{"withdrawn": True}]


async def test_19_if_it_is_not_cancelled(play: Player) -> None:
    """It is a step as any other."""
    it = play(19)
    await it.start()
    await it.done()
    assert it.inputs("close") == [{"withdrawn": False}]


async def test_20_cancel_case(play: Player) -> None:
    """All that runs is stopped, also in children, and nothing is begun any more."""
    it = play(20)
    it.hold("check-income", "offer")
    await it.start()
    await it.running(2)
    child = (await it.one("offer")).call.execution_id
    await it.world.executions.cancel(it.id, "changed her mind")
    assert (await it.world.ended(it.id)).execution.state is ExecutionState.CANCELLED
    assert (await it.world.ended(child)).execution.state is ExecutionState.CANCELLED
    await eventually(lambda: it.cancelled() == ["check-income", "offer"])
    assert "sign" not in it.called()


@pytest.mark.parametrize(("litres", "pours"), [(0, 0), (2, 2)])
async def test_21_structured_loop(play: Player, litres: int, pours: int) -> None:
    """``while`` may run not at all, ``until`` runs at least once."""
    it = play(21)
    poured = iter(range(1, 10))
    left = iter([1, 0])
    it.world.provider.answers["pour"] = lambda _: {"litres": next(poured)}
    it.world.provider.answers["drain"] = lambda _: {"litres": next(left)}
    await it.start({"litres": litres})
    await it.done()
    assert it.called() == ["pour"] * pours + ["drain"] * 2


async def test_22_recursion(play: Player) -> None:
    """Each leaf of the tree is reached, through executions of the same workflow."""
    it = play(22)
    wheel = {"name": "wheel", "parts": [{"name": "rim", "parts": []}, {"name": "tyre", "parts": []}]}
    await it.start({"name": "cart", "parts": [wheel, {"name": "bed", "parts": []}]})
    await it.done()
    assert sorted(each["name"] for each in it.inputs("weigh")) == ["bed", "rim", "tyre"]
    assert len({call.workflow_id for call in it.world.provider.calls}) == 1
    assert len({call.execution_id for call in it.world.provider.calls}) == 3


@pytest.mark.parametrize("early", [True, False])
async def test_24_persistent_trigger(play: Player, *, early: bool) -> None:
    """The message starts what waits for it, also when it came before."""
    it = play(24)
    it.hold("welcome")
    await it.start()
    held = await it.one("welcome")
    if early:
        await it.signal("badge-ready", number=7)
    held.complete()
    if not early:
        await it.asleep()
        assert "induct" not in it.called()
        await it.signal("badge-ready", number=7)
    await it.done()
    assert it.inputs("induct") == [{"badge": 7}]


async def test_39_critical_section(play: Player) -> None:
    """What is before the sections runs at the same time; one section begins when the other is over."""
    it = play(39)
    it.hold("find-flight", "find-hotel", "take", "pay")
    await it.start()
    for held in await it.running(2):
        held.complete()
    seen = []
    for _ in range(4):
        (held,) = await it.running(1)
        seen.append((held.call.action, orjson.loads(held.call.input)["for"]))
        held.complete()
    await it.done()
    assert [action for action, _ in seen] == ["take", "pay", "take", "pay"]
    assert seen[0][1] == seen[1][1] != seen[2][1] == seen[3][1]


async def test_40_interleaved_routing(play: Player) -> None:
    """Each once, never two at the same time; then it goes on."""
    it = play(40)
    it.hold("work")
    await it.start()
    seen = []
    for _ in range(3):
        (held,) = await it.running(1)
        assert "report" not in it.called()
        seen.append(orjson.loads(held.call.input)["task"])
        held.complete()
    await it.done()
    assert sorted(seen) == ["check-oil", "examine-main-unit", "test-feeder"]


async def test_43_explicit_termination(play: Player) -> None:
    """The execution ends COMPLETED at that step, and what else runs is stopped."""
    it = play(43)
    it.hold("search-north", "search-south")
    await it.start()
    await it.running(2)
    (await it.one("search-south")).complete({"found": True})
    details = await it.done()
    assert details.result == b'{"where":"south"}'
    await eventually(lambda: it.cancelled() == ["search-north"])
