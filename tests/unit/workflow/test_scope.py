"""What expressions see when an execution runs them, and what a step says of an action that is gone."""

from __future__ import annotations

import pytest

from tests.unit.execution.world import SERVICE, new_world
from weft.core.context import CallContext
from weft.core.errors import ResourceNotFoundError
from weft.core.payload import loads
from weft.core.reasons import Reason
from weft.server.execution.engine.dispatch import CallIdentity, Dispatcher
from weft.server.registry.model import Action
from weft.server.workflow.model import Step


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (CallContext(), {"project": "", "request": ""}),
        (CallContext(project_id="p", request_id="r"), {"project": "p", "request": "r"}),
    ],
)
async def test_the_ids_of_the_context_are_always_there(
    context: CallContext, expected: dict[str, str]
) -> None:
    """An execution whose caller gave none sees them as empty text."""
    template = {"project": "${context.project_id}", "request": "${context.request_id}"}
    async with new_world() as world:
        await world.register(Action(name="greet"))
        await world.workflow(Step(id="greet", service=SERVICE, action="greet", input=template))
        execution = await world.start(context=context)
        await world.ended(execution.id)
        assert [loads(call.input) for call in world.provider.calls] == [expected]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gret", "'worker' has no action 'gret'; did you mean 'greet'?"),
        ("audit", "'worker' has no action 'audit'"),
    ],
)
async def test_an_action_that_is_not_there_is_told_with_a_close_name(name: str, message: str) -> None:
    """The reason stays the same; the text helps when a name is close."""
    async with new_world() as world:
        await world.register(Action(name="greet"))
        dispatcher = Dispatcher(world.registry, world.caller)
        with pytest.raises(ResourceNotFoundError) as caught:
            await dispatcher.call(SERVICE, name, lambda _: {}, CallIdentity())
        assert (caught.value.message, caught.value.reason) == (message, Reason.ACTION_NOT_FOUND)
