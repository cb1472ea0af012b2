"""ExecutionService does what its contract says, in the kind of payload that the caller uses."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest
from google.protobuf import duration_pb2

from tests.support.wire import JSON, KINDS, STRUCT, nested, payload, value_in
from tests.support.world import World, definition, hosted, step
from weft.api.common.v1 import context_pb2
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.api.registry.v1 import registry_pb2, registry_service_pb2
from weft.api.workflow.v1 import workflow_pb2, workflow_service_pb2
from weft.core.errors import Code
from weft.core.names import is_id
from weft.core.payload import PayloadKind
from weft.core.reasons import Reason
from weft.service import Service

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
HISTORY = [
    "execution_started",
    "step_scheduled",
    "step_completed",
    "step_scheduled",
    "step_completed",
    "execution_completed",
]
"""Of a workflow of two steps."""


@kinds
async def test_an_execution_runs_its_steps_and_answers_in_kind(world: World, kind: PayloadKind) -> None:
    """Input, result, steps and the id are in the answer."""
    context = context_pb2.CallContext(project_id="p", request_id="q", values={"tier": "gold"})
    call = world.wire.executions.ExecuteWorkflow(
        pb.ExecuteWorkflowRequest(workflow="shouting", input=payload({"text": "ab"}, kind), context=context)
    )
    initial = dict(await call.initial_metadata())
    execution = (await call).execution
    assert is_id(execution.id, "exe")
    assert initial.get("weft-execution-id") in {None, execution.id}
    assert execution.state == execution_pb2.EXECUTION_STATE_COMPLETED
    assert (execution.workflow_name, execution.workflow_version) == ("shouting", 1)
    assert value_in(execution.input, kind) == {"text": "ab"}
    assert value_in(execution.result, kind) == {"characters": 2}
    assert execution.context == context
    assert [(s.step_id, s.service, s.action, s.attempt) for s in execution.steps] == [
        ("shout", "texts", "shout", 1),
        ("count", "texts", "count", 1),
    ]
    assert all(s.state == execution_pb2.STEP_STATE_COMPLETED for s in execution.steps)
    assert execution.last_event_number == len(HISTORY)


async def test_who_waits_longer_is_told_which_execution_it_is(world: World) -> None:
    """The id is in the initial metadata, also of a call that ends without an answer."""
    ended = asyncio.Event()
    slow = Service("slow", version="1.0.0")

    @slow.action
    async def wait() -> dict[str, bool]:
        """Wait."""
        await ended.wait()
        return {"waited": True}

    async with hosted(world.wire, slow):
        only = workflow_pb2.Step(id="wait", service="slow", action="wait")
        await world.wire.workflows.CreateWorkflow(
            workflow_service_pb2.CreateWorkflowRequest(
                workflow=workflow_pb2.Workflow(name="slowly", steps=[only])
            )
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await world.wire.executions.ExecuteWorkflow(
                pb.ExecuteWorkflowRequest(workflow="slowly"), timeout=2
            )
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        told = str(dict(caught.value.initial_metadata())["weft-execution-id"])
        running = await world.wire.executions.GetExecution(pb.GetExecutionRequest(execution_id=told))
        assert running.execution.state == execution_pb2.EXECUTION_STATE_RUNNING
        ended.set()
        seen = [
            it
            async for it in world.wire.executions.WatchExecution(pb.WatchExecutionRequest(execution_id=told))
        ]
        assert seen[-1].state == execution_pb2.EXECUTION_STATE_COMPLETED


async def test_context_values_may_have_any_name(world: World) -> None:
    """Also those of ids and of log fields: the execution runs, and they travel as they are."""
    names = ("execution_id", "step_id", "event", "level", "message", "name", "exc_info", "self", "values")
    context = context_pb2.CallContext(request_id="q", values=dict.fromkeys(names, "mine"))
    answer = await world.wire.executions.ExecuteWorkflow(
        pb.ExecuteWorkflowRequest(workflow="shouting", input=payload({"text": "a"}, STRUCT), context=context),
        timeout=10,
    )
    assert answer.execution.state == execution_pb2.EXECUTION_STATE_COMPLETED
    assert answer.execution.context == context
    called = await world.wire.executions.ExecuteServiceAction(
        pb.ExecuteServiceActionRequest(
            service="texts", action="shout", input=payload({"text": "a"}, STRUCT), context=context
        ),
        timeout=10,
    )
    assert called.output.HasField("struct")


@kinds
async def test_a_started_execution_can_be_watched_and_read(world: World, kind: PayloadKind) -> None:
    """Start answers at once; watch, history and get tell the same story, in the kind asked for."""
    wire = world.wire.executions
    started = await wire.StartExecution(
        pb.StartExecutionRequest(workflow="shouting", input=payload({"text": "abc"}, kind))
    )
    execution_id = started.execution.id
    assert value_in(started.execution.input, kind) == {"text": "abc"}
    watched = [
        answer
        async for answer in wire.WatchExecution(
            pb.WatchExecutionRequest(execution_id=execution_id, payload_kind=kind), timeout=20
        )
    ]
    assert [answer.event.number for answer in watched] == [1, 2, 3, 4, 5, 6]
    assert [answer.event.WhichOneof("kind") for answer in watched] == HISTORY
    assert watched[-1].state == execution_pb2.EXECUTION_STATE_COMPLETED
    history = await wire.GetExecutionHistory(
        pb.GetExecutionHistoryRequest(execution_id=execution_id, payload_kind=kind)
    )
    assert list(history.events) == [answer.event for answer in watched]
    assert value_in(history.events[0].execution_started.input, kind) == {"text": "abc"}
    assert value_in(history.events[2].step_completed.output, kind) == {"text": "ABC"}
    assert value_in(history.events[5].execution_completed.result, kind) == {"characters": 3}
    read = await wire.GetExecution(pb.GetExecutionRequest(execution_id=execution_id, payload_kind=kind))
    assert value_in(read.execution.result, kind) == {"characters": 3}
    resumed = [
        answer.event.number
        async for answer in wire.WatchExecution(
            pb.WatchExecutionRequest(execution_id=execution_id, after_event_number=4), timeout=20
        )
    ]
    assert resumed == [5, 6]


async def test_views_leave_out_what_was_not_asked_for(world: World) -> None:
    """BASIC and lists have no payloads, lists no steps; unasked payloads come as Struct."""
    wire = world.wire.executions
    basic = await wire.GetExecution(
        pb.GetExecutionRequest(execution_id=world.ended, view=execution_pb2.EXECUTION_VIEW_BASIC)
    )
    assert not basic.execution.HasField("input")
    assert not basic.execution.HasField("result")
    assert len(basic.execution.steps) == 2
    full = await wire.GetExecution(pb.GetExecutionRequest(execution_id=world.ended))
    assert value_in(full.execution.input, STRUCT) == {"text": "ab"}
    listed = await wire.ListExecutions(pb.ListExecutionsRequest(page_size=1_000))
    (found,) = [execution for execution in listed.executions if execution.id == world.ended]
    assert not found.HasField("input")
    assert len(found.steps) == 0


@kinds
async def test_an_action_is_called_directly_and_answers_in_kind(world: World, kind: PayloadKind) -> None:
    """Schemas are enforced, the instance that ran it is named, and nothing is recorded."""
    before = await world.wire.state()
    answer = await world.wire.executions.ExecuteServiceAction(
        pb.ExecuteServiceActionRequest(
            service="texts", action="shout", input=payload({"text": "a", "times": 3}, kind)
        )
    )
    assert value_in(answer.output, kind) == {"text": "AAA"}
    assert answer.instance_id == "texts-1"
    assert await world.wire.state() == before


async def test_a_payload_of_the_full_depth_can_be_read_in_either_kind(world: World) -> None:
    """32 levels go in as JSON text and come out of every answer as Struct, and the other way round."""
    wire = world.wire
    await wire.workflows.CreateWorkflow(
        definition("deep", step("a", "texts", "count", mapping={"text": "${ 'x' }"}))
    )
    for given in KINDS.values():
        ran = await wire.executions.ExecuteWorkflow(
            pb.ExecuteWorkflowRequest(workflow="deep", input=payload(nested(32), given))
        )
        for kind in KINDS.values():
            execution_id = ran.execution.id
            history = await wire.executions.GetExecutionHistory(
                pb.GetExecutionHistoryRequest(execution_id=execution_id, payload_kind=kind)
            )
            assert value_in(history.events[0].execution_started.input, kind) == nested(32)
            first = await wire.call(
                "WatchExecution", pb.WatchExecutionRequest(execution_id=execution_id, payload_kind=kind)
            )
            assert first.event == history.events[0]


async def test_large_integers_are_exact_as_json(world: World) -> None:
    """JSON text keeps integers beyond 2^53; only the kind Struct rounds them."""
    wire = world.wire
    await wire.workflows.CreateWorkflow(
        definition("exact", step("a", "texts", "count", mapping={"text": "${ string(input.n) }"}))
    )
    ran = await wire.executions.ExecuteWorkflow(
        pb.ExecuteWorkflowRequest(workflow="exact", input=payload({"n": 2**53 + 1}))
    )
    assert value_in(ran.execution.input, JSON) == {"n": 2**53 + 1}
    assert value_in(ran.execution.result, JSON) == {"characters": 16}


async def test_the_version_asked_for_is_the_one_that_runs(world: World) -> None:
    """An old version can be started; without a number it is the latest."""
    wire = world.wire
    await wire.workflows.CreateWorkflow(
        definition("moving", step("a", "texts", "count", mapping={"text": "1"}))
    )
    await wire.workflows.UpdateWorkflow(
        workflow_service_pb2.UpdateWorkflowRequest(
            workflow=workflow_pb2.Workflow(
                id="moving", steps=[step("a", "texts", "count", mapping={"text": "22"})]
            )
        )
    )
    for version, runs, characters in ((0, 2, 2), (1, 1, 1), (2, 2, 2)):
        ran = await wire.executions.ExecuteWorkflow(
            pb.ExecuteWorkflowRequest(workflow="moving", version=version, input=payload({}))
        )
        assert ran.execution.workflow_version == runs
        assert value_in(ran.execution.result, JSON) == {"characters": characters}


async def test_a_cancelled_execution_stays_cancelled(world: World) -> None:
    """Cancel ends it for good, with the reason in the history; a repeat returns it as it is."""
    wire = world.wire
    await wire.registry.RegisterService(
        registry_service_pb2.RegisterServiceRequest(
            service=registry_pb2.Service(name="nobody", actions=[registry_pb2.Action(name="act")])
        )
    )
    await wire.workflows.CreateWorkflow(definition("stuck", step("a", "nobody", "act")))
    started = await wire.executions.StartExecution(pb.StartExecutionRequest(workflow="stuck"))
    cancel = pb.CancelExecutionRequest(execution_id=started.execution.id, reason="no need", request_id="once")
    ended = (await wire.executions.CancelExecution(cancel)).execution
    assert ended.state == execution_pb2.EXECUTION_STATE_CANCELLED
    assert (ended.failure.reason, ended.failure.code) == (Reason.EXECUTION_CANCELLED, Code.CANCELLED)
    assert [s.state for s in ended.steps] == [execution_pb2.STEP_STATE_CANCELLED]
    assert (await wire.executions.CancelExecution(cancel)).execution == ended
    history = await wire.executions.GetExecutionHistory(
        pb.GetExecutionHistoryRequest(execution_id=started.execution.id)
    )
    assert history.events[-1].execution_cancelled.reason == "no need"


async def test_an_execution_that_takes_too_long_is_timed_out(world: World) -> None:
    """The timeout of the request bounds the whole; the answer is a state, not an error."""
    await world.wire.registry.RegisterService(
        registry_service_pb2.RegisterServiceRequest(
            service=registry_pb2.Service(name="absent", actions=[registry_pb2.Action(name="act")])
        )
    )
    await world.wire.workflows.CreateWorkflow(definition("hopeless", step("a", "absent", "act")))
    ran = await world.wire.executions.ExecuteWorkflow(
        pb.ExecuteWorkflowRequest(workflow="hopeless", timeout=duration_pb2.Duration(nanos=50_000_000)),
        timeout=20,
    )
    assert ran.execution.state == execution_pb2.EXECUTION_STATE_TIMED_OUT
    assert ran.execution.failure.reason == Reason.EXECUTION_TIMEOUT


async def test_executions_of_a_deleted_workflow_stay_readable(world: World) -> None:
    """Get and history work; the list finds them by the id of the workflow."""
    wire = world.wire
    created = await wire.workflows.CreateWorkflow(
        definition("fleeting", step("a", "texts", "count", mapping={"text": "abc"}))
    )
    ran = await wire.executions.ExecuteWorkflow(pb.ExecuteWorkflowRequest(workflow="fleeting"))
    await wire.workflows.DeleteWorkflow(workflow_service_pb2.DeleteWorkflowRequest(workflow="fleeting"))
    read = await wire.executions.GetExecution(pb.GetExecutionRequest(execution_id=ran.execution.id))
    assert value_in(read.execution.result, STRUCT) == {"characters": 3}
    listed = await wire.executions.ListExecutions(pb.ListExecutionsRequest(workflow=created.workflow.id))
    assert [execution.id for execution in listed.executions] == [ran.execution.id]
