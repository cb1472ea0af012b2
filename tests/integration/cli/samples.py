"""Messages that servers answer with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from weft.api.common.v1 import failure_pb2, payload_pb2
from weft.api.execution.v1 import execution_pb2, execution_service_pb2
from weft.api.registry.v1 import registry_pb2, registry_service_pb2
from weft.api.workflow.v1 import workflow_pb2, workflow_service_pb2
from weft.core.payload import dumps, to_struct

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
EXECUTION = "exe_01k0000000000000000000000a"


def payload(value: dict[str, Any]) -> payload_pb2.Payload:
    return payload_pb2.Payload(json=dumps(value))


def service(name: str = "sentiment", **values: Any) -> registry_pb2.Service:
    found = registry_pb2.Service(
        id="svc_01k0000000000000000000000a",
        name=name,
        state=registry_pb2.SERVICE_STATE_ACTIVE,
        revision=3,
        etag="r3",
        **values,
    )
    found.actions.add(
        name="analyze",
        description="Rate a text.",
        input_schema=payload({"type": "object", "properties": {"text": {}}, "required": ["text"]}),
    )
    found.metadata.CopyFrom(to_struct({"team": "nlp"}))
    found.update_time.FromDatetime(START)
    return found


def instance(**values: Any) -> registry_pb2.Instance:
    return registry_pb2.Instance(
        id="ins-1",
        service="sentiment",
        host="127.0.0.1",
        port=9000,
        health=registry_pb2.HEALTH_STATE_PASSING,
        **values,
    )


def services(*found: registry_pb2.Service, token: str = "", total: int = 0) -> Any:
    return registry_service_pb2.ListServicesResponse(
        services=found, next_page_token=token, total_size=total or len(found)
    )


def workflow(name: str = "greet", **values: Any) -> workflow_pb2.Workflow:
    found = workflow_pb2.Workflow(
        id="wf_01k0000000000000000000000a",
        name=name,
        state=workflow_pb2.WORKFLOW_STATE_ACTIVE,
        version=2,
        etag="r5",
        **values,
    )
    found.steps.add(id="first", service="hello", action="say", next="second")
    found.steps.add(id="second", service="hello", action="shout", input=payload({"text": "${ input.a }"}))
    found.update_time.FromDatetime(START)
    return found


def workflow_answer(kind: Any, **values: Any) -> Any:
    return kind(workflow=workflow(**values))


def execution(
    state: execution_pb2.ExecutionState.ValueType = execution_pb2.EXECUTION_STATE_COMPLETED,
) -> execution_pb2.Execution:
    found = execution_pb2.Execution(
        id=EXECUTION,
        workflow_id="wf_01k0000000000000000000000a",
        workflow_name="greet",
        workflow_version=2,
        state=state,
        input=payload({"name": "Ada"}),
        last_event_number=6,
    )
    found.create_time.FromDatetime(START)
    if state == execution_pb2.EXECUTION_STATE_COMPLETED:
        found.result.CopyFrom(payload({"greeting": "Hello, Ada", "score": 0.5}))
    elif state != execution_pb2.EXECUTION_STATE_RUNNING:
        found.failure.CopyFrom(failure())
    step = found.steps.add(
        step_id="first", service="hello", action="say", state=execution_pb2.STEP_STATE_COMPLETED, attempt=1
    )
    step.schedule_time.FromDatetime(START)
    step.end_time.FromDatetime(START + timedelta(milliseconds=250))
    return found


def failure() -> failure_pb2.Failure:
    found = failure_pb2.Failure(reason="NO_VOICE", message="the throat is sore", code=10)
    found.violations.add(field="text", description="is too loud", reason="SCHEMA_MISMATCH")
    return found


def event(number: int, **kind: Any) -> execution_pb2.Event:
    found = execution_pb2.Event(number=number, **kind)
    found.time.FromDatetime(START + timedelta(milliseconds=100 * number))
    return found


def history(*, fails: bool = False) -> list[execution_pb2.Event]:
    found = [
        event(1, execution_started=execution_pb2.ExecutionStarted(input=payload({"name": "Ada"}))),
        event(2, step_scheduled=execution_pb2.StepScheduled(step_id="first", attempt=1)),
        event(3, step_completed=execution_pb2.StepCompleted(step_id="first", attempt=1, output=payload({}))),
        event(
            4, step_scheduled=execution_pb2.StepScheduled(step_id="second", attempt=2, cause="server restart")
        ),
    ]
    if fails:
        found.append(
            event(5, step_failed=execution_pb2.StepFailed(step_id="second", attempt=2, failure=failure()))
        )
        found.append(event(6, execution_failed=execution_pb2.ExecutionFailed(failure=failure())))
    else:
        found.append(
            event(
                5, step_completed=execution_pb2.StepCompleted(step_id="second", attempt=2, output=payload({}))
            )
        )
        result = payload({"greeting": "Hello, Ada", "score": 0.5})
        found.append(event(6, execution_completed=execution_pb2.ExecutionCompleted(result=result)))
    return found


def watched(events: list[execution_pb2.Event], state: execution_pb2.ExecutionState.ValueType) -> list[Any]:
    """Return what a watch sends: RUNNING, and the final state with the last event."""
    running = execution_pb2.EXECUTION_STATE_RUNNING
    states = [running] * (len(events) - 1) + [state]
    return [
        execution_service_pb2.WatchExecutionResponse(event=item, state=now)
        for item, now in zip(events, states, strict=True)
    ]


def problem(**values: Any) -> workflow_service_pb2.ValidateWorkflowResponse:
    return workflow_service_pb2.ValidateWorkflowResponse(problems=[workflow_pb2.Problem(**values)])
