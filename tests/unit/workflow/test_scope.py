"""What expressions see when an execution runs them."""

from __future__ import annotations

import pytest

from tests.unit.execution.world import SERVICE, new_world
from weft.core.context import CallContext
from weft.core.payload import loads
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
