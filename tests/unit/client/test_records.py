from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.message import Message

from weft.api.common.v1 import failure_pb2, payload_pb2
from weft.api.execution.v1 import execution_pb2
from weft.api.registry.v1 import registry_pb2, registry_service_pb2
from weft.api.workflow.v1 import workflow_pb2
from weft.client import records
from weft.client._reading.definition import record
from weft.client._reading.events import event as read_event
from weft.client._reading.execution import failure as read_failure
from weft.client._reading.registry import service as read_service
from weft.client._writing import fields as write
from weft.client._writing.workflow import DEFINITION
from weft.client._writing.workflow import workflow as written
from weft.client.records import Execution, Failure, Page, Service, Step, StepRetry, Workflow
from weft.core.context import CallContext
from weft.core.errors import Code, Violation

PAIRS: list[tuple[type[Message], type]] = [
    (registry_pb2.Service, records.Service),
    (registry_pb2.ServiceVersion, records.ServiceVersion),
    (registry_pb2.Action, records.Action),
    (registry_pb2.Instance, records.Instance),
    (registry_pb2.ServiceHealth, records.ServiceHealth),
    (registry_pb2.DependencyHealth, records.DependencyHealth),
    (registry_service_pb2.GetIntegrationHealthResponse, records.IntegrationHealth),
    (workflow_pb2.Workflow, records.Workflow),
    (workflow_pb2.Step, records.Step),
    (workflow_pb2.Problem, records.Problem),
    (workflow_pb2.RetryPolicy, records.StepRetry),
    (workflow_pb2.Concurrency, records.Concurrency),
    (workflow_pb2.StepDefaults, records.StepDefaults),
    (workflow_pb2.ErrorHandler, records.ErrorHandler),
    (workflow_pb2.Compensation, records.Compensation),
    (workflow_pb2.Cache, records.StepCache),
    (workflow_pb2.StepLimit, records.StepLimit),
    (workflow_pb2.SwitchStep, records.SwitchStep),
    (workflow_pb2.SwitchCase, records.SwitchCase),
    (workflow_pb2.ParallelStep, records.ParallelStep),
    (workflow_pb2.Branch, records.Branch),
    (workflow_pb2.MapStep, records.MapStep),
    (workflow_pb2.LoopStep, records.LoopStep),
    (workflow_pb2.WaitStep, records.WaitStep),
    (workflow_pb2.SignalStep, records.SignalStep),
    (workflow_pb2.ApprovalStep, records.ApprovalStep),
    (workflow_pb2.ChildStep, records.ChildStep),
    (workflow_pb2.EmitStep, records.EmitStep),
    (workflow_pb2.FailStep, records.FailStep),
    (workflow_pb2.SucceedStep, records.SucceedStep),
    (execution_pb2.Origin, records.Origin),
    (execution_pb2.Execution, records.Execution),
    (execution_pb2.StepExecution, records.StepExecution),
    (failure_pb2.Failure, records.Failure),
]


@pytest.mark.parametrize(("message", "record"), PAIRS, ids=[pair[1].__name__ for pair in PAIRS])
def test_records_have_the_fields_of_their_messages(message: type[Message], record: type) -> None:
    """A field that the contract gains does not get lost on the way."""
    extra = {Workflow: {"warnings"}, Service: {"broken"}}.get(record, set())
    names = {f.name.rstrip("_") for f in dataclasses.fields(record)}
    assert names - extra == set(message.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize(
    ("message", "table", "output_only"),
    [
        (registry_pb2.Action, write.ACTION, set()),
        (
            registry_pb2.Service,
            write.SERVICE,
            {"id", "state", "revision", "etag", "create_time", "update_time", "other_versions"},
        ),
        (
            workflow_pb2.Workflow,
            DEFINITION,
            {
                "id",
                "state",
                "version",
                "etag",
                "create_time",
                "update_time",
                "version_create_time",
                "aliases",
            },
        ),
        (
            registry_pb2.Instance,
            write.INSTANCE,
            {"service", "health", "health_note", "register_time", "heartbeat_time"},
        ),
    ],
)
def test_everything_that_a_caller_may_set_can_be_written(
    message: type[Message], table: Collection[str], output_only: set[str]
) -> None:
    """The tables name every field but those that the server owns."""
    assert set(table) == set(message.DESCRIPTOR.fields_by_name) - output_only


EVENT_BODIES = sorted(field.name for field in execution_pb2.Event.DESCRIPTOR.oneofs_by_name["kind"].fields)


@pytest.mark.parametrize("kind", EVENT_BODIES)
def test_every_event_becomes_plain_json(kind: str) -> None:
    """Whatever a history holds can be printed; each field of the event is there."""
    message = execution_pb2.Event(number=1)
    body: Message = getattr(message, kind)
    body.SetInParent()
    for field in body.DESCRIPTOR.fields:
        if field.message_type is not None:
            getattr(body, field.name).SetInParent()

    event = read_event(message, execution_pb2.EXECUTION_STATE_RUNNING)

    assert (event.kind, event.state) == (kind, "RUNNING")
    assert set(json.loads(json.dumps(event.to_dict()))["data"]) == set(body.DESCRIPTOR.fields_by_name)


def test_an_entry_of_a_history_has_no_state() -> None:
    """What is recorded does not know where the execution stood; only a watch says so."""
    assert "state" not in read_event(execution_pb2.Event(number=1)).to_dict()
    watched = read_event(execution_pb2.Event(number=1), execution_pb2.EXECUTION_STATE_RUNNING)
    assert watched.to_dict()["state"] == "RUNNING"


def test_to_dict_is_json() -> None:
    """Times are ISO 8601, durations seconds, codes names, contexts flat, unset values null."""
    execution = Execution(
        id="exe_1",
        workflow_id="wf_1",
        workflow_name="docs",
        workflow_version=1,
        state="FAILED",
        input={"state": [1, {"a": None}]},
        failure=Failure(
            reason="NO_INSTANCE",
            message="nobody",
            code=Code.UNAVAILABLE,
            violations=(Violation("a", "is wrong"),),
        ),
        context=CallContext(project_id="p", values={"tenant": "x"}),
        create_time=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
    )

    found = execution.to_dict()

    assert json.loads(json.dumps(found)) == found
    assert found["create_time"] == "2026-03-01T12:30:00+00:00"
    assert found["end_time"] is None
    assert found["input"] == {"state": [1, {"a": None}]}
    assert found["failure"]["code"] == "UNAVAILABLE"
    assert found["failure"]["violations"] == [{"field": "a", "description": "is wrong", "reason": "INVALID"}]
    assert found["context"] == {"project_id": "p", "tenant": "x"}


def test_pages_become_dicts_with_their_items() -> None:
    """A page of records is plain all the way down."""
    page = Page((Service(id="svc_1", name="text"),), "t", 3)
    found = page.to_dict()
    assert [item["name"] for item in found["items"]] == ["text"]
    assert (found["next_page_token"], found["total_size"]) == ("t", 3)


def test_what_to_dict_gives_can_be_written_again() -> None:
    """Definitions survive the way through a file."""
    pause = timedelta(seconds=2)
    retry = StepRetry(
        max_attempts=5, initial_backoff=pause, max_backoff=pause, jitter=0.0, on_exhausted="FAIL"
    )
    limit = timedelta(seconds=1.5)
    steps = (
        Step(id="a", service="s", action="x", next="b", input={}, timeout=limit, retry=retry),
        Step(id="b", service="s", action="y"),
    )
    plain = {"steps": [json.loads(json.dumps(step.to_dict())) for step in steps]}

    message = written(plain)

    assert tuple(record(Step, step) for step in message.steps) == steps


def test_unset_and_empty_payloads_differ() -> None:
    """No mapping at all is not the same as a mapping of nothing."""
    assert record(Step, workflow_pb2.Step()).input is None
    assert record(Step, workflow_pb2.Step(input=payload_pb2.Payload(json=b"{}"))).input == {}


def test_values_of_a_newer_server_do_not_break_an_older_client() -> None:
    """An unknown state is its number, an unknown code is UNKNOWN."""
    assert read_service(registry_pb2.Service(state=99)).state == "99"  # type: ignore[arg-type]  # open enum
    assert read_failure(failure_pb2.Failure(code=99)).code is Code.UNKNOWN
    assert read_event(execution_pb2.Event(number=3)).kind == ""


def test_records_are_frozen() -> None:
    """What the server said stays what it said."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Service(id="svc_1", name="text").name = "other"  # type: ignore[misc]  # that is the point


def test_enums_in_a_history_are_names() -> None:
    """As everywhere else; the one that is not set is empty."""
    resolved = execution_pb2.Event(number=1)
    resolved.incident_resolved.resolution = execution_pb2.INCIDENT_RESOLUTION_FAIL
    assert read_event(resolved).data["resolution"] == "FAIL"
    resolved.incident_resolved.resolution = execution_pb2.INCIDENT_RESOLUTION_UNSPECIFIED
    assert read_event(resolved).data["resolution"] == ""
