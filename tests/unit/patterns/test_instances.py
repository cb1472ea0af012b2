"""The control-flow patterns about many instances of the same steps: each file does what its pattern says."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.execution.world import eventually, quiet
from tests.unit.patterns.playing import Play

Player = Callable[[int], Play]


async def test_12_multiple_instances_without_synchronization(play: Player) -> None:
    """All run at the same time, and what comes next waits for none of them."""
    it = play(12)
    it.hold("send-notice")
    await it.start({"offenders": ["a", "b", "c"]})
    held = await it.running(3)
    await eventually(lambda: "archive" in it.called())
    for each in held:
        each.complete()
    await it.done()
    assert sorted(each["to"] for each in it.inputs("send-notice")) == ["a", "b", "c"]


async def test_13_multiple_instances_with_design_time_knowledge(play: Player) -> None:
    """As many as the definition says, all at the same time; what comes next waits for all."""
    it = play(13)
    it.hold("sign")
    await it.start()
    for held in await it.running(3):
        assert "publish" not in it.called()
        held.complete()
        await quiet()
    await it.done()
    assert it.called().count("publish") == 1


async def test_14_multiple_instances_with_run_time_knowledge(play: Player) -> None:
    """As many as the step before found out; what comes next waits for all."""
    it = play(14)
    it.world.provider.answers["find-engines"] = lambda _: {"engines": ["left", "right"]}
    it.hold("inspect")
    await it.start()
    first, second = await it.running(2)
    second.complete()
    await it.running(1)
    assert "report" not in it.called()
    first.complete()
    await it.done()
    assert sorted(each["engine"] for each in it.inputs("inspect")) == ["left", "right"]


async def test_15_multiple_instances_without_run_time_knowledge(play: Player) -> None:
    """More are begun while others run; all of them are waited for, and none can be begun later."""
    it = play(15)
    it.hold("move")
    await it.start()
    await it.signal("transport", part=1)
    await it.signal("transport", part=2)
    first, second = await it.running(2)
    first.complete()
    await it.running(1)
    await it.signal("transport", part=3)
    _, third = await it.running(2)
    second.complete()
    await it.world.clock.advance(3_601)
    await it.running(1)
    await it.signal("transport", part=4)
    await quiet()
    assert "invoice" not in it.called()
    third.complete()
    await it.done()
    assert [each["part"] for each in it.inputs("move")] == [1, 2, 3]
    assert it.called().count("invoice") == 1


async def test_26_cancel_multiple_instance_activity(play: Player) -> None:
    """What is not done is withdrawn, what is done stays done, and the flow goes the way of the cancelled."""
    it = play(26)
    it.hold("test")
    await it.start({"samples": [1, 2, 3]})
    first, *_ = await it.running(3)
    first.complete()
    await it.running(2)
    await it.signal("cancel")
    details = await it.done()
    await eventually(lambda: it.cancelled() == ["test", "test"])
    assert it.called()[-1] == "tell"
    states = {step.step_id: step.state.name for step in details.steps}
    assert states["tests[0]/samples[0]/test"] == "COMPLETED"
    assert states["tests[0]/samples[1]/test"] == states["tests[0]/samples[2]/test"] == "CANCELLED"


async def test_26_if_it_is_not_cancelled(play: Player) -> None:
    """It is an activity as any other."""
    it = play(26)
    await it.start({"samples": [1, 2, 3]})
    await it.done()
    assert it.called() == ["test"] * 3 + ["publish"]


async def test_27_complete_multiple_instance_activity(play: Player) -> None:
    """What is not done after the hour is withdrawn, and the flow goes on with what is done."""
    it = play(27)
    it.hold("test")
    await it.start({"samples": ["x", "y", "z"]})
    _, second, _ = await it.running(3)
    second.complete()
    await it.running(2)
    assert "evaluate" not in it.called()
    await it.world.clock.advance(3_601)
    await it.done()
    await eventually(lambda: it.cancelled() == ["test", "test"])
    assert it.inputs("evaluate") == [{"samples": ["y"]}]


async def test_34_static_partial_join_for_multiple_instances(play: Player) -> None:
    """As many as needed let the flow go on, once; the others are not stopped, and change nothing more."""
    it = play(34)
    it.hold("measure")
    await it.start({"stations": [1, 2, 3, 4], "needed": 2})
    first, second, third, fourth = await it.running(4)
    second.complete()
    await it.running(3)
    assert "forecast" not in it.called()
    fourth.complete()
    await it.done()
    await it.running(2)
    for held in (first, third):
        held.complete()
        await it.world.ended(held.call.execution_id)
    await quiet()
    assert it.called().count("forecast") == 1
    assert it.cancelled() == []


async def test_35_cancelling_partial_join_for_multiple_instances(play: Player) -> None:
    """As many as needed let the flow go on, once; the others are stopped."""
    it = play(35)
    it.hold("probe")
    await it.start({"probes": [1, 2, 3, 4], "needed": 2})
    first, _, third, _ = await it.running(4)
    third.complete()
    await it.running(3)
    assert "evaluate" not in it.called()
    first.complete()
    await it.done()
    await eventually(lambda: it.cancelled() == ["probe", "probe"])
    assert it.called().count("evaluate") == 1


async def test_35_with_fewer_than_needed(play: Player) -> None:
    """All of them are waited for then."""
    it = play(35)
    await it.start({"probes": [1], "needed": 2})
    await it.done()
    assert it.called() == ["probe", "evaluate"]


async def test_36_dynamic_partial_join_for_multiple_instances(play: Player) -> None:
    """More are begun while others run; when the condition holds it goes on, once, and no more are begun."""
    it = play(36)
    it.hold("move", "invoice")
    await it.start({"tons": 100})
    await it.signal("transport", part=1)
    await it.signal("transport", part=2)
    first, _second = await it.running(2)
    first.complete({"tons": 60})
    await it.running(1)
    await it.signal("transport", part=3)
    _, third = await it.running(2)
    assert "invoice" not in it.called()
    third.complete({"tons": 30})
    invoice = await it.one("invoice")
    await it.signal("transport", part=4)
    second, _ = await it.running(2)
    invoice.complete()
    await it.done()
    second.complete({"tons": 10})
    await it.world.ended(second.call.execution_id)
    await quiet()
    assert [each["part"] for each in it.inputs("move")] == [1, 2, 3]
    assert it.called().count("invoice") == 1
    assert it.cancelled() == []
