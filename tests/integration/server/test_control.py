"""What steers executions, over gRPC: pauses, incidents, reruns, keys, heartbeats and late outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import duration_pb2

from tests.integration.engine.processes import until
from tests.support.wire import JSON, Wire, payload, raw_json, refusal_of, value_in
from tests.support.world import definition, hosted, serving, step
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.api.workflow.v1 import workflow_pb2
from weft.api.workflow.v1 import workflow_service_pb2 as workflows
from weft.core.errors import Code
from weft.core.reasons import Reason
from weft.service import ActionContext, ActionFailedError, Pending, Service

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

RUNNING = execution_pb2.EXECUTION_STATE_RUNNING
PAUSED = execution_pb2.EXECUTION_STATE_PAUSED
INCIDENT = execution_pb2.EXECUTION_STATE_INCIDENT
COMPLETED = execution_pb2.EXECUTION_STATE_COMPLETED
FAILED = execution_pb2.EXECUTION_STATE_FAILED
CANCELLED = execution_pb2.EXECUTION_STATE_CANCELLED


@dataclass
class Desk:
    """A server with a service whose actions do as they are told."""

    wire: Wire
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    broken: bool = True
    runs: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    async def start(self, workflow: str, value: dict[str, Any] | None = None, **more: Any) -> str:
        request = pb.StartExecutionRequest(workflow=workflow, input=payload(value or {}), **more)
        return (await self.wire.executions.StartExecution(request)).execution.id

    async def get(self, execution: str) -> execution_pb2.Execution:
        request = pb.GetExecutionRequest(execution_id=execution, payload_kind=JSON)
        return (await self.wire.executions.GetExecution(request)).execution

    async def reaches(self, execution: str, state: execution_pb2.ExecutionState.ValueType) -> Any:
        await self.shows(execution, lambda found: found.state == state)
        return await self.get(execution)

    async def shows(self, execution: str, holds: Callable[[execution_pb2.Execution], bool]) -> None:
        async def look() -> bool:
            return holds(await self.get(execution))

        await until(look)

    async def ended(self, execution: str) -> execution_pb2.Execution:
        async with asyncio.timeout(20):
            async for _ in self.wire.executions.WatchExecution(
                pb.WatchExecutionRequest(execution_id=execution)
            ):
                pass
        return await self.get(execution)

    async def kinds(self, execution: str) -> list[str]:
        request = pb.GetExecutionHistoryRequest(execution_id=execution)
        events = (await self.wire.executions.GetExecutionHistory(request)).events
        return [event.WhichOneof("kind") or "" for event in events]

    async def token(self) -> str:
        await until(lambda: bool(self.tokens))
        return self.tokens.pop()


def desk_service(desk: Desk) -> Service:
    service = Service("desk")

    @service.action
    async def first(n: int = 0) -> dict[str, int]:
        desk.runs.append("first")
        return {"n": n + 1}

    @service.action
    async def hold() -> dict[str, bool]:
        desk.runs.append("hold")
        await desk.gate.wait()
        return {"held": True}

    @service.action
    async def fragile(n: int) -> dict[str, int]:
        desk.runs.append(f"fragile {n}")
        if desk.broken and n < 100:
            raise ActionFailedError("it broke", reason="BROKE", code=Code.UNAVAILABLE)
        return {"n": n}

    @service.action
    async def approve(context: ActionContext) -> dict[str, bool]:
        desk.tokens.append(context.attempt_token)
        raise Pending

    return service


def quick_retry(**more: Any) -> workflow_pb2.RetryPolicy:
    pause = duration_pb2.Duration(nanos=10_000_000)
    return workflow_pb2.RetryPolicy(max_attempts=2, initial_backoff=pause, **more)


@pytest_asyncio.fixture(loop_scope="module")
async def desk() -> AsyncIterator[Desk]:
    async with serving() as wire:
        desk = Desk(wire)
        async with hosted(wire, desk_service(desk)):
            fragile = step("fragile", "desk", "fragile")
            fragile.retry.CopyFrom(quick_retry())
            failing = step("fragile", "desk", "fragile")
            failing.retry.CopyFrom(quick_retry(on_exhausted=workflow_pb2.ON_EXHAUSTED_FAIL))
            first = step("first", "desk", "first", "fragile")
            for request in (
                definition("held", step("hold", "desk", "hold", "first"), step("first", "desk", "first")),
                definition("fragile", first, fragile),
                definition("failing", first, failing),
                definition("approval", step("approve", "desk", "approve")),
            ):
                await wire.workflows.CreateWorkflow(request)
            yield desk
        desk.gate.set()


async def test_a_pause_holds_the_next_step_until_the_resume(desk: Desk) -> None:
    """Twice is as good as once; what waits says for what; by key as well as by id."""
    execution = await desk.start("held", execution_key="order-7")
    await until(lambda: desk.runs == ["hold"])
    for _ in range(2):
        request = pb.PauseExecutionRequest(execution_id="order-7", reason="look")
        answer = await desk.wire.executions.PauseExecution(request)
        assert (answer.execution.id, answer.execution.state) == (execution, PAUSED)
    desk.gate.set()
    await desk.shows(execution, lambda found: found.waits_for == execution_pb2.WAIT_REASON_RESUME)
    assert [step.state for step in (await desk.get(execution)).steps] == [execution_pb2.STEP_STATE_COMPLETED]
    resume = pb.ResumeExecutionRequest(execution_id="order-7", reason="seen")
    assert (await desk.wire.executions.ResumeExecution(resume)).execution.state == RUNNING
    assert (await desk.ended(execution)).state == COMPLETED
    kinds = await desk.kinds(execution)
    assert (kinds.count("execution_paused"), kinds.count("execution_resumed")) == (1, 1)


async def test_an_incident_waits_and_is_resolved_with_another_input(desk: Desk) -> None:
    """Attempts, incident and resolution are in the history; ExecuteWorkflow waits through it."""
    execute = pb.ExecuteWorkflowRequest(workflow="fragile", input=payload({"n": 1}), execution_key="k")
    waiting = asyncio.ensure_future(desk.wire.executions.ExecuteWorkflow(execute, timeout=20))
    await until(lambda: bool(desk.runs))
    found = await desk.reaches("k", INCIDENT)
    assert found.waits_for == execution_pb2.WAIT_REASON_INCIDENT
    assert found.failure.reason == "BROKE"
    assert found.steps[1].state == execution_pb2.STEP_STATE_INCIDENT
    assert not waiting.done()
    request = pb.ResolveIncidentRequest(execution_id="k", input=payload({"n": 100}), note="more of it")
    resolved = (await desk.wire.executions.ResolveIncident(request)).execution
    assert resolved.state == RUNNING
    ended = (await waiting).execution
    assert (ended.state, value_in(ended.result, JSON)) == (COMPLETED, {"n": 100})
    assert desk.runs == ["first", "fragile 2", "fragile 2", "fragile 100"]
    kinds = await desk.kinds(ended.id)
    order = ["step_retry_scheduled", "step_scheduled", "incident_raised", "incident_resolved"]
    assert [kind for kind in kinds if kind in order][2:-1] == order


async def test_an_incident_may_end_in_failure(desk: Desk) -> None:
    """The failure is the one of the last attempt; it has no incident any more."""
    execution = await desk.start("fragile", {"n": 1})
    await desk.reaches(execution, INCIDENT)
    fail = pb.ResolveIncidentRequest(
        execution_id=execution, resolution=execution_pb2.INCIDENT_RESOLUTION_FAIL
    )
    assert (await desk.wire.executions.ResolveIncident(fail)).execution.state == FAILED
    assert (await desk.get(execution)).failure.reason == "BROKE"
    refusal = await desk.wire.refusal("ResolveIncident", fail)
    assert refusal.kind == (Code.FAILED_PRECONDITION, Reason.EXECUTION_ENDED)


async def test_a_rerun_begins_where_it_failed_and_is_one_request(desk: Desk) -> None:
    """A repeat returns the same new execution, also many at once; another content is refused."""
    old = await desk.start("failing", {"n": 1})
    assert (await desk.ended(old)).state == FAILED
    desk.broken = False
    desk.runs.clear()
    request = pb.RerunExecutionRequest(execution_id=old, request_id="again")
    answers = await asyncio.gather(*(desk.wire.executions.RerunExecution(request) for _ in range(10)))
    (new,) = {answer.execution.id for answer in answers}
    ended = await desk.ended(new)
    assert (ended.state, ended.origin.execution_id, ended.origin.from_step) == (COMPLETED, old, "fragile")
    assert desk.runs == ["fragile 2"]
    kinds = await desk.kinds(new)
    assert kinds[:3] == ["execution_started", "step_reused", "step_scheduled"]
    assert (await desk.wire.executions.RerunExecution(request)).execution.id == new
    other = pb.RerunExecutionRequest(execution_id=old, request_id="again", from_step="first")
    refusal = await desk.wire.refusal("RerunExecution", other)
    assert refusal.kind == (Code.ALREADY_EXISTS, Reason.REQUEST_ID_REUSED)
    assert (await desk.get(old)).state == FAILED


async def test_an_outcome_that_comes_later(desk: Desk) -> None:
    """One that does not fit is refused and can be mended; the second one is stale."""
    execution = await desk.start("approval")
    token = await desk.token()
    await desk.shows(execution, lambda found: found.waits_for == execution_pb2.WAIT_REASON_COMPLETION)
    beat = pb.HeartbeatAttemptRequest(attempt_token=token, details=payload({"asked": "Ada"}))
    assert not (await desk.wire.executions.HeartbeatAttempt(beat)).cancel_requested
    assert value_in((await desk.get(execution)).steps[0].progress, JSON) == {"asked": "Ada"}
    wrong = pb.CompleteAttemptRequest(attempt_token=token, output=raw_json(b'{"value": {"a": 1}, "x": []}'))
    first = await refusal_of(desk.wire.executions.CompleteAttempt(wrong))
    assert first.kind == (Code.FAILED_PRECONDITION, Reason.ACTION_OUTPUT_INVALID)
    right = pb.CompleteAttemptRequest(attempt_token=token, output=raw_json(b'{"ok": true}'))
    await desk.wire.executions.CompleteAttempt(right)
    ended = await desk.ended(execution)
    assert (ended.state, value_in(ended.result, JSON)) == (COMPLETED, {"ok": True})
    late = await desk.wire.refusal("CompleteAttempt", right)
    assert late.kind == (Code.FAILED_PRECONDITION, Reason.ATTEMPT_STALE)


async def test_a_cancelled_execution_tells_its_action_to_stop(desk: Desk) -> None:
    """By the answer to its next heartbeat; what it tells then is stale."""
    execution = await desk.start("approval")
    token = await desk.token()
    await desk.wire.executions.CancelExecution(pb.CancelExecutionRequest(execution_id=execution))
    beat = pb.HeartbeatAttemptRequest(attempt_token=token)
    assert (await desk.wire.executions.HeartbeatAttempt(beat)).cancel_requested
    done = pb.CompleteAttemptRequest(attempt_token=token, output=raw_json(b'{"ok": true}'))
    late = await desk.wire.refusal("CompleteAttempt", done)
    assert late.kind == (Code.FAILED_PRECONDITION, Reason.ATTEMPT_STALE)
    assert (await desk.get(execution)).state == CANCELLED


async def test_a_paused_workflow_holds_its_executions(desk: Desk) -> None:
    """It can be started meanwhile; those executions say what they wait for, and go on afterwards."""
    pause = workflows.SetWorkflowStateRequest(workflow="failing", state=workflow_pb2.WORKFLOW_STATE_PAUSED)
    await desk.wire.workflows.SetWorkflowState(pause)
    desk.broken = False
    execution = await desk.start("failing", {"n": 1})
    assert (await desk.get(execution)).waits_for == execution_pb2.WAIT_REASON_WORKFLOW
    await asyncio.sleep(0.3)
    assert desk.runs == []
    active = workflows.SetWorkflowStateRequest(workflow="failing", state=workflow_pb2.WORKFLOW_STATE_ACTIVE)
    await desk.wire.workflows.SetWorkflowState(active)
    assert (await desk.ended(execution)).state == COMPLETED


async def test_a_crowd_with_one_key_starts_one_execution(desk: Desk) -> None:
    """USE_EXISTING returns it to all of them; FAIL refuses all but one; the key names it everywhere."""
    policy = pb.KEY_CONFLICT_POLICY_USE_EXISTING
    starts = [desk.start("held", execution_key="k", key_conflict_policy=policy) for _ in range(40)]
    (execution,) = set(await asyncio.gather(*starts))
    assert (await desk.get("k")).id == execution
    request = pb.StartExecutionRequest(workflow="held", execution_key="other")
    outcomes = await asyncio.gather(
        *(desk.wire.executions.StartExecution(request) for _ in range(40)), return_exceptions=True
    )
    assert sum(isinstance(outcome, pb.StartExecutionResponse) for outcome in outcomes) == 1
    refusal = await desk.wire.refusal("StartExecution", request)
    assert refusal.kind == (Code.ALREADY_EXISTS, Reason.EXECUTION_EXISTS)
    assert refusal.metadata["key"] == "other"
    end = pb.StartExecutionRequest(
        workflow="held",
        execution_key="k",
        key_conflict_policy=pb.KEY_CONFLICT_POLICY_TERMINATE_EXISTING,
    )
    newer = (await desk.wire.executions.StartExecution(end)).execution.id
    assert (await desk.get(execution)).state == CANCELLED
    assert (await desk.get("k")).id == newer


async def test_what_has_no_incident_cannot_be_resolved(desk: Desk) -> None:
    """NO_INCIDENT, with the id of the execution."""
    execution = await desk.start("held")
    refusal = await desk.wire.refusal("ResolveIncident", pb.ResolveIncidentRequest(execution_id=execution))
    assert refusal.kind == (Code.FAILED_PRECONDITION, Reason.NO_INCIDENT)
    assert refusal.metadata["execution_id"] == execution
    rerun = await desk.wire.refusal("RerunExecution", pb.RerunExecutionRequest(execution_id=execution))
    assert rerun.kind == (Code.FAILED_PRECONDITION, Reason.EXECUTION_OPEN)
    desk.gate.set()
    assert (await desk.ended(execution)).state == COMPLETED
