"""What the checks say of a definition is what the engine makes of it."""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.support import flows
from tests.unit.execution.world import World, new_world
from weft.core.errors import ActionFailedError
from weft.core.reasons import Reason, Rule
from weft.server.execution.history.model import ExecutionState, StepCompleted, StepFailed
from weft.server.execution.history.run import ExecutionDetails
from weft.server.workflow.model import Definition, Problem, Severity, Workflow

EXAMPLES = int(os.environ.get("WEFT_EXAMPLES", "60"))
"""How many definitions are made: thousands by hand, few in every run."""
CERTAIN = frozenset(
    {Rule.EXPRESSION_NAME_UNKNOWN, Rule.INPUT_MISSING, Rule.TYPE_MISMATCH, Rule.INPUT_UNKNOWN}
)
FORESEEN = frozenset({Reason.EXPRESSION_FAILED, Reason.VALIDATION_FAILED})


def answer(name: str) -> Any:
    return lambda _: flows.ANSWERS[name]


async def ran(definition: Definition) -> tuple[list[Problem], ExecutionDetails | None, list[Any]]:
    """Run a definition, whatever the checks say of its data."""
    async with new_world() as world:
        await world.register(*flows.ACTIONS)
        world.provider.answers = {name: answer(name) for name in flows.ANSWERS}
        world.provider.answers["bad"] = ActionFailedError("no", reason="SOLD_OUT")
        problems = list(await world.workflows.problems(definition, name="flow"))
        if any(it.severity is Severity.ERROR and it.code not in CERTAIN for it in problems):
            return problems, None, []  # its form is wrong, so that it is never run
        now = world.clock.now()
        workflow = Workflow(
            id="wf_flow",
            name="flow",
            definition=definition,
            create_time=now,
            update_time=now,
            version_create_time=now,
        )
        await world.store.insert_workflow(workflow)
        details = await run_to_its_end(world)
        events = await world.events(details.execution.id)
        return problems, details, [event.body for event in events]


async def run_to_its_end(world: World) -> ExecutionDetails:
    """Turn the clock until it has ended; what cannot be undone waits for somebody, who lets it go."""
    started = await world.start(value=flows.INPUT)
    waiting = asyncio.ensure_future(world.executions.wait(started))
    for _ in range(400):
        done, _ = await asyncio.wait({waiting}, timeout=0.02)
        if done:
            break
        if await world.state(started.id) is ExecutionState.INCIDENT:
            waiting.cancel()
            return await world.executions.get(started.id, payloads=True)
        await world.clock.advance(1)
    return await asyncio.wait_for(waiting, 5)


def steps_of(definition: Definition) -> dict[str, str]:
    """Return the id of each step by its path in the definition."""
    found: dict[str, str] = {}

    def look(steps: Any, path: str) -> None:
        for number, step in enumerate(steps):
            at = f"{path}[{number}]"
            found[at] = step.id
            for branch, body in enumerate(step.bodies):
                kind = step.kind
                inner = (
                    f"{at}.parallel.branches[{branch}].steps" if kind == "parallel" else f"{at}.{kind}.steps"
                )
                look(body, inner)

    look(definition.steps, "steps")
    look(definition.finally_steps, "finally")
    return found


def is_certain(problem: Problem) -> bool:
    """Tell whether a step that has the problem can never complete.

    Not so when it is in what undoes it, or when it names a step that is nowhere, for which it may only ask.
    """
    of_itself = problem.severity is Severity.ERROR and problem.code in CERTAIN
    asked_first = re.search(r"switch\.cases\[[1-9]", problem.path) is None  # the first case may hold before
    always = asked_first and "compensate" not in problem.path
    return of_itself and always and "there is no step" not in problem.message


def step_at(path: str, known: dict[str, str]) -> str:
    """Return the id of the step that a problem is in."""
    at = max((it for it in known if path == it or path.startswith(f"{it}.")), key=len, default="")
    return known.get(at, "")


@given(flows.flows())
@settings(
    max_examples=EXAMPLES,
    derandomize="WEFT_EXAMPLES" not in os.environ,  # what is run everywhere is the same everywhere
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
def test_checks_and_engine_agree(definition: Definition) -> None:
    """Without warnings no step fails by an expression or an input; with an error its step always does.

    None of them ends INTERNAL, or does not end.
    """
    problems, details, bodies = asyncio.run(ran(definition))
    if details is None:
        return
    told = "\n".join(f"{it.severity} {it.path} {it.code} {it.message}" for it in problems)
    failures = [body.failure for body in bodies if isinstance(body, StepFailed)]
    undone = any(step.compensate for step in definition.every_step())
    assert details.execution.state in {ExecutionState.COMPLETED, ExecutionState.FAILED} or undone, told
    assert all(failure.reason != Reason.INTERNAL for failure in failures), failures
    if not problems:
        assert not [it for it in failures if it.reason in FORESEEN and it.domain == "weft"], failures
    completed = {body.step_id.rpartition("/")[2] for body in bodies if isinstance(body, StepCompleted)}
    known = steps_of(definition)
    for problem in problems:
        if is_certain(problem):
            assert step_at(problem.path, known) not in completed, told


def test_a_path_leads_to_its_step() -> None:
    """The test above finds the steps of problems."""
    known = {"steps[0]": "a", "steps[0].map.steps[1]": "b", "steps[01]": "c"}
    assert step_at("steps[0].map.steps[1].input.x", known) == "b"
    assert step_at("steps[0].map.items", known) == "a"
    assert step_at("input_schema", known) == ""
