"""Starts and direct calls over the wire: which are the same, what is recorded, what reaches the action."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.wire import JSON, STRUCT, Wire, payload, raw_json, value_in
from tests.support.world import definition, hosted, serving, step
from weft.api.common.v1 import context_pb2, payload_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.core.errors import Code
from weft.core.metadata import REQUEST_ID
from weft.core.payload import JsonObject
from weft.core.reasons import Reason, Rule
from weft.service import Service, current_context

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire() -> AsyncIterator[Wire]:
    service = Service("mirror")

    @service.action
    async def show(given: JsonObject | None = None) -> JsonObject:
        """Tell what reached the action."""
        context = current_context()
        left = context.remaining
        return {
            "given": given or {},
            "request_id": context.request_id,
            "seconds": left.total_seconds() if left else None,
        }

    async with serving() as wire, hosted(wire, service):
        await wire.call("CreateWorkflow", definition("flow", step("show", "mirror", "show")))
        yield wire


def start_of(
    value: payload_pb2.Payload, request_id: str = "", correlation: str = "", project: str = ""
) -> pb.StartExecutionRequest:
    context = context_pb2.CallContext(request_id=correlation, project_id=project)
    return pb.StartExecutionRequest(workflow="flow", input=value, request_id=request_id, context=context)


async def test_a_repeat_may_be_correlated_with_another_request(wire: Wire) -> None:
    """The context's request id is for correlation only; the rest of the context is content."""
    first = await wire.call("StartExecution", start_of(payload({}), "correlated", "one"))
    again = await wire.call("StartExecution", start_of(payload({}), "correlated", "two"))
    assert again.execution.id == first.execution.id
    other = await wire.refusal("StartExecution", start_of(payload({}), "correlated", "one", "other"))
    assert other.kind == (Code.ALREADY_EXISTS, Reason.REQUEST_ID_REUSED)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"n":1.0}', {"n": 1}),
        (b'{"n":[{"m":-0.0}]}', {"n": [{"m": 0}]}),
        (b'{"n":9007199254740992}', {"n": 2**53}),
        (b'{"n":1e18,"m":1.5}', {"n": 10**18, "m": 1.5}),
    ],
)
async def test_a_number_is_the_same_in_both_kinds(wire: Wire, text: bytes, value: JsonObject) -> None:
    """A start in JSON text is joined by the same one as a Struct, however the number was written."""
    request_id = f"kinds {text!r}"
    first = await wire.call("StartExecution", start_of(raw_json(text), request_id))
    again = await wire.call("StartExecution", start_of(payload(value, STRUCT), request_id))
    assert again.execution.id == first.execution.id


@pytest.mark.parametrize(
    ("text", "recorded"),
    [
        (b'{"given":{"n":123456789012345678901}}', b'{"given":{"n":1.2345678901234568e+20}}'),
        (b'{"given": {"a": 1, "a": 2}}', b'{"given":{"a":2}}'),
    ],
)
async def test_the_input_is_recorded_as_it_is_run(wire: Wire, text: bytes, recorded: bytes) -> None:
    """The history shows what the action was given, not another reading of the same text."""
    request = pb.ExecuteWorkflowRequest(workflow="flow", input=raw_json(text))
    ran = (await wire.call("ExecuteWorkflow", request)).execution
    assert ran.input.json == recorded
    given = value_in(payload_pb2.Payload(json=recorded), JSON)["given"]
    assert value_in(ran.result, JSON)["given"] == given


async def test_an_input_that_grows_over_the_limit_is_refused(wire: Wire) -> None:
    """The limit holds for the text that is recorded, not only for the one that came."""
    text = b'{"n":[' + b",".join([b"1e9"] * 200_000) + b"]}"
    refusal = await wire.refusal("StartExecution", start_of(raw_json(text)))
    assert refusal.violations == (("input", Rule.PAYLOAD_TOO_LARGE),)


async def test_the_header_names_the_request_all_the_way(wire: Wire) -> None:
    """Without an id in the context, the action gets the one of the header; one in the context goes first."""
    metadata = ((REQUEST_ID, "from-the-header"),)
    for correlation, expected in (("", "from-the-header"), ("from-the-context", "from-the-context")):
        context = context_pb2.CallContext(request_id=correlation)
        run = pb.ExecuteWorkflowRequest(workflow="flow", context=context)
        ran = (await wire.executions.ExecuteWorkflow(run, metadata=metadata, timeout=20)).execution
        assert ran.context.request_id == expected
        call = pb.ExecuteServiceActionRequest(
            service="mirror", action="show", input=payload({}), context=context
        )
        called = await wire.executions.ExecuteServiceAction(call, metadata=metadata, timeout=20)
        assert value_in(called.output, JSON)["request_id"] == expected


async def test_the_callers_deadline_reaches_the_action(wire: Wire) -> None:
    """A provider of a direct call knows how long its caller still waits."""
    request = pb.ExecuteServiceActionRequest(service="mirror", action="show", input=payload({}))
    answer = await wire.executions.ExecuteServiceAction(request, timeout=5)
    assert 0 < value_in(answer.output, JSON)["seconds"] < 6
    answer = await wire.executions.ExecuteServiceAction(request)
    assert 6 < value_in(answer.output, JSON)["seconds"] < 61
