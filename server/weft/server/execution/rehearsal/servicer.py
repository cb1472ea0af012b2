"""TestWorkflow on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from weft.api.workflow.v1 import workflow_pb2, workflow_service_pb2_grpc
from weft.api.workflow.v1 import workflow_service_pb2 as pb
from weft.core.clock import Clock
from weft.core.errors import ValidationError
from weft.core.names import STEP_ID, check_name, new_id
from weft.core.payload import JsonObject, from_payload, kind_of
from weft.core.reasons import Rule
from weft.core.schema import schema_of
from weft.server.execution.engine.dispatch import rewrite
from weft.server.execution.history.model import Failure
from weft.server.execution.history.paths import is_path
from weft.server.execution.history.plan import Plan, compile_plan
from weft.server.execution.orders.messages import SendSignal
from weft.server.execution.rehearsal.model import AttemptResult, KnownAction, Rehearsed, TestMessage
from weft.server.execution.rehearsal.rehearsal import Rehearsal
from weft.server.execution.wire import convert
from weft.server.execution.wire.control_servicer import read_failure
from weft.server.registry.service import RegistryService
from weft.server.registry.versions import choose
from weft.server.requests import Faults, read_duration
from weft.server.workflow.model import Definition, Problem, Severity, Workflow
from weft.server.workflow.service import WorkflowService
from weft.server.workflow.wire.convert import problem_to_proto
from weft.server.workflow.wire.servicer import WorkflowServicer
from weft.server.workflow.wire.validating import examined

__all__ = ["TestableWorkflowServicer"]

_MAX_RESULTS: Final = 10_000
_MAX_ATTEMPTS: Final = 1_000
_MAX_MESSAGES: Final = 1_000
_LONGEST: Final = timedelta(days=3_660)
_NAME: Final = "test"
_NOTHING: Final[JsonObject] = {}


class TestableWorkflowServicer(WorkflowServicer, workflow_service_pb2_grpc.WorkflowServiceServicer):
    """Serves workflows, and runs definitions against given results.

    Args:
        workflows: Their use cases.
        registry: Knows the schemas of actions.
        clock: For times of drafts.
    """

    __test__ = False

    def __init__(self, workflows: WorkflowService, registry: RegistryService, clock: Clock) -> None:
        super().__init__(workflows, clock)
        self._registry = registry

    async def TestWorkflow(self, request: pb.TestWorkflowRequest, context: object) -> pb.TestWorkflowResponse:
        """Run a definition against given results."""
        faults = Faults(request)
        if request.HasField("workflow") == bool(request.name):
            faults.add("workflow", "give a definition, or the name of a workflow", Rule.REQUIRED)
        results = _read_results(request, faults)
        messages = _read_messages(request, faults)
        value: JsonObject = faults.attempt(lambda: from_payload(request.input, "input"), _NOTHING)
        start = self._start(request, faults)
        faults.raise_any()
        workflow, problems = await self._definition(request)
        told = [problem_to_proto(problem) for problem in problems]
        if any(problem.severity is Severity.ERROR for problem in problems):
            return pb.TestWorkflowResponse(problems=told)
        plan = compile_plan(workflow)
        violations = plan.input_schema.violations(value, "input")
        if violations:
            raise ValidationError(violations)
        actions = await self._actions(plan)
        rehearsed = await Rehearsal(plan, value, results, messages, actions, start).run()
        return _answer(request, told, rehearsed)

    def _start(self, request: pb.TestWorkflowRequest, faults: Faults) -> datetime:
        if not request.HasField("start_time"):
            return self._clock.now()
        try:
            return request.start_time.ToDatetime(tzinfo=UTC)
        except (ValueError, OverflowError):
            faults.add("start_time", "is no time", Rule.OUT_OF_RANGE)
            return self._clock.now()

    async def _definition(self, request: pb.TestWorkflowRequest) -> tuple[Workflow, Sequence[Problem]]:
        if request.name:
            return await self._workflows.get(request.name, request.version), ()

        async def find(definition: Definition, name: str) -> tuple[Problem, ...]:
            return await self._workflows.problems(definition, name=name)

        definition, problems = await examined(request, request.workflow, find)
        now = self._clock.now()
        draft = Workflow(
            id="",
            name=request.workflow.name or _NAME,
            definition=definition,
            create_time=now,
            update_time=now,
            version_create_time=now,
        )
        return draft, problems

    async def _actions(self, plan: Plan) -> Mapping[tuple[str, str], KnownAction]:
        """Return what is registered of the actions, and of those that undo them."""
        found: dict[tuple[str, str], KnownAction] = {}
        for planned in plan.steps.values():
            for it in (planned, planned.undo or planned):
                step = it.step
                service = await self._registry.find(step.service) if step.service else None
                choice = choose(service, it.versions) if service else None
                action = choice.offer.action(step.action) if choice else None
                undo = choice.offer.action(action.compensation) if choice and action else None
                for known in (action, undo):
                    if known is not None:
                        takes, gives = schema_of(known.input_schema), schema_of(known.output_schema)
                        found[step.service, known.name] = KnownAction(takes, gives, known.compensation)
        return found


def _answer(
    request: pb.TestWorkflowRequest, told: Sequence[workflow_pb2.Problem], rehearsed: Rehearsed
) -> pb.TestWorkflowResponse:
    kind = kind_of(request.input, asked=request.payload_kind)
    return pb.TestWorkflowResponse(
        problems=told,
        execution=convert.details_to_proto(rehearsed.details, kind),
        events=[convert.event_to_proto(event, kind) for event in rehearsed.events],
        missing_results=rehearsed.missing,
        waiting=rehearsed.waiting,
        truncated=rehearsed.truncated,
    )


def _read_results(request: pb.TestWorkflowRequest, faults: Faults) -> dict[str, list[AttemptResult]]:
    faults.count("results", request.results, _MAX_RESULTS)
    found: dict[str, list[AttemptResult]] = {}
    for number, result in enumerate(request.results[:_MAX_RESULTS]):
        path = f"results[{number}]"
        if not is_path(result.step_id):
            faults.add(f"{path}.step_id", "is no id or path of a step", Rule.INVALID)
        if result.step_id in found:
            faults.add(f"{path}.step_id", f"{result.step_id!r} stands there twice", Rule.DUPLICATE)
        faults.required(f"{path}.attempts", result.attempts)
        faults.count(f"{path}.attempts", result.attempts, _MAX_ATTEMPTS)
        found[result.step_id] = [
            _read_attempt(attempt, f"{path}.attempts[{at}]", faults)
            for at, attempt in enumerate(result.attempts[:_MAX_ATTEMPTS])
        ]
    return found


def _read_attempt(message: pb.AttemptResult, path: str, faults: Faults) -> AttemptResult:
    takes = (
        read_duration(message, "takes", faults, path=f"{path}.takes", at_least=timedelta(), at_most=_LONGEST)
        or timedelta()
    )
    if message.WhichOneof("outcome") == "failure":
        failure = Failure.of(read_failure(message.failure, faults, f"{path}.failure"))
        domain = message.failure.domain or failure.domain
        return AttemptResult(failure=replace(failure, domain=domain), takes=takes)
    return AttemptResult(output=_object(message, "output", f"{path}.output", faults), takes=takes)


def _read_messages(request: pb.TestWorkflowRequest, faults: Faults) -> list[TestMessage]:
    faults.count("messages", request.messages, _MAX_MESSAGES)
    found = []
    for number, message in enumerate(request.messages[:_MAX_MESSAGES]):
        path = f"messages[{number}]"
        faults.extend(check_name(f"{path}.name", message.name, STEP_ID))
        after = read_duration(
            message, "after", faults, path=f"{path}.after", at_least=timedelta(), at_most=_LONGEST
        )
        signal = SendSignal(
            execution_id="",
            signal_id=new_id("sig"),
            name=message.name,
            correlation=message.correlation,
            payload=_object(message, "payload", f"{path}.payload", faults),
        )
        found.append(TestMessage(after=after or timedelta(), signal=signal))
    return found


def _object(message: Any, field: str, path: str, faults: Faults) -> bytes:
    def read() -> bytes:
        value: JsonObject = from_payload(getattr(message, field), path)
        return rewrite(value, path)

    return faults.attempt(read, b"{}") if message.HasField(field) else b"{}"
