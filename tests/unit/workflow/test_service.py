"""The use cases of workflows over a real registry and store: what is looked up, and what a miss says."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.workflow.builders import NOW, action, service, step
from weft.core.errors import ResourceNotFoundError, ValidationError
from weft.core.reasons import Reason, Rule
from weft.core.testing import ManualClock
from weft.server.registry.model import Action
from weft.server.registry.service import RegistryService
from weft.server.store.base import Store
from weft.server.store.sqlite import SqliteStore
from weft.server.workflow.kinds import Child, Loop, Succeed
from weft.server.workflow.model import Compensation, Definition, Step, Workflow
from weft.server.workflow.service import WorkflowService


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = SqliteStore(tmp_path / "weft.db", ManualClock())
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def registry(store: Store) -> RegistryService:
    return RegistryService(store, ManualClock())


@pytest.fixture
def workflows(store: Store, registry: RegistryService) -> WorkflowService:
    return WorkflowService(store, registry.find, ManualClock(), service_names=registry.names)


async def register(registry: RegistryService, name: str, *actions: Action) -> None:
    await registry.register(service(name, *actions), replace_existing=True, key=None)


def calls(name: str) -> Definition:
    return Definition(steps=(Step(id="a", service=name, action="greet"),))


async def test_a_service_that_is_not_there_is_looked_for_in_the_whole_registry(
    registry: RegistryService, workflows: WorkflowService
) -> None:
    """The name that is meant is suggested, also when the workflow names no other service."""
    for name in ("audit", "greeter", "zebra"):
        await register(registry, name, action("greet"))
    (close,) = await workflows.problems(calls("greter"))
    assert close.hint == "did you mean 'greeter'?"
    (far,) = await workflows.problems(calls("qqq"))
    assert far.hint == "known: audit, greeter, zebra"


async def test_every_name_of_a_large_registry_is_looked_at(
    registry: RegistryService, workflows: WorkflowService
) -> None:
    """The registry is read page by page to its end."""
    for number in range(520):
        await register(registry, f"service-{number:03}")
    await register(registry, "zebra-crossing")
    (problem,) = await workflows.problems(calls("zebra-crosing"))
    assert problem.hint == "did you mean 'zebra-crossing'?"


async def test_a_service_that_does_not_exist_is_told_with_a_close_name(registry: RegistryService) -> None:
    """Whoever asks for it by a name; nothing is suggested for an id or where nothing is close."""
    await register(registry, "greeter")
    for asked in (registry.get("greter"), registry.deregister("greter", "", None)):
        with pytest.raises(ResourceNotFoundError) as caught:
            await asked
        assert caught.value.message == "service 'greter' does not exist; did you mean 'greeter'?"
        assert caught.value.reason == Reason.SERVICE_NOT_FOUND
        assert caught.value.resource_id == "greter"
    for other in ("audit", "svc_" + "0" * 26):
        with pytest.raises(ResourceNotFoundError) as caught:
            await registry.get(other)
        assert caught.value.message == f"service {other!r} does not exist"


async def test_a_close_name_is_found_in_a_large_registry(registry: RegistryService) -> None:
    """Among many, those that begin alike are looked at."""
    for number in range(120):
        await register(registry, f"audit-{number:03}")
    await register(registry, "greeter")
    with pytest.raises(ResourceNotFoundError, match="did you mean 'greeter'"):
        await registry.get("greter")


async def test_a_workflow_that_does_not_exist_is_told_with_a_close_name(
    registry: RegistryService, workflows: WorkflowService
) -> None:
    """Reading, changing and deleting say the same."""
    await register(registry, "s", action("a"))
    draft = Workflow(
        id="",
        name="hello",
        definition=Definition(steps=(step("a"),)),
        create_time=NOW,
        update_time=NOW,
        version_create_time=NOW,
    )
    await workflows.create(draft, None)
    for asked in (workflows.get("helo"), workflows.delete("helo", "", None), workflows.resolve_id("helo")):
        with pytest.raises(ResourceNotFoundError) as caught:
            await asked
        assert caught.value.message == "workflow 'helo' does not exist; did you mean 'hello'?"
        assert caught.value.reason == Reason.WORKFLOW_NOT_FOUND


async def test_actions_that_a_new_registration_removes_are_logged(
    registry: RegistryService, caplog: pytest.LogCaptureFixture
) -> None:
    """Two programs under one name replace each other's actions; the log tells which are gone."""
    caplog.set_level(logging.WARNING, "weft.server.registry")
    await register(registry, "greeter", action("greet"), action("shout"), action("ask"))
    await register(registry, "greeter", action("greet"), action("shout"), action("ask"), action("more"))
    assert caplog.messages == []
    await register(registry, "greeter", action("greet"))
    (message,) = caplog.messages
    assert message.startswith("service greeter was registered again without its actions ask, more, shout;")


def runs(name: str, step_id: str = "run", **rest: Any) -> Step:
    return Step(id=step_id, does=Child(name=name, **rest))


def draft(name: str, *steps: Step) -> Workflow:
    return Workflow(
        id="",
        name=name,
        definition=Definition(steps=steps),
        create_time=NOW,
        update_time=NOW,
        version_create_time=NOW,
    )


def done() -> Step:
    return Step(id="done", does=Succeed())


async def test_workflows_that_a_definition_runs_are_looked_up(workflows: WorkflowService) -> None:
    """By name, version and alias, at any depth; the name that is meant is suggested."""
    await workflows.create(draft("book", done()), None)
    inner = Step(id="again", does=Loop(until="true", steps=(runs("bok"),)), next="two")
    definition = Definition(steps=(inner, runs("book", "two", version=2)))
    first, second = await workflows.problems(definition)
    assert (first.path, first.hint) == ("steps[0].loop.steps[0].workflow.name", "did you mean 'book'?")
    assert (second.path, second.code) == ("steps[1].workflow.version", Rule.WORKFLOW_UNKNOWN)
    assert await workflows.problems(Definition(steps=(runs("book", version=1),))) == ()


async def test_a_workflow_that_would_run_itself_is_not_stored(workflows: WorkflowService) -> None:
    """Neither when it is created, nor when a change of another one closes the circle."""
    with pytest.raises(ValidationError) as caught:
        await workflows.create(draft("me", runs("me")), None)
    assert [it.reason for it in caught.value.violations] == [Rule.WORKFLOW_ENDLESS]
    await workflows.create(draft("one", done()), None)
    await workflows.create(draft("two", runs("one")), None)
    with pytest.raises(ValidationError, match="one → two → one"):
        await workflows.update(
            "one", "", lambda old: replace(old, definition=Definition(steps=(runs("two"),))), None
        )


async def test_services_in_bodies_and_of_compensations_are_looked_up(
    registry: RegistryService, workflows: WorkflowService
) -> None:
    """Whatever the depth."""
    await register(registry, "s", action("a"))
    await register(registry, "t", action("undo"))
    call = step("a", compensate=Compensation(service="t", action="undo"))
    deep = Step(id="again", does=Loop(until="true", steps=(call,)))
    assert await workflows.problems(Definition(steps=(deep,))) == ()
