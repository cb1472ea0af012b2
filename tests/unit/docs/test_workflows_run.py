"""The workflows of the documentation do what the page says, over the real engine with a turned clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from tests.unit.docs.pages import called, definition, examples
from tests.unit.execution.world import Answer, World, eventually, new_world, quiet
from weft.core.errors import ActionFailedError, WeftError
from weft.core.payload import JsonObject
from weft.server.execution.history.model import EventEmitted, Execution, ExecutionState
from weft.server.execution.orders.messages import Decide, SendSignal
from weft.server.registry.model import Action
from weft.server.workflow.kinds import Child, SetVariables
from weft.server.workflow.model import Definition, Share, Step

EXAMPLES = examples()
Happening = Callable[[World, Execution], Awaitable[object]]


@dataclass(frozen=True)
class Story:
    """What is given, what happens meanwhile, and what has to come of it."""

    input: JsonObject = field(default_factory=dict)
    answers: dict[str, Answer | WeftError] = field(default_factory=dict)
    happens: Sequence[Happening] = ()
    result: JsonObject | None = None
    reason: str = ""
    calls: tuple[str, ...] | None = None


def passes(seconds: float) -> Happening:
    async def turn(world: World, _: Execution) -> None:
        await quiet()
        await world.clock.advance(seconds)

    return turn


async def is_paid(world: World, execution: Execution) -> None:
    signal = SendSignal(
        execution_id="", signal_id="1", name="payment", correlation="o-1", payload=b'{"amount":5}'
    )
    await world.executions.order(execution.id, signal)


async def is_approved(world: World, execution: Execution) -> None:
    await eventually(lambda: world.engine.open_count == 0)
    decision = Decide(execution_id="", step_id="", outcome="approved", comment="", decided_by="ann", time="")
    await world.executions.interactions.decide(execution.id, decision)


def after(count: int) -> Answer:
    """Answer that something is done once it was asked so often."""
    asked = iter(range(1, count + 1))
    return lambda _: {"done": next(asked) == count}


DAY = 86_400
DECLINED = ActionFailedError("no", reason="CARD_DECLINED")
BROKEN = ActionFailedError("no money", reason="NO_MONEY")

STORIES: dict[str, list[Story]] = {
    "document-processing": [
        Story(
            {"path": "a.txt"},
            {"extract": lambda _: {"text": "fine"}, "summarize": lambda it: {"of": it["text"]}},
            result={"of": "fine"},
        )
    ],
    "claim": [
        Story({"amount": 1500.5}, calls=("inspect", "pay")),
        Story({"amount": 20.5}, calls=("pay",)),
        Story({"amount": -1.5}, reason="NOTHING_TO_PAY", calls=()),
    ],
    "ship-all": [
        Story(
            {"orders": ["a", "b"]},
            {"pack": lambda it: {"p": it["order"]}, "send": lambda it: {"sent": it["parcel"]["p"]}},
            result={"items": [{"sent": "a"}, {"sent": "b"}], "count": 2, "failed": 0, "errors": []},
        )
    ],
    "until-done": [
        Story(
            {"id": "j"},
            {"status": after(3)},
            [passes(11)] * 3,
            result={"iterations": 3, "last": {"done": True}},
        )
    ],
    "reminder": [
        Story({"days": 2, "morning": "2020-01-01T08:00:00Z"}, {}, [passes(2 * DAY + 1)], calls=("remind",))
    ],
    "order-paid": [
        Story({"order": "o-1"}, happens=[is_paid], calls=("ship",)),
        Story({"order": "o-1"}, happens=[passes(3 * DAY + 1)], calls=("remind",)),
    ],
    "refund": [
        Story({"amount": 5, "customer": "ada", "manager": "ann"}, happens=[is_approved], calls=("pay",)),
        Story(
            {"amount": 5, "customer": "ada", "manager": "ann"},
            {},
            [passes(14 * DAY + 1)],
            reason="APPROVAL_TIMEOUT",
        ),
    ],
    "trip": [Story({"city": "Rome"}, result={"in": "Rome"}, calls=())],
    "totals": [Story({"amounts": [1, 2, 4]}, result={"total": 7}, calls=())],
    "shipped": [Story({"order": "o-1"}, result={}, calls=())],
    "check-age": [
        Story({"age": 20, "name": "Ada"}, result={"allowed": True}),
        Story({"age": 2, "name": "Ada"}, reason="TOO_YOUNG"),
    ],
    "pay": [
        Story(calls=("charge", "ship", "close")),
        Story(answers={"charge": DECLINED}, calls=("charge", "other-card", "ship", "close")),
        Story(answers={"charge": BROKEN}, calls=("charge", "tell", "close")),
    ],
    "travel": [
        Story(
            answers={"book": lambda _: {"id": "b-1"}, "charge": BROKEN},
            reason="NO_MONEY",
            calls=("hotel", "train", "pay", "undo/train", "undo/hotel"),
        )
    ],
    "rates": [Story({"currency": "EUR"}, calls=("rate", "book"))],
}


async def prepared(world: World, made: Definition) -> None:
    """Register what a definition calls, and the workflows that it runs."""
    for name, actions in called(made).items():
        await world.register(*(Action(name=it) for it in actions), service=name)
    for step in made.every_step():
        if isinstance(step.does, Child):
            inner = Step(id="in", does=SetVariables(values={"in": "${input.city}"}))
            await world.workflow(inner, name=step.does.name)
            await world.workflows.set_alias(
                step.does.name, "stable", (Share(version=1, percent=100),), "", None
            )


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, found in STORIES.items() for number in range(len(found))]
)
async def test_an_example_does_what_the_page_says(name: str, number: int, tmp_path: Path) -> None:
    """What it calls, in which order, and how it ends."""
    story = STORIES[name][number]
    made, _ = definition(EXAMPLES[name], tmp_path / "w.yaml")
    async with new_world(others=tuple(called(made))) as world:
        await prepared(world, made)
        world.provider.answers.update(story.answers)
        values = {it: getattr(made, it) for it in made.__slots__ if it != "steps"}
        await world.workflow(*made.steps, name=name, **values)
        execution = await world.start(name, story.input)
        for happens in story.happens:
            await happens(world, execution)
        details = await world.ended(execution.id)
        await world.check(execution.id)
        failure = details.execution.failure
        assert (failure.reason if failure else "") == story.reason
        assert (details.execution.state is ExecutionState.COMPLETED) is not bool(story.reason)
        if story.result is not None:
            assert orjson.loads(details.result or b"null") == story.result
        if story.calls is not None:
            assert tuple(it.removeprefix("finally/") for it in world.provider.steps()) == story.calls


async def test_the_first_offer_is_enough(tmp_path: Path) -> None:
    """The other branch is stopped."""
    made, _ = definition(EXAMPLES["offers"], tmp_path / "w.yaml")
    async with new_world(others=("shops",), hold=("find",)) as world:
        await prepared(world, made)
        world.provider.answers["near"] = lambda _: {"price": 5}
        await world.workflow(*made.steps, name="offers")
        details = await world.run("offers")
        assert orjson.loads(details.result or b"null")["offers"]["near"] == {"price": 5}
        await eventually(lambda: [call.action for call in world.provider.cancelled] == ["find"])


async def test_what_is_told_is_in_the_history(tmp_path: Path) -> None:
    """Of the example of ``emit``."""
    made, _ = definition(EXAMPLES["shipped"], tmp_path / "w.yaml")
    async with new_world() as world:
        await world.workflow(*made.steps, name="shipped")
        details = await world.run("shipped", {"order": "o-1"})
        events = await world.events(details.execution.id)
        assert [it.body.type for it in events if isinstance(it.body, EventEmitted)] == ["order.shipped"]


def test_every_example_has_a_story() -> None:
    """Whoever adds one says what it does."""
    assert set(EXAMPLES) == {*STORIES, "offers"}
