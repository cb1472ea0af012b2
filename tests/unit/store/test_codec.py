"""The form at rest: exact, and never changed by accident."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest

from tests.contract.store.samples import (
    ALL_BODIES,
    NOW,
    ended,
    execution,
    instance,
    service,
    two_versions,
    workflow,
)
from weft.core.context import CallContext
from weft.server.execution.history.model import (
    Event,
    EventBody,
    ExecutionStarted,
    ExecutionState,
    Origin,
    StepCompleted,
    TraceLink,
)
from weft.server.store.codec import (
    WorkflowRow,
    decode_instance,
    decode_service,
    decode_workflow,
    decode_workflow_row,
    encode,
    encode_definition,
    encode_descriptors,
    encode_workflow_head,
    from_micros,
    to_micros,
)
from weft.server.store.execution_codec import (
    EventRow,
    ExecutionRow,
    decode_event,
    decode_execution,
    encode_event,
    encode_execution,
)


@pytest.mark.parametrize(
    "time",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        NOW,
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    ],
)
def test_times_are_exact(time: datetime) -> None:
    """To the microsecond, in any zone, near and far."""
    assert from_micros(to_micros(time)) == time


def test_a_time_without_zone_is_refused() -> None:
    """It would mean another moment elsewhere."""
    with pytest.raises(TypeError):
        to_micros(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_documents_come_back_as_they_were() -> None:
    """Every model, with every field set and with as few as possible."""
    of_service = service()
    assert decode_service(encode(of_service)) == of_service
    of_versions = two_versions()
    assert decode_service(encode(of_versions), encode_descriptors(of_versions)) == of_versions
    of_instance = instance("svc_1")
    assert decode_instance(encode(of_instance)) == of_instance
    of_workflow = workflow()
    assert decode_workflow(encode(of_workflow)) == of_workflow
    for of_execution in (
        execution(),
        execution(context=CallContext(), expire_time=None),
        ended(execution(), ExecutionState.FAILED),
    ):
        assert decode_execution(encode_execution(of_execution)) == of_execution


def test_descriptor_sets_stand_beside_their_document() -> None:
    """The document has none of their bytes, and is read without them as well."""
    made = two_versions()
    assert orjson.loads(encode(made))["descriptor_set"] is None
    bare = decode_service(encode(made))
    assert (bare.descriptor_set, bare.other_versions[0].descriptor_set) == (b"", b"")
    assert encode_descriptors(bare) is None


def test_documents_of_the_release_before_are_read() -> None:
    """What they do not have yet has the value that means the same as before."""
    old_service = (
        '{"id":"svc_1","name":"carts","description":"","endpoint":"","actions":[{"name":"get",'
        '"description":"","input_schema":null,"output_schema":null,"idempotent":false,"timeout":null}],'
        '"metadata":{},"state":"ACTIVE","revision":1,"create_time":1,"update_time":1}'
    )
    made = decode_service(old_service)
    assert (made.version, made.other_versions, made.descriptor_set) == ("", (), b"")
    assert made.actions[0].grpc_method == ""
    old_workflow = (
        '{"id":"wf_1","name":"flow","description":"","metadata":{},"definition":{"steps":[{"id":"a",'
        '"service":"carts","action":"get","next":"","input":null,"timeout":null,"description":""}],'
        '"input_schema":null,"output_schema":null,"timeout":null},"state":"ACTIVE","version":1,"revision":1,'
        '"create_time":1,"update_time":1,"version_create_time":1,"deleted":false}'
    )
    assert decode_workflow(old_workflow).definition.steps[0].service_version == ""


def test_executions_of_before_there_were_traces_are_read() -> None:
    """They belong to no trace, and go on all the same."""
    old = (
        '{"id":"exe_1","workflow_id":"wf_1","workflow_name":"flow","workflow_version":3,'
        '"context":{"project_id":"p","request_id":"","values":{}},"create_time":1,"expire_time":null}'
    )
    read = decode_execution(ExecutionRow(old, "RUNNING", 2, "", 0, None, None))
    assert (read.trace_id, read.key, read.origin) == ("", "", Origin())
    started = (
        '{"input":null,"context":{"project_id":"p","request_id":"","values":{}},"workflow_id":"wf_1",'
        '"workflow_version":3,"timeout":null}'
    )
    body = decode_event(EventRow(1, 1, "execution_started", started, b"{}")).body
    assert isinstance(body, ExecutionStarted)
    assert body.trace == TraceLink()
    assert body.trace.trace_id == ""


def test_a_workflow_is_put_together_of_head_and_definition() -> None:
    """The head keeps no definition; the version brings its own."""
    made = workflow()
    head = encode_workflow_head(made)
    assert orjson.loads(head)["definition"]["steps"] == []
    row = WorkflowRow(head, 1, 7, to_micros(NOW), encode_definition(made.definition))
    read = decode_workflow_row(row)
    assert (read.version, read.deleted, read.definition) == (7, True, made.definition)


@pytest.mark.parametrize("body", ALL_BODIES, ids=lambda body: type(body).__name__)
def test_events_come_back_as_they_were(body: EventBody) -> None:
    """Every kind, its payload byte by byte."""
    event = Event(7, NOW, body)
    assert decode_event(encode_event(event)) == event


def test_a_payload_stands_beside_its_document() -> None:
    """It is the very same bytes object: nobody parses it."""
    output = b'{ "not" : "normalised" }'
    row = encode_event(Event(1, NOW, StepCompleted(step_id="s", attempt=1, output=output)))
    assert row.payload is output
    assert orjson.loads(row.attributes)["output"] is None
    assert row.size == len(row.attributes) + len(output)


def test_the_form_at_rest_is_frozen() -> None:
    """Databases out there have this form: to change it takes a migration."""
    made = execution(id="exe_1", context=CallContext(project_id="p"), create_time=from_micros(1))
    assert encode_execution(made) == ExecutionRow(
        '{"id":"exe_1","workflow_id":"wf_00000000000000000000000001",'
        '"workflow_name":"document-pipeline","workflow_version":3,'
        '"context":{"project_id":"p","request_id":"","values":{}},"create_time":1,'
        '"expire_time":1774751400123457,"trace_id":"","key":"","attributes":{},'
        '"origin":{"execution_id":"","from_step":""},"digest":"","slot":"","slot_limit":0,"alias":"","retention":null}',
        "RUNNING",
        2,
        "",
        to_micros(NOW),
        None,
        None,
    )
    failed = (
        '{"step_id":"score","attempt":1,"failure":{"reason":"CUSTOMER_UNKNOWN",'
        '"message":"no such customer: Å\\u0000\u2028","code":5,"metadata":{"customer":"7"},'
        '"violations":[{"field":"a.b[0]","description":"is required","reason":"REQUIRED"}],'
        '"retryable":true,"domain":"weft"},"instance_id":"ins-2"}'
    )
    assert [encode_event(Event(1, NOW, body))[2:4] for body in ALL_BODIES[2:5]] == [
        ("step_scheduled", '{"step_id":"extract","attempt":2,"cause":"NO_INSTANCE"}'),
        ("step_completed", '{"step_id":"extract","attempt":2,"output":null,"instance_id":"ins-1"}'),
        ("step_failed", failed),
    ]
