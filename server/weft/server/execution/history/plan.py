"""What an execution needs of its workflow's version, compiled once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import orjson

from weft.core.context import CallContext
from weft.core.payload import JsonObject
from weft.core.schema import Schema, schema_of
from weft.core.version import VersionRange
from weft.server.execution.history.paths import id_of
from weft.server.workflow.defaults import with_defaults
from weft.server.workflow.expressions.conditions import (
    Condition,
    TextTemplate,
    ValueTemplate,
    compile_condition,
    compile_text,
    compile_value,
)
from weft.server.workflow.expressions.template import Template, compile_template
from weft.server.workflow.kinds import (
    Approval,
    Child,
    Emit,
    Fail,
    Loop,
    Map,
    SetVariables,
    Signal,
    Succeed,
    Switch,
    Wait,
)
from weft.server.workflow.model import Compensation, Concurrency, Exhausted, RetryPolicy, Step, Workflow

__all__ = ["RUN_SUFFIX", "Body", "Plan", "PlanCache", "PlannedStep", "compile_plan", "undo_by_action"]

_MAX_SLOT: Final = 512
"""Characters of a concurrency key that count."""
_UNDO_RETRY: Final = RetryPolicy(max_attempts=10, exhausted=Exhausted.INCIDENT)

RUN_SUFFIX: Final = ".run"
"""Ends the id of the step that a map makes of its workflow; no step of a definition has a dot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One list of steps."""

    first: str
    """Id of the step to begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """A step that is ready to run."""

    step: Step
    """As it was defined."""
    template: Template | None
    """Its explicit input; none: the implicit data flow."""
    versions: VersionRange
    """Which versions of the service it takes."""
    bodies: tuple[Body, ...] = ()
    """The lists inside of it."""
    conditions: tuple[Condition, ...] = ()
    """Those of a switch's cases, or the one of a loop."""
    texts: Mapping[str, TextTemplate] = field(default_factory=dict)
    """Its texts with expressions, by field."""
    value: ValueTemplate | None = None
    """The items of a map, what ``set`` sets, ``emit`` tells, ``succeed`` gives."""
    output: Template | None = None
    """What is said to be its output."""
    schema: Schema | None = None
    """What a message, or what a person says, has to be."""
    undo: PlannedStep | None = None
    """What undoes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A workflow's version that is ready to run."""

    workflow_id: str
    """Which workflow."""
    workflow_name: str
    """Its name."""
    version: int
    """Which version."""
    first: str
    """Id of the step to begin with."""
    steps: Mapping[str, PlannedStep]
    """By id, at every depth."""
    listed: tuple[str, ...]
    """Ids of those of the workflow's own list, in its order."""
    input_schema: Schema
    """What an execution takes."""
    output_schema: Schema
    """What it gives."""
    timeout: timedelta | None
    """How long it may take in all."""
    concurrency: Concurrency | None = None
    """How many executions run at the same time."""
    slot_key: Template | None = None
    """Makes their key; none: there is one for all."""
    closing: str = ""
    """Id of the step to begin the end with; empty: nothing runs there."""
    limited: bool = False
    """Whether a step of it has a limit."""
    flat: bool = True
    """Whether one thing happens at a time, and nothing at the end."""

    def at(self, path: str) -> PlannedStep | None:
        """Return the step of a path."""
        return self.steps.get(id_of(path))

    def slot(self, value: JsonObject, context: CallContext) -> str:
        """Return what executions of the same concurrency key share; empty when any number may run.

        Raises:
            PreconditionError: EXPRESSION_FAILED.
        """
        if self.concurrency is None:
            return ""
        key = ""
        if self.slot_key is not None:
            known = {"project_id": "", "request_id": "", **context.flat()}
            key = orjson.dumps(self.slot_key.render({"input": value, "context": known})["key"]).decode()
        return f"{self.workflow_id}/{key}"[:_MAX_SLOT]

    @property
    def defined(self) -> Mapping[str, Step]:
        """Its steps as they were defined, by id."""
        own = RUN_SUFFIX
        return {step_id: it.step for step_id, it in self.steps.items() if not step_id.endswith(own)}


def compile_plan(workflow: Workflow) -> Plan:
    """Compile a definition that was checked when it was stored."""
    definition = workflow.definition
    steps = {
        step.id: _plan_step(with_defaults(step, definition.defaults))
        for step in _with_own(definition.every_step())
    }
    flat = not definition.finally_steps and all(
        not it.bodies and it.undo is None and not isinstance(it.step.does, _OUTSIDE) for it in steps.values()
    )
    return Plan(
        workflow_id=workflow.id,
        workflow_name=workflow.name,
        version=workflow.version,
        first=definition.steps[0].id,
        steps=steps,
        listed=tuple(step.id for step in definition.steps),
        input_schema=schema_of(definition.input_schema),
        output_schema=schema_of(definition.output_schema),
        timeout=definition.timeout,
        concurrency=definition.concurrency,
        slot_key=_slot_key(definition.concurrency),
        closing=definition.finally_steps[0].id if definition.finally_steps else "",
        flat=flat,
        limited=any(it.step.limit is not None and it.step.does is None for it in steps.values()),
    )


_OUTSIDE: Final = (Signal, Approval, Child)
"""Kinds of steps to which something happens from outside."""


def _with_own(steps: Iterator[Step]) -> Iterator[Step]:
    """Add the step that a map makes of its workflow."""
    for step in steps:
        yield step
        if isinstance(step.does, Map) and step.does.workflow is not None:
            yield Step(id=step.id + RUN_SUFFIX, does=step.does.workflow, input=step.input)


def _plan_step(step: Step) -> PlannedStep:
    where = f"steps.{step.id}"
    own = isinstance(step.does, Map) and step.does.workflow is not None
    bodies = tuple(Body(first=body[0].id) for body in step.bodies)
    return PlannedStep(
        step=step,
        template=None if step.input is None else compile_template(step.input, f"{where}.input"),
        versions=VersionRange.parse(step.service_version, f"{where}.service_version"),
        bodies=(Body(first=step.id + RUN_SUFFIX),) if own else bodies,
        conditions=_conditions(step, where),
        texts={name: compile_text(text, f"{where}.{name}") for name, text in _texts(step)},
        value=_value(step, where),
        output=None if step.output is None else compile_template(step.output, f"{where}.output"),
        schema=schema_of(step.does.schema) if isinstance(step.does, Signal | Approval) else None,
        undo=_undo(step, where),
    )


def _conditions(step: Step, where: str) -> tuple[Condition, ...]:
    match step.does:
        case Switch(cases=cases):
            return tuple(
                compile_condition(case.when, f"{where}.switch.cases[{number}].when")
                for number, case in enumerate(cases)
            )
        case Loop(while_=text, until=until):
            return (compile_condition(text or until, f"{where}.loop"),)
        case _:
            return ()


def _texts(step: Step) -> Iterator[tuple[str, str]]:
    """Yield the texts of a step that may hold expressions."""
    match step.does:
        case Wait(duration=duration, until=until):
            yield from (("duration", duration), ("until", until))
        case Signal(correlation=correlation):
            yield "correlation", correlation
        case Approval(title=title, assignees=assignees, due=due):
            yield from (("title", title), ("due", due))
            yield from ((f"assignees[{number}]", text) for number, text in enumerate(assignees))
        case Fail(message=message):
            yield "message", message
        case _:
            pass
    if step.cache is not None:
        yield "cache.key", step.cache.key
    if step.limit is not None:
        yield "limit.key", step.limit.key


def _value(step: Step, where: str) -> ValueTemplate | None:
    match step.does:
        case Map(items=items):
            return compile_value(items, f"{where}.map.items")
        case SetVariables(values=values):
            return compile_value(values, f"{where}.set")
        case Emit(data=data):
            return compile_value(data or {}, f"{where}.emit.data")
        case Succeed(result=result):
            return compile_value(result or {}, f"{where}.succeed.result")
        case _:
            return None


def _undo(step: Step, where: str) -> PlannedStep | None:
    if step.compensate is not None:
        return _plan_undo(step, step.compensate, where)
    return _undo_child(step) if isinstance(step.does, Child) and not step.does.abandon else None


def _plan_undo(step: Step, how: Compensation, where: str) -> PlannedStep:
    undo = Step(
        id=step.id,
        service=how.service or step.service,
        action=how.action,
        service_version=step.service_version if how.service in {"", step.service} else "",
        retry=how.retry or _UNDO_RETRY,
        timeout=how.timeout,
    )
    return PlannedStep(
        step=undo,
        template=None if how.input is None else compile_template(how.input, f"{where}.compensate.input"),
        versions=VersionRange.parse(undo.service_version, f"{where}.service_version"),
    )


def _undo_child(step: Step) -> PlannedStep:
    """Return what undoes a child that has completed: itself, in the other direction."""
    return PlannedStep(step=Step(id=step.id, does=step.does), template=None, versions=VersionRange())


def undo_by_action(step: Step, action: str) -> PlannedStep:
    """Return what undoes a step by the action that was registered for that."""
    return _plan_undo(step, Compensation(action=action), f"steps.{step.id}")


def _slot_key(concurrency: Concurrency | None) -> Template | None:
    if concurrency is None or not concurrency.key:
        return None
    return compile_template({"key": concurrency.key}, "concurrency")


class PlanCache:
    """Keeps the plans that were used last.

    Args:
        size: How many.
    """

    def __init__(self, size: int = 1_000) -> None:
        self._size = size
        self._plans: OrderedDict[tuple[str, int], Plan] = OrderedDict()

    def of(self, workflow: Workflow) -> Plan:
        """Return the plan of a workflow's version."""
        key = (workflow.id, workflow.version)
        plan = self._plans.get(key)
        if plan is None or plan.workflow_name != workflow.name:
            plan = self._plans[key] = compile_plan(workflow)
            if len(self._plans) > self._size:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return plan
