"""What runs side by side begins when it is on the disk, not when it is in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.unit.execution.world import SERVICE, World, new_world, quiet
from weft.core.payload import JsonObject
from weft.server.execution.history.model import Event, Execution, ExecutionState, StepScheduled, StepWaiting
from weft.server.registry.model import Action
from weft.server.store.sqlite import SqliteStore
from weft.server.workflow.kinds import Branch, Child, Parallel
from weft.server.workflow.model import Step

_BRANCHES = ("p", "q", "r")


class SlowStore(SqliteStore):
    """Takes its time to write, and knows what is written."""

    def __init__(self) -> None:
        super().__init__(None)
        self.scheduled: set[str] = set()
        self.children: set[str] = set()
        self.begun: list[str] = []

    async def insert_execution(self, execution: Execution, *args: Any, **options: Any) -> Execution:
        if execution.parent.execution_id and execution.id not in self.children:
            self.begun.append(execution.id)
        return await super().insert_execution(execution, *args, **options)

    async def append_events(
        self, execution: Execution, events: Sequence[Event], *args: Any, **options: Any
    ) -> None:
        await quiet()
        await super().append_events(execution, events, *args, **options)
        bodies = [event.body for event in events]
        self.scheduled |= {body.step_id for body in bodies if isinstance(body, StepScheduled)}
        self.children |= {body.child for body in bodies if isinstance(body, StepWaiting)}


def call(step_id: str, *, following: str = "") -> Step:
    return Step(id=step_id, service=SERVICE, action="a", next=following, input={"id": step_id})


async def ended(world: World) -> None:
    details = await world.run()
    assert details.execution.state is ExecutionState.COMPLETED, details.execution.failure


async def test_an_attempt_begins_when_it_is_recorded() -> None:
    """A branch that goes on while another one is written waits until it is written itself."""
    store, early = SlowStore(), list[str]()

    def answer(value: JsonObject) -> JsonObject:
        step = str(value["id"])
        if step[1] != "0" and not any(path.endswith(f"/{step}") for path in store.scheduled):
            early.append(step)
        return {}

    async with new_world(store) as world:
        await world.register(Action(name="a"))
        world.provider.answers["a"] = answer
        branches = tuple(
            Branch(
                name=name,
                steps=(
                    call(f"{name}0", following=f"{name}1"),
                    call(f"{name}1", following=f"{name}2"),
                    call(f"{name}2"),
                ),
            )
            for name in _BRANCHES
        )
        await world.workflow(Step(id="both", does=Parallel(branches=branches)))
        await ended(world)
    assert early == []


async def test_a_child_begins_when_its_parent_has_recorded_it() -> None:
    """Else a server that dies leaves a child that its parent does not know."""
    store = SlowStore()
    async with new_world(store) as world:
        await world.register(Action(name="a"))
        await world.workflow(call("k"), name="kid")
        branches = tuple(
            Branch(
                name=name,
                steps=(call(f"{name}0", following=f"{name}1"), Step(id=f"{name}1", does=Child(name="kid"))),
            )
            for name in _BRANCHES
        )
        await world.workflow(Step(id="both", does=Parallel(branches=branches)))
        await ended(world)
    assert store.begun == []
