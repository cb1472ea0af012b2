"""What an execution needs of its workflow's version, compiled once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import orjson

from weft.core.context import CallContext
from weft.core.payload import JsonObject
from weft.core.schema import Schema, schema_of
from weft.core.version import VersionRange
from weft.server.workflow.model import Concurrency, Step, Workflow
from weft.server.workflow.template import Template, compile_template

__all__ = ["Plan", "PlanCache", "PlannedStep", "compile_plan"]

_MAX_SLOT: Final = 512
"""Characters of a concurrency key that count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """A step that is ready to run."""

    step: Step
    """As it was defined."""
    template: Template | None
    """Its explicit input; none: the implicit data flow."""
    versions: VersionRange
    """Which versions of the service it takes."""


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
    """By id."""
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
        return {step_id: planned.step for step_id, planned in self.steps.items()}


def compile_plan(workflow: Workflow) -> Plan:
    """Compile a definition that was checked when it was stored."""
    definition = workflow.definition
    return Plan(
        workflow_id=workflow.id,
        workflow_name=workflow.name,
        version=workflow.version,
        first=definition.steps[0].id,
        steps={
            step.id: PlannedStep(
                step=step,
                template=None
                if step.input is None
                else compile_template(step.input, f"steps[{number}].input"),
                versions=VersionRange.parse(step.service_version, f"steps[{number}].service_version"),
            )
            for number, step in enumerate(definition.steps)
        },
        input_schema=schema_of(definition.input_schema),
        output_schema=schema_of(definition.output_schema),
        timeout=definition.timeout,
        concurrency=definition.concurrency,
        slot_key=_slot_key(definition.concurrency),
    )


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
