"""How steps run: in order, with the data they are due, and what is recorded of them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.unit.execution.world import SERVICE, World, new_world, open_executions
from weft.core.context import CallContext
from weft.core.errors import (
    ActionFailedError,
    Code,
    ConflictError,
    DeadlineExceededError,
    ExhaustedError,
    PreconditionError,
    ResourceNotFoundError,
    ServiceUnavailableError,
    ValidationError,
    WeftError,
)
from weft.core.payload import JsonObject, loads
from weft.core.reasons import Reason
from weft.server.execution.history.model import (
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    ExecutionState,
    StepCompleted,
    StepFailed,
    StepScheduled,
)
from weft.server.execution.history.step_states import StepState
from weft.server.registry.model import Action, ServiceState
from weft.server.workflow.model import Step, WorkflowState


def schema(*required: str, **properties: JsonObject) -> JsonObject:
    return {"type": "object", "properties": properties, "required": list(required)}


def _told_by(name: str, _: JsonObject) -> JsonObject:
    return {"from": name}


TEXT: JsonObject = {"type": "string"}
NUMBER: JsonObject = {"type": "integer"}


async def test_steps_run_in_order_and_the_last_output_is_the_result() -> None:
    """Each step once, one after the other; the history tells it, and the result is what came last."""
    async with new_world() as world:
        await world.chain("a", "b", "c")
        for name in "abc":
            world.provider.answers[name] = partial(_told_by, name)
        details = await world.run(value={"x": 1})
        assert world.provider.steps() == ["a", "b", "c"]
        assert details.execution.state is ExecutionState.COMPLETED
        assert details.result is not None
        assert loads(details.result) == {"from": "c"}
        events = await world.check(details.execution.id)
        assert [type(event.body) for event in events] == [
            ExecutionStarted,
            StepScheduled,
            StepCompleted,
            StepScheduled,
            StepCompleted,
            StepScheduled,
            StepCompleted,
            ExecutionCompleted,
        ]
        assert [s.state for s in details.steps] == [StepState.COMPLETED] * 3
        assert world.engine.open_count == 0


async def test_the_definitions_order_does_not_matter_but_next_does() -> None:
    """The first step in the list begins; from there ``next`` leads."""
    async with new_world() as world:
        await world.register(*(Action(name=name) for name in "abc"))
        await world.workflow(
            Step(id="one", service=SERVICE, action="a", next="two"),
            Step(id="three", service=SERVICE, action="c"),
            Step(id="two", service=SERVICE, action="b", next="three"),
        )
        await world.run()
        assert world.provider.steps() == ["one", "two", "three"]


async def test_implicit_data_flow_takes_what_the_schema_names() -> None:
    """Workflow input and all earlier outputs are merged, later values win, only named members are sent."""
    async with new_world() as world:
        await world.register(
            Action(name="a", output_schema=schema(text=TEXT, shared=TEXT)),
            Action(name="b", input_schema=schema("text", text=TEXT, shared=TEXT, language=TEXT)),
        )
        await world.workflow(
            Step(id="a", service=SERVICE, action="a", next="b"),
            Step(id="b", service=SERVICE, action="b"),
        )
        world.provider.answers["a"] = lambda _: {"text": "T", "shared": "from a", "extra": 1}
        await world.run(value={"language": "en", "shared": "from the caller", "other": True})
        assert loads(world.provider.calls[1].input) == {"text": "T", "shared": "from a", "language": "en"}


async def test_implicit_data_flow_without_a_schema_takes_everything() -> None:
    """An action that says nothing about its input is given all there is."""
    async with new_world() as world:
        await world.chain("a", "b")
        world.provider.answers["a"] = lambda _: {"y": 2}
        await world.run(value={"x": 1})
        assert [loads(call.input) for call in world.provider.calls] == [{"x": 1}, {"x": 1, "y": 2}]


async def test_explicit_input_sees_input_steps_context_and_execution() -> None:
    """A template reads the workflow's input, any earlier step's output, the context and the execution."""
    async with new_world() as world:
        await world.register(Action(name="a"), Action(name="b"))
        template: dict[str, Any] = {
            "text": '${steps["first"].text}',
            "count": "${input.count + 1}",
            "project": "${context.project_id}",
            "run": "run ${execution.id} of ${execution.workflow_name}",
            "fixed": [1, {"deep": True}],
        }
        await world.workflow(
            Step(id="first", service=SERVICE, action="a", next="second"),
            Step(id="second", service=SERVICE, action="b", input=template),
        )
        world.provider.answers["a"] = lambda _: {"text": "T"}
        execution = await world.start(value={"count": 2}, context=CallContext(project_id="p-1"))
        await world.executions.wait(execution)
        assert loads(world.provider.calls[1].input) == {
            "text": "T",
            "count": 3,
            "project": "p-1",
            "run": f"run {execution.id} of flow",
            "fixed": [1, {"deep": True}],
        }


async def test_a_step_knows_which_call_it_is() -> None:
    """Execution, workflow, step, attempt, idempotency key and context reach the provider."""
    async with new_world() as world:
        workflow = await world.chain("a")
        context = CallContext(project_id="p", request_id="r", values={"tenant": "Zoë"})
        execution = await world.start(context=context)
        await world.executions.wait(execution)
        call = world.provider.calls[0]
        assert (call.execution_id, call.workflow_id, call.step_id) == (execution.id, workflow.id, "a")
        assert (call.attempt, call.idempotency_key) == (1, f"{execution.id}/a")
        assert call.context == context


FAILURES = {
    "its own": ActionFailedError("no customer", reason="CUSTOMER_UNKNOWN", code=Code.NOT_FOUND),
    "a timeout": DeadlineExceededError("too slow", reason=Reason.ACTION_TIMEOUT),
    "unavailable": ServiceUnavailableError("worker", "broke", reason=Reason.ACTION_UNAVAILABLE),
    "too large": ExhaustedError("big", reason=Reason.ACTION_OUTPUT_TOO_LARGE),
    "a conflict": ConflictError("again", metadata={"a": "b"}),
}


@pytest.mark.parametrize("which", FAILURES)
async def test_a_failed_step_fails_the_execution(which: str) -> None:
    """The failure is recorded for the step and for the execution, whole; nothing runs after it."""
    error = FAILURES[which]
    async with new_world() as world:
        await world.chain("a", "b", "c")
        world.provider.answers["b"] = error
        details = await world.run()
        assert world.provider.steps() == ["a", "b"]
        assert details.execution.state is ExecutionState.FAILED
        assert details.result is None
        step, end = (await world.check(details.execution.id))[-2:]
        assert isinstance(step.body, StepFailed)
        assert isinstance(end.body, ExecutionFailed)
        assert step.body.failure == end.body.failure == details.execution.failure
        failure = end.body.failure
        assert (failure.reason, failure.code, failure.message) == (error.reason, error.code, error.message)
        assert failure.retryable is error.retryable
        assert step.body.instance_id == "worker-1"
        assert [s.state for s in details.steps] == [StepState.COMPLETED, StepState.FAILED]


async def _fail_on_input(world: World) -> None:
    await world.register(Action(name="a", input_schema=schema("n", n=NUMBER)))
    await world.workflow(Step(id="a", service=SERVICE, action="a"), input_schema=schema())


async def test_an_input_that_does_not_fit_is_told_from_the_input_of_the_workflow() -> None:
    """The message names service and action; the faults keep their paths."""
    async with new_world() as world:
        await _fail_on_input(world)
        failure = (await world.run()).execution.failure
        assert failure is not None
        assert failure.message == f'input of {SERVICE}.a: "n" is a required property'
        assert [it.field for it in failure.violations] == ["input"]


async def _fail_on_output(world: World) -> None:
    await world.register(Action(name="a", output_schema=schema("n", n=NUMBER)))
    await world.workflow(Step(id="a", service=SERVICE, action="a"))


async def _fail_on_expression(world: World) -> None:
    await world.register(Action(name="a"))
    await world.workflow(Step(id="a", service=SERVICE, action="a", input={"n": "${1 / int(input.zero)}"}))


async def _fail_on_removed_action(world: World) -> None:
    await world.chain("a")
    await world.register(Action(name="other"))


async def _fail_on_removed_service(world: World) -> None:
    await world.chain("a")
    await world.registry.deregister(SERVICE, "", None)


async def _fail_on_inactive_service(world: World) -> None:
    await world.chain("a")
    await world.registry.set_state(SERVICE, ServiceState.INACTIVE, "", None)


@pytest.mark.parametrize(
    ("prepare", "reason", "called"),
    [
        (_fail_on_input, Reason.VALIDATION_FAILED, 0),
        (_fail_on_output, Reason.ACTION_OUTPUT_INVALID, 1),
        (_fail_on_expression, Reason.EXPRESSION_FAILED, 0),
        (_fail_on_removed_action, Reason.ACTION_NOT_FOUND, 0),
        (_fail_on_removed_service, Reason.SERVICE_NOT_FOUND, 0),
        (_fail_on_inactive_service, Reason.SERVICE_INACTIVE, 0),
    ],
)
async def test_what_does_not_fit_fails_the_step(prepare: Any, reason: Reason, called: int) -> None:
    """Input, output, expressions and the registry are looked at when the step runs, not trusted."""
    async with new_world() as world:
        await prepare(world)
        details = await world.run(value={"zero": 0})
        assert details.execution.state is ExecutionState.FAILED
        assert details.execution.failure is not None
        assert details.execution.failure.reason == reason
        assert len(world.provider.calls) == called
        kinds = await world.kinds(details.execution.id)
        assert kinds[-2:] == ["StepFailed", "ExecutionFailed"]


async def test_a_result_that_breaks_the_workflows_schema_fails_the_execution_alone() -> None:
    """The step did its part and stays completed; the workflow's promise is what was broken."""
    async with new_world() as world:
        await world.chain("a", output_schema=schema("n", n=NUMBER))
        world.provider.answers["a"] = lambda _: {"n": "seven"}
        details = await world.run()
        assert details.execution.state is ExecutionState.FAILED
        assert details.execution.failure is not None
        assert details.execution.failure.reason == Reason.RESULT_INVALID
        assert details.execution.failure.violations
        kinds = await world.kinds(details.execution.id)
        assert kinds[-2:] == ["StepCompleted", "ExecutionFailed"]
        assert [step.state for step in details.steps] == [StepState.COMPLETED]


async def test_a_defect_of_the_engine_ends_the_execution(caplog: pytest.LogCaptureFixture) -> None:
    """Even an error that nobody planned ends the execution, as INTERNAL, rather than wedge it."""

    def explode(_: JsonObject) -> JsonObject:
        raise KeyError("planned by nobody")

    async with new_world() as world:
        await world.chain("a")
        world.provider.answers["a"] = explode
        details = await world.run()
        assert details.execution.failure is not None
        assert details.execution.failure.reason == Reason.INTERNAL
        assert "a defect of the engine" in caplog.text
        await world.check(details.execution.id)


async def test_a_step_has_its_own_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step's limit comes first, then the action's, then 60 s; it reaches the transport."""
    limits: list[float] = []
    async with new_world() as world:
        invoke = world.provider.invoke

        async def spy(endpoint: Any, call: Any, timeout: float) -> bytes | None:
            limits.append(timeout)
            return await invoke(endpoint, call, timeout)

        monkeypatch.setattr(world.provider, "invoke", spy)
        await world.register(Action(name="a", timeout=timedelta(seconds=7)), Action(name="b"))
        await world.workflow(
            Step(id="one", service=SERVICE, action="a", timeout=timedelta(seconds=3), next="two"),
            Step(id="two", service=SERVICE, action="a", next="three"),
            Step(id="three", service=SERVICE, action="b"),
        )
        await world.run()
    assert limits == [pytest.approx(3, abs=0.5), pytest.approx(7, abs=0.5), pytest.approx(60, abs=0.5)]


async def test_an_execution_keeps_its_version() -> None:
    """A change of the workflow, and its deletion, do not touch what runs already."""
    async with new_world(hold=["a"]) as world:
        first = await world.chain("a", "b")
        execution = await world.start()
        held = await world.held("a")
        await world.workflows.delete("flow", "", None)
        await world.chain("c", "a", "b")
        held.complete()
        details = await world.ended(execution.id)
        assert details.execution.state is ExecutionState.COMPLETED
        assert (details.execution.workflow_id, details.execution.workflow_version) == (first.id, 1)
        assert world.provider.steps() == ["a", "b"]


async def _unknown_workflow(world: World) -> WeftError:
    with pytest.raises(ResourceNotFoundError) as caught:
        await world.start("nothing-of-that-name")
    return caught.value


async def _inactive_workflow(world: World) -> WeftError:
    await world.chain("a")
    await world.workflows.set_state("flow", WorkflowState.INACTIVE, "", None)
    with pytest.raises(PreconditionError) as caught:
        await world.start()
    return caught.value


async def _input_that_does_not_fit(world: World) -> WeftError:
    await world.chain("a", input_schema=schema("n", n=NUMBER))
    with pytest.raises(ValidationError) as caught:
        await world.start(value={"n": "seven"})
    return caught.value


@pytest.mark.parametrize(
    ("refuse", "reason"),
    [
        (_unknown_workflow, Reason.WORKFLOW_NOT_FOUND),
        (_inactive_workflow, Reason.WORKFLOW_INACTIVE),
        (_input_that_does_not_fit, Reason.VALIDATION_FAILED),
    ],
)
async def test_what_cannot_be_started_leaves_no_trace(refuse: Any, reason: Reason) -> None:
    """A refused start says why and stores nothing."""
    async with new_world() as world:
        error = await refuse(world)
        assert error.reason == reason
        assert await open_executions(world.store) == ()
        assert world.engine.open_count == 0


async def test_the_same_request_id_starts_one_execution() -> None:
    """Forty starts at once with one key are one execution; a later one returns it as it stands."""
    async with new_world() as world:
        await world.chain("a")
        started = await asyncio.gather(*(world.start(request_id="r-1") for _ in range(40)))
        assert len({execution.id for execution in started}) == 1
        await world.executions.wait(started[0])
        later = await world.start(request_id="r-1")
        assert later.id == started[0].id
        assert later.state is ExecutionState.COMPLETED
        assert world.provider.steps() == ["a"]


async def test_a_step_is_given_the_latest_of_what_came_before() -> None:
    """The input merged with all outputs, later ones winning, also after a restart; large ones alike."""
    for size in (10, 100_000):
        async with new_world(hold=["c"]) as world:
            await world.chain("a", "b", "c")
            world.provider.answers["a"] = partial(_padded, size)
            world.provider.answers["b"] = lambda _: {"y": 3}
            execution = await world.start(value={"x": 1, "y": 1, "z": 1})
            first = await world.held("c")
            await world.restart()
            second = await world.held("c")
            for call in (first.call, second.call):
                given = {key: value for key, value in loads(call.input).items() if key != "pad"}
                assert given == {"x": 2, "y": 3, "z": 1}
            second.complete()
            assert (await world.ended(execution.id)).execution.state is ExecutionState.COMPLETED


def _padded(size: int, _: JsonObject) -> JsonObject:
    return {"x": 2, "y": 2, "pad": "p" * size}
