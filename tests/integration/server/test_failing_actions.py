"""Whatever an action does, its caller gets a clear error, its execution ends, and the server lives on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc.aio
import pytest
import pytest_asyncio
from google.protobuf import duration_pb2

from tests.support.foreign import ANSWERS, GARBLED, HTTP_ANSWERS, REFUSALS, grpc_provider, http_provider
from tests.support.wire import JSON, KINDS, Wire, payload, value_in
from tests.support.world import NOBODY, World, definition, hosted, populated, registration, step
from weft.api.execution.v1 import execution_pb2
from weft.api.execution.v1 import execution_service_pb2 as pb
from weft.api.registry.v1 import registry_pb2, registry_service_pb2
from weft.core.errors import Code
from weft.core.payload import JsonObject, PayloadKind
from weft.core.reasons import ACTION_DOMAIN, DOMAIN, Reason
from weft.service import ActionFailedError, Service

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

GIVES: JsonObject = {
    "type": "object",
    "properties": {"total": {"type": "integer"}},
    "required": ["total"],
}
BARE = {
    "bare-unknown": (Code.ABORTED, Reason.ACTION_FAILED),
    "bare-internal": (Code.ABORTED, Reason.ACTION_FAILED),
    "bare-data_loss": (Code.DATA_LOSS, Reason.ACTION_FAILED),
    "bare-not_found": (Code.NOT_FOUND, Reason.ACTION_FAILED),
    "bare-invalid_argument": (Code.INVALID_ARGUMENT, Reason.ACTION_FAILED),
    "bare-already_exists": (Code.ALREADY_EXISTS, Reason.ACTION_FAILED),
    "bare-failed_precondition": (Code.FAILED_PRECONDITION, Reason.ACTION_FAILED),
    "bare-out_of_range": (Code.OUT_OF_RANGE, Reason.ACTION_FAILED),
    "bare-permission_denied": (Code.ABORTED, Reason.ACTION_FAILED),
    "bare-cancelled": (Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE),
    "bare-unavailable": (Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE),
    "bare-deadline_exceeded": (Code.DEADLINE_EXCEEDED, Reason.ACTION_TIMEOUT),
    "bare-resource_exhausted": (Code.RESOURCE_EXHAUSTED, Reason.ACTION_FAILED),
    "bare-unimplemented": (Code.NOT_FOUND, Reason.ACTION_NOT_FOUND),
}
"""What a status without details means."""
OUTPUT_INVALID = (Code.FAILED_PRECONDITION, Reason.ACTION_OUTPUT_INVALID)
TOO_LARGE = (Code.RESOURCE_EXHAUSTED, Reason.ACTION_OUTPUT_TOO_LARGE)
TIMEOUT = (Code.DEADLINE_EXCEEDED, Reason.ACTION_TIMEOUT)


@dataclass(frozen=True)
class Failing:
    """An action that fails, and how that looks to its caller."""

    service: str
    action: str
    code: Code
    reason: str
    own: bool = False
    """Whether the reason is the action's own."""

    def __str__(self) -> str:
        return f"{self.service}: {self.action}"


FOREIGN = {
    **dict.fromkeys(
        (
            "forbidden",
            "forbidden-struct",
            "nothing",
            "array",
            "no-json",
            "no-utf8",
            "nan",
            "nan-struct",
            "deep",
            "garbage",
            "both",
            "both-struct",
        ),
        OUTPUT_INVALID,
    ),
    **dict.fromkeys(("large", "huge"), TOO_LARGE),
    **BARE,
    "hang": TIMEOUT,
    "raise": (Code.ABORTED, Reason.ACTION_FAILED),
    **dict.fromkeys(GARBLED, (Code.ABORTED, Reason.ACTION_FAILED)),
    "garbled-wait": (Code.FAILED_PRECONDITION, Reason.ACTION_FAILED),  # all but the time can be read
}
OWN = {
    "business": (Code.NOT_FOUND, "CUSTOMER_UNKNOWN"),
    "internal": (Code.ABORTED, "MY_DEFECT"),
    "unknown": (Code.ABORTED, "WHO_KNOWS"),
    "ok": (Code.ABORTED, "FINE"),
    "odd-code": (Code.ABORTED, "ODD"),
    "wordy": (Code.FAILED_PRECONDITION, "WORDY"),
}
HTTP = {
    **dict.fromkeys(("forbidden", "array", "no-json", "no-utf8"), OUTPUT_INVALID),
    **dict.fromkeys(("large", "huge"), TOO_LARGE),
    **dict.fromkeys(("hang", "late"), TIMEOUT),
    **dict.fromkeys(("busy", "gateway", "cut"), (Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE)),
}
HTTP_OWN = {
    "business": (Code.NOT_FOUND, "CUSTOMER_UNKNOWN"),
    "flat": (Code.ABORTED, "HTTP_409"),
    "quota": (Code.RESOURCE_EXHAUSTED, "HTTP_429"),
    "teapot": (Code.ABORTED, "HTTP_418"),
    "raise": (Code.ABORTED, "HTTP_500"),
    "redirect": (Code.ABORTED, "HTTP_302"),
    "missing": (Code.NOT_FOUND, "HTTP_404"),
}
SDK = {
    "hang": TIMEOUT,
    "huge": TOO_LARGE,
    "lie": OUTPUT_INVALID,
}
SDK_OWN = {
    "crash": (Code.ABORTED, "ACTION_FAILED"),
    "refuse": (Code.NOT_FOUND, "CUSTOMER_UNKNOWN"),
}
CASES = [
    Failing(service, action, code, reason, own)
    for service, table, own in (
        ("foreign", FOREIGN, False),
        ("foreign", OWN, True),
        ("http", HTTP, False),
        ("http", HTTP_OWN, True),
        ("sdk", SDK, False),
        ("sdk", SDK_OWN, True),
    )
    for action, (code, reason) in table.items()
] + [
    Failing("nowhere", "any", Code.UNAVAILABLE, Reason.NO_INSTANCE),
    Failing("refused", "any", Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE),
    Failing("gone", "any", Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE),
]


def sdk_service() -> Service:
    service = Service("sdk")

    @service.action
    async def hang() -> dict[str, int]:
        await asyncio.Event().wait()
        return {}

    @service.action
    async def crash() -> dict[str, int]:
        raise RuntimeError("boom")

    @service.action
    async def refuse() -> dict[str, int]:
        raise ActionFailedError("no such customer", reason="CUSTOMER_UNKNOWN", code=Code.NOT_FOUND)

    @service.action
    async def huge() -> dict[str, str]:
        return {"x": "x" * 10_000_000}

    @service.action
    async def lie() -> dict[str, int]:
        return {"total": "three"}  # type: ignore[dict-item] # the lie

    return service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    async with (
        populated() as world,
        grpc_provider() as grpc_port,
        http_provider() as http_port,
        hosted(world.wire, sdk_service()),
    ):
        wire = world.wire
        foreign = [*ANSWERS, *REFUSALS, *GARBLED, *BARE, "hang", "raise"]
        over_http = ["good", *HTTP_ANSWERS, "hang", "raise", "cut", "redirect", "missing"]
        for name, actions, endpoint in (
            ("foreign", foreign, f"grpc://127.0.0.1:{grpc_port}"),
            ("http", over_http, f"http://127.0.0.1:{http_port}"),
            ("nowhere", ["any"], ""),
            ("refused", ["any"], "grpc://127.0.0.1:9"),
            ("gone", ["any"], NOBODY),
        ):
            await wire.registry.RegisterService(
                registration(name, *actions, endpoint=endpoint, output_schema=GIVES)
            )
        yield world


def ask(service: str, action: str, seconds: float = 0.0) -> pb.ExecuteServiceActionRequest:
    request = pb.ExecuteServiceActionRequest(service=service, action=action, input=payload({}))
    if seconds:
        request.timeout.CopyFrom(duration_pb2.Duration(nanos=int(seconds * 1e9)))
    return request


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_direct_call_gets_a_clear_error(world: World, case: Failing) -> None:
    """Code and reason are as documented, never UNKNOWN or INTERNAL; the next call works."""
    before = await world.wire.state()
    seconds = 0.2 if case.action == "hang" else 0.0
    refusal = await world.wire.refusal("ExecuteServiceAction", ask(case.service, case.action, seconds))
    assert refusal.kind == (case.code, case.reason), refusal
    assert refusal.domain == (ACTION_DOMAIN if case.own or case.reason == Reason.ACTION_FAILED else DOMAIN)
    checked_here = case.reason == Reason.ACTION_OUTPUT_INVALID
    assert bool(refusal.violations) == checked_here
    assert await world.wire.state() == before
    assert await world.is_well()


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_an_execution_ends_with_the_same_failure(world: World, case: Failing) -> None:
    """FAILED is an answer: the failure and the step tell code and reason as the direct call would."""
    name = f"{case.service}-{case.action}".replace("_", "-")
    failing = step("fails", case.service, case.action, "never")
    if case.action == "hang":
        failing.timeout.nanos = 200_000_000
    after = step("never", "texts", "count", mapping={"text": "x"})
    await world.wire.workflows.CreateWorkflow(definition(name, failing, after))
    ran = await world.wire.executions.ExecuteWorkflow(pb.ExecuteWorkflowRequest(workflow=name), timeout=20)
    execution = ran.execution
    assert execution.state == execution_pb2.EXECUTION_STATE_FAILED
    assert (Code(execution.failure.code), execution.failure.reason) == (case.code, case.reason)
    (failed,) = execution.steps
    assert (failed.state, failed.failure) == (execution_pb2.STEP_STATE_FAILED, execution.failure)
    assert not execution.HasField("result")
    assert await world.is_well()


async def test_a_direct_call_cannot_be_pending(world: World) -> None:
    """It has no attempt whose outcome could be told later, so it must not look as if it had gone well."""
    refusal = await world.wire.refusal("ExecuteServiceAction", ask("foreign", "pending"))
    assert refusal.kind == OUTPUT_INVALID, refusal
    assert "foreign.pending answered what is no output: output: is pending" in refusal.message
    assert refusal.violations
    assert await world.is_well()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_a_foreign_provider_may_answer_in_either_kind(world: World, kind: PayloadKind) -> None:
    """An output as Struct, though JSON was sent, is as good; the caller gets the kind it used."""
    for action in ("good", "good-struct"):
        request = ask("foreign", action)
        request.input.CopyFrom(payload({}, kind))
        answer = await world.wire.executions.ExecuteServiceAction(request)
        assert value_in(answer.output, kind) == {"total": 3}


async def test_an_http_provider_gets_json_and_headers(world: World) -> None:
    """POST {endpoint}/{action} with the input as JSON, and the idempotency key as a header."""
    request = ask("http", "good")
    request.input.CopyFrom(payload({"a": [1, None]}))
    request.idempotency_key = "once"
    answer = await world.wire.executions.ExecuteServiceAction(request)
    assert value_in(answer.output, JSON) == {"total": 3, "was": {"a": [1, None]}, "key": "once"}
    assert answer.instance_id == ""


async def test_an_http_instance_may_serve_below_a_path(world: World) -> None:
    """The metadata entry ``path`` is put before the action."""
    service = await world.wire.registry.GetService(registry_service_pb2.GetServiceRequest(service="http"))
    port = int(service.service.endpoint.rpartition(":")[2])
    await world.wire.registry.RegisterService(registration("below", "good", endpoint=""))
    await world.wire.registry.RegisterInstance(
        registry_service_pb2.RegisterInstanceRequest(
            service="below",
            instance=registry_pb2.Instance(
                id="b-1",
                host="127.0.0.1",
                port=port,
                protocol=registry_pb2.PROTOCOL_HTTP,
                metadata={"path": "/v1/"},
            ),
        )
    )
    answer = await world.wire.executions.ExecuteServiceAction(ask("below", "good"))
    assert answer.instance_id == "b-1"


async def kill_mid_call(wire: Wire, call: asyncio.Task[object], process: asyncio.subprocess.Process) -> None:
    """Wait until the provider has the call, then kill it as an out-of-memory killer does."""
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"doomed"
    assert not call.done()
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()


async def test_a_provider_that_dies_in_the_middle_of_a_call(world: World) -> None:
    """A direct call and a step both end at once: UNAVAILABLE, ACTION_UNAVAILABLE, and retryable."""
    wire = world.wire
    for mode in ("call", "step"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.foreign",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        name = f"mortal-{mode}"
        await wire.registry.RegisterService(registration(name, "doomed", endpoint=f"grpc://127.0.0.1:{port}"))
        if mode == "call":
            call = asyncio.create_task(wire.refusal("ExecuteServiceAction", ask(name, "doomed")))
            await kill_mid_call(wire, call, process)
            assert (await call).kind == (Code.UNAVAILABLE, Reason.ACTION_UNAVAILABLE)
        else:
            await wire.workflows.CreateWorkflow(definition(name, step("a", name, "doomed")))
            started = asyncio.create_task(
                wire.call("ExecuteWorkflow", pb.ExecuteWorkflowRequest(workflow=name))
            )
            await kill_mid_call(wire, started, process)
            failure = (await started).execution.failure
            assert (failure.reason, failure.retryable) == (Reason.ACTION_UNAVAILABLE, True)
        assert await world.is_well()


async def test_a_dead_instance_is_passed_over(world: World) -> None:
    """With one instance that refuses connections and one that serves, every call is answered."""
    wire = world.wire
    service = await wire.registry.GetService(registry_service_pb2.GetServiceRequest(service="foreign"))
    alive = int(service.service.endpoint.rpartition(":")[2])
    await wire.registry.RegisterService(registration("half", "good", endpoint=""))
    for instance_id, port in (("dead", 9), ("alive", alive)):
        instance = registry_pb2.Instance(id=instance_id, host="127.0.0.1", port=port)
        await wire.registry.RegisterInstance(
            registry_service_pb2.RegisterInstanceRequest(service="half", instance=instance)
        )
    answers = [await wire.executions.ExecuteServiceAction(ask("half", "good")) for _ in range(4)]
    assert {answer.instance_id for answer in answers} == {"alive"}


async def test_the_callers_deadline_bounds_a_hanging_action(world: World) -> None:
    """The caller's own deadline ends the wait; an execution that it started goes on."""
    refused = await asyncio.gather(*(deadline(world.wire, service) for service in ("foreign", "http", "sdk")))
    assert refused == ["DEADLINE_EXCEEDED"] * 3
    assert await world.is_well()


async def deadline(wire: Wire, service: str) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await wire.executions.ExecuteServiceAction(ask(service, "hang"), timeout=0.3)
    return caught.value.code().name
