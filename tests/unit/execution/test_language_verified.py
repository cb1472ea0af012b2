"""`weft admin verify` over histories of the language: those that are whole, and those that are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.unit.execution.language import call
from tests.unit.execution.world import World, new_world
from weft.core.errors import ActionFailedError
from weft.server.admin.findings import Finding
from weft.server.admin.histories import history_findings
from weft.server.admin.verify import verify
from weft.server.execution.history.model import Event, Execution, ScopeCompleted
from weft.server.registry.model import Action
from weft.server.store.execution_codec import attribute_rows, encode_execution
from weft.server.store.seal import seal_event
from weft.server.store.sqlite import SqliteStore
from weft.server.store.sqlite.vault import SqliteVault
from weft.server.workflow.kinds import Child, Loop, Map, SetVariables
from weft.server.workflow.model import Compensation, Step


async def undone(world: World) -> Execution:
    """Run what has a map, a loop, a child, a failure, compensations and a `finally`."""
    await world.register(Action(name="a"), Action(name="undo"), Action(name="bad"))
    world.provider.answers["bad"] = ActionFailedError("no", reason="SOLD_OUT")
    undo = Compensation(action="undo")
    await world.workflow(call("k", "a", compensate=undo), name="kid")
    await world.workflow(
        Step(id="m", does=Map(items=[1, 2], steps=(call("a", "a", compensate=undo),)), next="l"),
        Step(
            id="l",
            does=Loop(until="iteration == 1", steps=(Step(id="v", does=SetVariables(values={"n": 1})),)),
            next="c",
        ),
        Step(id="c", does=Child(name="kid"), next="z"),
        call("z", "bad"),
        finally_steps=(call("f", "a"),),
    )
    return (await world.run()).execution


async def test_whole_histories_are_found_whole(tmp_path: Path) -> None:
    """Of parents, of children, and of what undoes them."""
    path = tmp_path / "weft.db"
    async with new_world(SqliteStore(path)) as world:
        assert (await undone(world)).failure is not None
        assert "undo/m[0]/a" in world.provider.steps()
    async with SqliteVault(path).snapshot() as snapshot:
        assert [finding async for finding in verify(snapshot)] == []


async def test_broken_histories_are_found() -> None:
    """An item that ends twice, an end that is missing, something after the end."""
    async with new_world() as world:
        execution = await undone(world)
        events = list(await world.events(execution.id))
    at = next(n for n, event in enumerate(events) if isinstance(event.body, ScopeCompleted))
    assert codes(execution, events) == set()
    twice = [*events[: at + 1], events[at], *events[at + 1 :]]
    assert "FOLD" in codes(execution, twice)
    assert "STATE" in codes(execution, events[:-1])
    assert "AFTER_END" in codes(execution, [*events, events[at]])


def codes(execution: Execution, events: list[Event]) -> set[str]:
    numbered = [replace_number(event, number) for number, event in enumerate(events, start=1)]
    summary = replace(execution, last_event=len(events))
    rows = [(execution.id, *seal_event(execution.id, event)) for event in numbered]
    found: list[Finding] = list(
        history_findings(execution.id, encode_execution(summary), rows, attribute_rows(summary))
    )
    return {finding.code for finding in found}


def replace_number(event: Event, number: int) -> Event:
    return Event(number, event.time, event.body)
